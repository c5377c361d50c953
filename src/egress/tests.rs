use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

fn base(text: &str) -> Base {
    url(text).into()
}

#[test]
fn nothing_goes_outside_the_allowed_bases() {
    let allowed = [
        base("https://ehr.example/fhir"),
        base("http://10.0.0.5:8042/dicom-web/"),
        base("https://spital.münchen.example/r4"),
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

/// INVARIANT: an_address_means_the_same_to_every_reader
#[test]
fn an_address_means_the_same_to_every_reader() {
    let page = url("https://ehr.example/fhir/Patient?page=1");
    for (text, means) in [
        ("https://ehr.example/fhir", "https://ehr.example/fhir"),
        ("HTTPS://EHR.example:443/fhir/", "https://ehr.example/fhir/"),
        ("https://ehr.example", "https://ehr.example/"),
        ("https://ehr.example?page=2", "https://ehr.example/?page=2"),
        (
            "https://ehr.example/fhir?next=../x&at=http://a\\b/./c",
            "https://ehr.example/fhir?next=../x&at=http://a\\b/./c",
        ),
        ("http://10.0.0.5:8042/dicom-web/%C3%BC/a..b", "http://10.0.0.5:8042/dicom-web/%C3%BC/a..b"),
    ] {
        assert_eq!(address(text), Some(url(means)), "{text}");
        assert_eq!(link(&page, text), Some(url(means)), "{text}");
    }
    for text in [
        "https://ehr.example/x/../fhir",
        "https://ehr.example/x/%2e%2e/fhir",
        "https://ehr.example/fhir/..",
        "https://ehr.example/./fhir",
        "https://ehr.example/%2E/fhir",
        "https://ehr.example\\.evil.example/../fhir",
        "https://ehr.example/fhir\\x",
        "https:\\\\ehr.example/fhir",
        "https:ehr.example/fhir",
        "https:///ehr.example/fhir",
        "https://ehr.example/fh\tir",
        "https://ehr.example/fhir#",
        "https://ehr.example/fhir?#x",
        "https://user@ehr.example/fhir",
        "https://:secret@ehr.example/fhir",
        "ftp://ehr.example/fhir",
        "urn:uuid:0c3151bd",
    ] {
        assert!(address(text).is_none() && link(&page, text).is_none(), "{text}");
    }
    for text in ["", "fhir", "//ehr.example/fhir", "/fhir", "?page=2"] {
        assert!(address(text).is_none(), "{text}");
    }
    assert_eq!(link(&page, "?page=2"), Some(url("https://ehr.example/fhir/Patient?page=2")));
    assert_eq!(link(&page, "../dicomweb"), Some(url("https://ehr.example/dicomweb")));
}

#[test]
fn a_base_is_reached_where_the_site_says() {
    for (name, address) in [
        ("https://ehr.example/fhir", "http://10.0.0.5:8080/r4/fhir"),
        ("https://ehr.example/fhir/", "http://10.0.0.5:8080/r4/fhir/"),
    ] {
        let allowed = [base("https://other.example/"), Base::new(url(name), url(address))];
        let reached = |text: &str| destination(&url(text), &allowed).map(String::from);
        for (text, at) in [
            ("https://ehr.example/fhir", "http://10.0.0.5:8080/r4/fhir"),
            ("https://EHR.example:443/fhir/Patient/1?a=b%2Fc", "http://10.0.0.5:8080/r4/fhir/Patient/1?a=b%2Fc"),
            ("https://ehr.example/fhir?page=2", "http://10.0.0.5:8080/r4/fhir?page=2"),
            ("http://10.0.0.5:8080/r4/fhir/Patient/1", "http://10.0.0.5:8080/r4/fhir/Patient/1"),
            ("https://other.example/x", "https://other.example/x"),
        ] {
            assert_eq!(reached(text).as_deref(), Some(at), "{text}");
        }
        for text in [
            "https://ehr.example/r4/fhir/Patient/1",
            "https://ehr.example:8080/fhir/Patient/1",
            "http://10.0.0.5:8080/fhir/Patient/1",
            "https://10.0.0.5:8080/r4/fhir",
            "http://ehr.example/fhir",
            "https://ehr.example/fhir/..%2fadmin",
        ] {
            assert_eq!(reached(text), None, "{text}");
        }
    }
    // One below the other, either way round: what is reached is reached once.
    for (name, address) in [("https://a/fhir", "https://a/fhir/r4"), ("https://a/fhir/r4", "https://a/fhir")] {
        let allowed = [Base::new(url(name), url(address))];
        let reached = destination(&url(&format!("{name}/Patient/1")), &allowed).unwrap();
        assert_eq!(reached.as_str(), format!("{address}/Patient/1"));
        assert_eq!(destination(&reached, &allowed).unwrap(), reached);
    }
    let metadata = [Base::new(url("https://ehr.example/fhir"), url("http://169.254.169.254/fhir"))];
    assert_eq!(destination(&url("https://ehr.example/fhir/Patient/1"), &metadata), None);
}

#[test]
fn a_pause_is_told_in_seconds_or_as_a_date() {
    let now = Some("Sun, 06 Nov 1994 08:49:37 GMT");
    for (pause, seconds) in [
        ("7", Some(7)),
        (" 7 ", Some(7)),
        ("Sun, 06 Nov 1994 08:49:40 GMT", Some(3)),
        ("Sunday, 06-Nov-94 08:49:40 GMT", Some(3)),
        ("Sun Nov  6 08:49:40 1994", Some(3)),
        ("Sun, 06 Nov 1994 08:49:30 GMT", Some(0)),
        ("Wed, 21 Oct 2099 07:28:00 GMT", Some(3_312_139_103)),
        ("-7", None),
        ("7.5", None),
        ("soon", None),
        ("", None),
        ("99999999999999999999999", None),
        ("Sun, 99 Nov 1994 08:49:37 GMT", None),
    ] {
        assert_eq!(retry_after(pause, now), seconds.map(Duration::from_secs), "{pause}");
    }
    assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", None), Some(Duration::ZERO));
    assert!(retry_after("Wed, 21 Oct 2099 07:28:00 GMT", Some("no date")) > Some(Duration::from_secs(86_400)));
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
        assert!(!permitted(&url(text), &[base(text)]), "{text}");
    }
    for text in
        ["http://127.0.0.1:80/fhir", "http://[::1]/fhir", "http://192.168.1.4/fhir", "http://[fd00:ec2::253]/fhir"]
    {
        assert!(permitted(&url(text), &[base(text)]), "{text}");
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
    let allowed = &[base.clone().into()];
    Egress::new(1 << 30)?
        .get(Get { url: base, allowed, accept: "application/fhir+json", token, max_bytes, deadline })
        .await
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

const DECLARED: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabcdef";
const UNDECLARED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n0\r\n\r\n";

#[tokio::test]
async fn an_answer_is_read_only_once_there_is_room_for_all_of_it() {
    let egress = Egress::new(10).unwrap();
    let far = Instant::now() + Duration::from_secs(60);
    let get = async |reply, deadline| {
        let (base, _served) = answer(reply).await;
        let allowed = &[base.clone().into()];
        egress.get(Get { url: &base, allowed, accept: "*/*", token: None, max_bytes: 9, deadline }).await
    };
    let held = get(DECLARED, far).await.unwrap();
    assert_eq!(egress.room(), 4, "an answer counts as long as it is held");
    for reply in [DECLARED, UNDECLARED] {
        let refused = get(reply, Instant::now() + Duration::from_millis(500)).await.err().unwrap();
        assert!(refused.kind == Kind::Busy && refused.retry_after.is_some(), "{refused}");
    }
    assert_eq!(egress.room(), 4, "who gave up waiting holds nothing");
    // Both wait for the room of the first answer, and then one for the other.
    let length = async |reply| get(reply, far).await.unwrap().body.len();
    let lengths = tokio::join!(length(UNDECLARED), length(DECLARED), async { drop(held) });
    assert_eq!(lengths, (6, 6, ()));
    assert_eq!(egress.room(), 10);
    // What was not announced counts as the most there may be, and then as what it was.
    let _held = get(UNDECLARED, far).await.unwrap();
    assert_eq!(egress.room(), 4);
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
    let get = Get {
        url: &outside,
        allowed: &[inside.into()],
        accept: "*/*",
        token: None,
        max_bytes: 1,
        deadline: Instant::now(),
    };
    assert_eq!(Egress::new(1 << 30).unwrap().get(get).await.err().unwrap().kind, Kind::Forbidden);
}

#[tokio::test]
async fn a_deadline_in_the_past_is_a_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = url(&format!("http://{}/fhir", listener.local_addr().unwrap()));
    let allowed = &[base.clone().into()];
    let get = Get { url: &base, allowed, accept: "*/*", token: None, max_bytes: 1, deadline: Instant::now() };
    assert_eq!(Egress::new(1 << 30).unwrap().get(get).await.err().unwrap().kind, Kind::Timeout);
}
