use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

#[test]
fn nothing_goes_outside_the_allowed_bases() {
    let allowed = [
        url("https://ehr.example/fhir"),
        url("http://10.0.0.5:8042/dicom-web/"),
        url("https://spital.münchen.example/r4"),
    ];
    for inside in [
        "https://ehr.example/fhir",
        "https://ehr.example/fhir/",
        "https://ehr.example:443/fhir/Patient/1",
        "HTTPS://EHR.Example/fhir?_getpages=a%2Fb",
        "https://ehr.example/x/../fhir/Patient/1",
        "http://10.0.0.5:8042/dicom-web",
        "http://10.0.0.5:8042/dicom-web/studies/1.2.3",
        "https://spital.xn--mnchen-3ya.example/r4/Patient/1",
        "https://SPITAL.MÜNCHEN.example/r4/Patient/1",
    ] {
        assert!(permitted(&url(inside), &allowed), "{inside}");
    }
    for outside in [
        "http://ehr.example/fhir/Patient/1",
        "ftp://ehr.example/fhir/Patient/1",
        "https://ehr.example:8443/fhir/Patient/1",
        "https://ehr.example.evil.example/fhir/Patient/1",
        "https://ehr.example./fhir/Patient/1",
        "https://evil-ehr.example/fhir/Patient/1",
        "https://xn--ehr-.example/fhir/Patient/1",
        "https://еhr.example/fhir/Patient/1",
        "https://ehr.example@evil.example/fhir/Patient/1",
        "https://user@ehr.example/fhir/Patient/1",
        "https://user:secret@ehr.example/fhir/Patient/1",
        "https://:secret@ehr.example/fhir/Patient/1",
        "https://ehr.example/fhir/Patient/1#fragment",
        "https://ehr.example/fhirevil/Patient/1",
        "https://ehr.example/fhir.evil",
        "https://ehr.example/",
        "https://ehr.example/FHIR/Patient/1",
        "https://ehr.example/fhir/../admin",
        "https://ehr.example/fhir/%2e%2e/admin",
        "https://ehr.example/fhir/..%2fadmin",
        "https://ehr.example/fhir/..%2Fadmin",
        "https://ehr.example/fhir/..%5Cadmin",
        "https://ehr.example/fhir/%252e%252e/admin",
        "https://ehr.example/fhir/..;/admin",
        "https://ehr.example/fhir/..%3B/admin",
        "https://ehr.example/fhir\\..\\admin",
        "https://ehr.example%2Eevil.example/fhir",
        "http://10.0.0.5/dicom-web/studies",
        "http://10.0.0.50:8042/dicom-web/studies",
        "http://169.254.169.254/fhir",
        "file:///fhir",
        "data:text/plain,fhir",
    ] {
        let Ok(parsed) = Url::parse(outside) else { continue };
        assert!(!permitted(&parsed, &allowed), "{outside}");
    }
    assert!(!permitted(&url("https://ehr.example/fhir"), &[]));
}

#[test]
fn link_local_is_refused_even_when_allowed() {
    for text in [
        "http://169.254.169.254/latest",
        "http://2852039166/latest",
        "http://0xa9fea9fe/latest",
        "http://[::ffff:169.254.169.254]/latest",
        "http://[::169.254.169.254]/latest",
        "http://[64:ff9b::169.254.169.254]/latest",
        "http://[2002:a9fe:a9fe::1]/latest",
        "http://[fe80::1]/latest",
        "http://[febf::1]/latest",
        "http://[fd00:ec2::254]/latest",
    ] {
        assert!(!permitted(&url(text), &[url(text)]), "{text}");
    }
    for text in
        ["http://127.0.0.1:80/fhir", "http://[::1]/fhir", "http://192.168.1.4/fhir", "http://[fd00:ec2::253]/fhir"]
    {
        assert!(permitted(&url(text), &[url(text)]), "{text}");
    }
}

#[test]
fn a_name_that_resolves_to_link_local_is_not_contacted() {
    let found = |addresses: &[&str]| {
        contactable(addresses.iter().map(|a| SocketAddr::new(a.parse().unwrap(), 0)).collect::<Vec<_>>().into_iter())
    };
    assert!(found(&["169.254.169.254", "fe80::1", "fd00:ec2::254", "::ffff:169.254.0.1"]).is_err());
    assert_eq!(found(&["169.254.169.254", "10.0.0.5"]).unwrap().len(), 1);
    assert!(found(&[]).is_err());
}

#[test]
fn joining_is_the_same_with_and_without_a_trailing_slash() {
    for base in ["https://ehr.example/fhir", "https://ehr.example/fhir/", "https://ehr.example/fhir/?tenant=1#top"] {
        let joined = join(&url(base), "Observation?patient=1").unwrap();
        assert_eq!(joined.as_str(), "https://ehr.example/fhir/Observation?patient=1");
    }
    assert_eq!(join(&url("https://ehr.example"), "/Patient/1").unwrap().as_str(), "https://ehr.example/Patient/1");
    for path in ["../admin", "..", "Patient/../../admin", "Patient/%2e%2e/%2e%2e/admin", "..%2fadmin"] {
        assert!(join(&url("https://ehr.example/fhir"), path).is_err(), "{path}");
    }
}

/// Answers one connection with `reply`, byte for byte; yields the request's head.
async fn answer(reply: &'static str) -> (Url, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = url(&format!("http://{}/fhir", listener.local_addr().unwrap()));
    let served = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.read_u8().await.unwrap());
        }
        socket.write_all(reply.as_bytes()).await.unwrap();
        socket.shutdown().await.ok();
        String::from_utf8(head).unwrap().to_ascii_lowercase()
    });
    (base, served)
}

async fn get(base: &Url, max_bytes: usize, token: Option<&AccessToken>) -> Result<Reply> {
    let deadline = Instant::now() + Duration::from_secs(60);
    let allowed = std::slice::from_ref(base);
    Egress::new()?.get(Get { url: base, allowed, accept: "application/fhir+json", token, max_bytes, deadline }).await
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let (base, served) = answer(
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/elsewhere\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n",
    )
    .await;
    let reply = get(&base, 10, Some(&AccessToken::new("secret-1".into()))).await.unwrap();
    assert_eq!((reply.status, reply.retry_after), (302, Some(Duration::from_secs(7))));
    let head = served.await.unwrap();
    assert!(head.contains("authorization: bearer secret-1") && head.contains("accept-encoding: identity"), "{head}");
}

#[tokio::test]
async fn a_compressed_answer_is_refused() {
    let (base, _served) = answer("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc").await;
    assert_eq!(get(&base, 10, None).await.err().unwrap().kind, Kind::Upstream);
}

#[tokio::test]
async fn a_body_over_the_limit_is_cut_off_whether_declared_or_not() {
    for reply in [
        "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nabcdefghijk",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n5\r\nghijk\r\n0\r\n\r\n",
    ] {
        let (base, _served) = answer(reply).await;
        assert_eq!(get(&base, 10, None).await.err().unwrap().kind, Kind::TooLarge);
    }
    let (base, _served) = answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabcdefghij").await;
    assert_eq!(&get(&base, 10, None).await.unwrap().body[..], b"abcdefghij");
}

#[tokio::test]
async fn a_truncated_answer_is_an_error_that_names_no_address() {
    let (base, _served) = answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").await;
    let error = get(&base, 10, None).await.err().unwrap();
    assert_eq!(error.kind, Kind::Upstream);
    assert!(!format!("{error:?}").contains("127.0.0.1"));
}

#[tokio::test]
async fn an_address_outside_is_refused_before_any_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let outside = url(&format!("http://{}/fhirevil", listener.local_addr().unwrap()));
    let inside = url(&format!("http://{}/fhir", listener.local_addr().unwrap()));
    let get =
        Get { url: &outside, allowed: &[inside], accept: "*/*", token: None, max_bytes: 1, deadline: Instant::now() };
    assert_eq!(Egress::new().unwrap().get(get).await.err().unwrap().kind, Kind::Forbidden);
}

#[tokio::test]
async fn a_deadline_in_the_past_is_a_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = url(&format!("http://{}/fhir", listener.local_addr().unwrap()));
    let allowed = std::slice::from_ref(&base);
    let get = Get { url: &base, allowed, accept: "*/*", token: None, max_bytes: 1, deadline: Instant::now() };
    assert_eq!(Egress::new().unwrap().get(get).await.err().unwrap().kind, Kind::Timeout);
}
