//! Requests as bytes on a socket: what no client library would send.

use std::time::Duration;

use curbside::{engine::Engine, http::Config};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{GUARD, INSIDE, Log, MARKER};
use crate::harness::{Hospital, Plan, patient};

async fn hospital() -> Hospital {
    Plan::new(vec![patient("demo")], Engine::absent()).open().await
}

/// Sends the bytes and reads until the server closes, or is done with what it said.
async fn exchange(hospital: &Hospital, bytes: &[u8]) -> String {
    let address = hospital.url.socket_addrs(|| None).unwrap()[0];
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The server may close before it has read all.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = timeout(GUARD, stream.read_to_end(&mut answer)).await.expect("the connection was not closed");
    String::from_utf8_lossy(&answer).into_owned()
}

fn status(answer: &str) -> u16 {
    let number = answer.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5));
    number.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let head = answer.split("\r\n\r\n").next()?;
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// A request with these lines after `Host`; the connection is closed after it.
fn get(target: &str, lines: &[&str]) -> Vec<u8> {
    let more: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    format!("GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{more}\r\n").into_bytes()
}

fn hook(lines: &[&str], body: &[u8]) -> Vec<u8> {
    let more: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let head =
        format!("POST /cds-services/chart-summary HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{more}\r\n");
    [head.as_bytes(), body].concat()
}

/// A refusal of ours: an outcome, and nothing of the inside. hyper's own, before any request is there, has no body.
fn is_refusal(answer: &str, what: &str) {
    for secret in INSIDE {
        assert!(!answer.contains(secret), "{what}: {answer}");
    }
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    assert!(body.contains("OperationOutcome") || body.is_empty(), "{what}: {answer}");
}

const JSON: &str = "Content-Type: application/json";

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
async fn a_body_that_is_not_as_long_as_announced_is_refused() {
    let hospital = hospital().await;
    let chunked = |body: &str| hook(&[JSON, "Transfer-Encoding: chunked"], body.as_bytes());
    for body in [
        "ZZ\r\n{}\r\n0\r\n\r\n",
        "-1\r\n",
        "fffffffffffffffff\r\n",
        "2\r\n{}XX0\r\n\r\n",
        "2;x\n{}\r\n",
        "2\r\n{}\r\n0\r\nX",
    ] {
        let mut bytes = chunked(body);
        // What is only cut off is ended from our side.
        let address = hospital.url.socket_addrs(|| None).unwrap()[0];
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        bytes.clear();
        let _ = timeout(GUARD, stream.read_to_end(&mut bytes)).await.expect("the connection was not closed");
        let answer = String::from_utf8_lossy(&bytes).into_owned();
        assert!(matches!(status(&answer), 0 | 400), "{body:?}: {answer}");
        is_refusal(&answer, body);
    }
    let long = "x".repeat(100_000);
    let extended = chunked(&format!("2;{long}\r\n{{}}\r\n0\r\n\r\n"));
    assert!(matches!(status(&exchange(&hospital, &extended).await), 0 | 400));
    let trailers: String = (0..10_000).map(|n| format!("X-{n}: y\r\n")).collect();
    let trailed = chunked(&format!("2\r\n{{}}\r\n0\r\n{trailers}\r\n"));
    assert!(matches!(status(&exchange(&hospital, &trailed).await), 0 | 400));
    let continued = hook(&[JSON, "Content-Length: 2", "Expect: 100-continue"], b"{}");
    let answer = exchange(&hospital, &continued).await;
    assert!(answer.contains("hook is missing"), "{answer}");
    assert_eq!(hospital.get("/livez").await.status, 200);
    hospital.close().await;
}

/// It is no use to a client that reads only once its whole body is on the way, if the connection ends before.
#[tokio::test]
async fn a_refusal_reaches_who_sends_the_whole_body_before_reading() {
    let hospital = hospital().await;
    let post = |target: &str, lines: &[&str], bytes: usize| {
        let more: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        let head = format!("POST {target} HTTP/1.1\r\nConnection: close\r\nContent-Length: {bytes}\r\n{more}\r\n");
        [head.as_bytes(), &vec![b' '; bytes]].concat()
    };
    const HOST: &str = "Host: 127.0.0.1";
    let (service, large) = ("/cds-services/chart-summary", 8 << 20);
    let beyond = Config::default().max_body_bytes + (4 << 20);
    let one_chunk = |bytes: usize| {
        let head = hook(&[JSON, "Transfer-Encoding: chunked"], format!("{bytes:x}\r\n").as_bytes());
        [&head[..], &vec![b' '; bytes], b"\r\n0\r\n\r\n"].concat()
    };
    for (bytes, expected) in [
        (post(service, &["Host: evil.example", JSON], large), 403),
        (post(service, &[HOST, HOST, JSON], large), 400),
        (post("/cds-services/none", &[HOST, JSON], large), 404),
        (post("/none", &[HOST, JSON], large), 404),
        (post("/livez", &[HOST, JSON], large), 405),
        (post(service, &[HOST, "Content-Type: text/plain"], large), 415),
        (post(service, &[HOST, JSON, "Content-Encoding: gzip"], large), 415),
        (post(service, &[HOST, JSON, JSON], large), 400),
        (post(service, &[HOST, JSON], beyond), 413),
        (one_chunk(beyond), 413),
    ] {
        let what = String::from_utf8_lossy(&bytes[..200]).into_owned();
        let address = hospital.url.socket_addrs(|| None).unwrap()[0];
        let mut stream = TcpStream::connect(address).await.unwrap();
        let sent = timeout(GUARD, stream.write_all(&bytes)).await.expect("all of it is read");
        sent.unwrap_or_else(|e| panic!("{what}: {e}"));
        let mut answer = Vec::new();
        let read = timeout(GUARD, stream.read_to_end(&mut answer)).await.expect("the connection was not closed");
        read.unwrap_or_else(|e| panic!("{what}: {e}"));
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert_eq!(status(&answer), expected, "{what}{answer}");
        assert!(answer.contains("OperationOutcome"), "{what}{answer}");
    }
    hospital.close().await;
}

/// Who asks first need not send what is refused; and a body nobody would read to its end is not waited for.
#[tokio::test]
async fn a_body_that_is_not_sent_is_not_asked_for() {
    let hospital = hospital().await;
    let endless = format!("Content-Length: {}", 1_u64 << 40);
    for (lines, expected) in [
        (vec!["Content-Type: text/plain", "Content-Length: 9000000", "Expect: 100-continue"], 415),
        (vec![JSON, "Content-Length: 20000000", "Expect: 100-continue"], 413),
        (vec![JSON, &endless], 413),
    ] {
        let answer = exchange(&hospital, &hook(&lines, b"")).await;
        assert_eq!(status(&answer), expected, "{lines:?}: {answer}");
        assert!(!answer.contains(" 100 "), "{lines:?}: {answer}");
    }
    hospital.close().await;
}

#[tokio::test]
async fn a_body_compressed_on_its_way_is_refused() {
    let hospital = hospital().await;
    for (lines, expected) in [
        (vec![JSON, "Transfer-Encoding: gzip, chunked"], 415),
        (vec![JSON, "Transfer-Encoding: gzip", "Transfer-Encoding: chunked"], 415),
        (vec![JSON, "Transfer-Encoding: chunked, chunked"], 415),
        (vec![JSON, "Transfer-Encoding: Chunked"], 400),
        (vec![JSON, "Transfer-Encoding: chunked"], 400),
    ] {
        let answer = exchange(&hospital, &hook(&lines, b"2\r\n{}\r\n0\r\n\r\n")).await;
        assert_eq!(status(&answer), expected, "{lines:?}: {answer}");
        is_refusal(&answer, &format!("{lines:?}"));
        assert_eq!(answer.contains("hook is missing"), expected == 400, "{lines:?}: {answer}");
    }
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

/// Announcing the largest body and sending none of it costs the others nothing.
#[tokio::test]
async fn who_announces_and_does_not_send_keeps_nobody_out() {
    let hospital = hospital().await;
    let address = hospital.url.socket_addrs(|| None).unwrap()[0];
    let length = format!("Content-Length: {}", Config::default().max_body_bytes);
    let mut idle = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&hook(&[JSON, &length], b"{")).await.unwrap();
        idle.push(stream);
    }
    let request = json!({"hook": "patient-view"}).to_string();
    let answer = timeout(Duration::from_secs(60), hospital.post("/cds-services/chart-summary", request)).await.unwrap();
    assert_eq!(answer.status, 400, "{}", answer.text);
    drop(idle);
    hospital.close().await;
}
