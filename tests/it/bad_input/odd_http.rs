//! Heads as bytes on a socket: headers, methods, paths and lengths that no client library would send.

use super::{
    Log, MARKER,
    socket::{JSON, exchange, get, header, hook, hospital, is_refusal, status},
};

#[tokio::test]
async fn a_header_that_can_be_read_in_two_ways_is_refused() {
    let (log, _guard) = Log::capture();
    let hospital = hospital().await;
    let bare = |lines: &str| format!("GET /livez HTTP/1.1\r\n{lines}Connection: close\r\n\r\n").into_bytes();
    for (bytes, expected) in [
        (hook(&[JSON, JSON, "Content-Length: 2"], b"{}"), 400),
        (hook(&[JSON, "Content-Type: text/plain", "Content-Length: 2"], b"{}"), 400),
        (bare("Host: 127.0.0.1\r\nHost: 127.0.0.1\r\n"), 400),
        (bare("Host: 127.0.0.1\r\nHost: evil.example\r\n"), 400),
        (bare(""), 400),
        (bare("Host: \r\n"), 400),
        (bare("Host: 127.0.0.1/evil\r\n"), 400),
        (bare("Host: user@127.0.0.1\r\n"), 400),
        (bare("Host: zzPLANTEDzz@127.0.0.1\r\n"), 400),
        (bare("Host: 127.0.0.1, evil.example\r\n"), 400),
        (bare("Host: \u{e9}vil.example\r\n"), 400),
        (bare("Host: evil.example\r\n"), 403),
        (bare("Host: 127.0.0.1.evil.example\r\n"), 403),
        (bare("Host: LOCALHOST:9\r\n"), 200),
        (b"GET /livez HTTP/1.0\r\n\r\n".to_vec(), 200),
        (get("http://127.0.0.1/livez", &[]), 200),
        (get("http://evil.example/livez", &[]), 403),
        (get("http://user@127.0.0.1/livez", &[]), 400),
        (get("https://evil.example:1/fhir/DiagnosticReport", &[]), 403),
    ] {
        let what = String::from_utf8_lossy(&bytes).into_owned();
        let answer = exchange(&hospital, &bytes).await;
        assert_eq!(status(&answer), expected, "{what}{answer}");
        if expected != 200 {
            is_refusal(&answer, &what);
            assert!(answer.contains("OperationOutcome"), "{what}{answer}");
        }
        assert!(!log.take().contains(MARKER));
    }
    hospital.close().await;
}

/// Where two readers could disagree on where a request ends, one answer is given and the connection closed.
#[tokio::test]
async fn no_second_request_is_smuggled() {
    let hospital = hospital().await;
    let hidden = b"0\r\n\r\nGET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    let open = |lines: &[&str]| {
        let more: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        let head = format!("POST /cds-services/chart-summary HTTP/1.1\r\nHost: 127.0.0.1\r\n{JSON}\r\n{more}\r\n");
        [head.as_bytes(), hidden].concat()
    };
    for lines in [
        vec!["Content-Length: 5", "Transfer-Encoding: chunked"],
        vec!["Transfer-Encoding: chunked", "Content-Length: 5"],
        vec!["Transfer-Encoding: chunked", "Content-Length: 999999999"],
        vec!["Content-Length: 5", "Content-Length: 50"],
        vec!["Content-Length: 5, 50"],
        vec!["Content-Length: +5"],
        vec!["Content-Length: 0x5"],
        vec!["Content-Length: -1"],
        vec!["Content-Length: 99999999999999999999999"],
        vec!["Transfer-Encoding: identity"],
        vec!["Transfer-Encoding: chunked, identity"],
        vec!["Transfer-Encoding: xchunked"],
        vec!["Transfer-Encoding : chunked"],
        vec!["Transfer-Encoding: chunked", "Transfer-Encoding: identity"],
        vec!["X: y", " Content-Length: 5"],
    ] {
        let answer = exchange(&hospital, &open(&lines)).await;
        assert_eq!(answer.matches("HTTP/1.").count(), 1, "{lines:?}: {answer}");
        assert_eq!(status(&answer), 400, "{lines:?}: {answer}");
        assert!(!answer.contains("\"live\""), "{lines:?}: {answer}");
        is_refusal(&answer, &format!("{lines:?}"));
    }
    // Two equal lengths are one; two requests that follow each other are two.
    let twice = hook(&[JSON, "Content-Length: 2", "Content-Length: 2"], b"{}");
    assert!(exchange(&hospital, &twice).await.contains("hook is missing"));
    let two = [b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(), get("/livez", &[])].concat();
    assert_eq!(exchange(&hospital, &two).await.matches("\"live\"").count(), 2);
    hospital.close().await;
}

#[tokio::test]
async fn a_head_that_is_too_large_or_broken_ends_the_connection() {
    let hospital = hospital().await;
    let document = hospital.get("/openapi.json").await.json();
    let described = document["info"]["description"].as_str().unwrap();
    let many: Vec<String> = (0..200).map(|n| format!("X-{n}: y")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let long = "x".repeat(200 << 10);
    for (what, bytes, expected) in [
        ("a long header", get("/livez", &[&format!("X: {long}")]), vec![431]),
        ("many headers", get("/livez", &many), vec![431]),
        ("a long target", get(&format!("/{}", &long[..60_000]), &[]), vec![404, 414, 431]),
        ("a longer target", get(&format!("/{long}"), &[]), vec![414, 431]),
        ("an unknown version", b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n".to_vec(), vec![400]),
        ("the oldest version", b"GET /\r\n\r\n".to_vec(), vec![400]),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), vec![0, 400]),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(), vec![400]),
        ("a folded header", get("/livez", &["X: y", " folded"]), vec![400]),
        ("NUL in a header", get("/livez", &["X: y\0z"]), vec![400]),
        ("a bare CR", get("/livez", &["X: y\rz: 1"]), vec![400]),
        ("NUL in a target", get("/livez\0", &[]), vec![400]),
        ("a space in a target", get("/live z", &[]), vec![400]),
        ("no target", b"GET  HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(), vec![400]),
        ("no method", b" / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(), vec![400]),
    ] {
        let answer = exchange(&hospital, &bytes).await;
        // A close with unread bytes may reset the connection before the answer is read.
        let reset = answer.is_empty() && bytes.len() > 32 << 10;
        assert!(reset || expected.contains(&status(&answer)), "{what}: {}", status(&answer));
        is_refusal(&answer, what);
        let bare = status(&answer) != 0 && !answer.contains("OperationOutcome");
        assert!(!bare || described.contains(&status(&answer).to_string()), "{what}: {answer} is in no description");
        assert_eq!(hospital.get("/livez").await.status, 200, "after {what}");
    }
    hospital.close().await;
}

#[tokio::test]
async fn a_method_that_is_not_served_is_told_which_are() {
    let hospital = hospital().await;
    for (target, allow) in [
        ("/", "GET,HEAD"),
        ("/style.css", "GET,HEAD"),
        ("/reports/x", "GET,HEAD"),
        ("/pictures/x", "GET,HEAD"),
        ("/cds-services", "GET,HEAD"),
        ("/cds-services/chart-summary", "POST"),
        ("/fhir/metadata", "GET,HEAD"),
        ("/fhir/DiagnosticReport", "GET,HEAD"),
        ("/fhir/DiagnosticReport/x", "GET,HEAD"),
        ("/livez", "GET,HEAD"),
        ("/readyz", "GET,HEAD"),
    ] {
        for method in ["OPTIONS", "TRACE", "PUT", "PATCH", "DELETE", "PROPFIND", "get", "zzPLANTEDzz", "QUERY"] {
            let request = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            let answer = exchange(&hospital, request.as_bytes()).await;
            assert_eq!((status(&answer), header(&answer, "allow")), (405, Some(allow)), "{method} {target}: {answer}");
            is_refusal(&answer, method);
        }
        let request = format!("HEAD {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let answer = exchange(&hospital, request.as_bytes()).await;
        assert!(answer.ends_with("\r\n\r\n") && matches!(status(&answer), 200 | 404 | 405), "{target}: {answer}");
    }
    for request in ["OPTIONS * HTTP/1.1", "CONNECT 127.0.0.1:80 HTTP/1.1", "CONNECT evil.example:80 HTTP/1.1"] {
        let answer =
            exchange(&hospital, format!("{request}\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes()).await;
        assert!((400..500).contains(&status(&answer)), "{request}: {answer}");
    }
    let upgraded = get("/livez", &["Upgrade: h2c, websocket", "HTTP2-Settings: AAAA"]);
    assert_eq!(status(&exchange(&hospital, &upgraded).await), 200);
    hospital.close().await;
}

#[tokio::test]
async fn a_path_leads_nowhere_but_to_its_route() {
    let (log, _guard) = Log::capture();
    let hospital = hospital().await;
    let long = "x".repeat(8 << 10);
    let paths = [
        "/%2e%2e/%2e%2e/etc/passwd",
        "/../../etc/passwd",
        "//etc/passwd",
        "//livez",
        "/livez/",
        "/livez//",
        "/./livez",
        "/LIVEZ",
        "/livez%00",
        "/reports/",
        "/reports//",
        "/reports/%00",
        "/reports/..%2f..%2fetc%2fpasswd",
        "/reports/zzPLANTEDzz",
        "/reports/%ff",
        "/pictures/..%2fcurbside.db",
        "/pictures/%2e%2e",
        "/fhir/../livez",
        "/fhir//",
        "/fhir/DiagnosticReport/%00",
        "/fhir/DiagnosticReport/%ff",
        "/fhir/DiagnosticReport/x/_history/1",
        "/fhir/DiagnosticReport/x';DROP%20TABLE%20audit;--",
        "/fhir/zzPLANTEDzz/x",
        "/fhir/%2e%2e/x",
        "/style.css/..",
        "/cds-services/%2e%2e%2fchart-summary",
        "/%",
        "/%zz",
        "/{id}",
        "/reports/{id}",
        &format!("/reports/{long}"),
        &format!("/fhir/DiagnosticReport/{long}"),
        &format!("/fhir/{long}/x"),
        &format!("/pictures/{long}"),
        &format!("/cds-services/{long}"),
    ];
    for path in paths {
        let answer = exchange(&hospital, &get(path, &[])).await;
        let expected = if path.starts_with("/cds-services/") { vec![400, 405] } else { vec![400, 404] };
        assert!(expected.contains(&status(&answer)), "{path}: {answer}");
        is_refusal(&answer, path);
        assert!(answer.contains("OperationOutcome"), "{path}: {answer}");
        assert!(!log.take().contains(MARKER), "{path}");
    }
    assert_eq!(hospital.get("/livez").await.status, 200);
    hospital.close().await;
}

#[tokio::test]
async fn a_request_id_is_the_clients_only_where_it_is_plain() {
    let (log, _guard) = Log::capture();
    let hospital = hospital().await;
    let long = "x".repeat(65);
    for (given, kept) in [
        ("a-1_B.2", true),
        ("", false),
        ("two words", false),
        ("quoted\"", false),
        ("{\"a\":1}", false),
        ("\u{1b}[31m", false),
        ("zzPLANTEDzz;x", false),
        ("caf\u{e9}", false),
        (long.as_str(), false),
    ] {
        let answer = exchange(&hospital, &get("/livez", &[&format!("X-Request-Id: {given}")])).await;
        let answered = header(&answer, "x-request-id").unwrap_or_default().to_owned();
        if status(&answer) == 200 {
            assert_eq!(answered == given, kept, "{given}: {answer}");
            assert!(kept || uuid::Uuid::try_parse(&answered).is_ok(), "{given}: {answer}");
        } else {
            assert!(!kept && status(&answer) == 400, "{given}: {answer}");
        }
        assert!(!log.take().contains(MARKER), "{given}");
    }
    hospital.close().await;
}

#[tokio::test]
async fn no_other_site_can_embed_a_picture_or_a_page() {
    let hospital = hospital().await;
    for path in ["/", "/pictures/x", "/reports/x", "/style.css", "/fhir/DiagnosticReport", "/nowhere"] {
        let headers = hospital.get(path).await.headers;
        assert_eq!(headers["cross-origin-resource-policy"], "same-origin", "{path}");
        assert!(!headers.contains_key("access-control-allow-origin"), "{path}");
    }
    hospital.close().await;
}
