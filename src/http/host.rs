//! Under which name a request reached us. <https://www.rfc-editor.org/rfc/rfc9112#section-3.2>

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, Version, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use url::{Host, Url};

use crate::{
    app::App,
    error::{Error, Kind, Result},
};

/// Answers requests for a name of this server, and no others.
// INVARIANT: a_name_that_is_not_ours_is_not_answered
// There is no login yet. A page on another site could point a name of its own at loopback and read through the
// browser; its requests carry that name as `Host`.
pub async fn named(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let target = request.uri().authority().map(|authority| authority.as_str());
    match check(request.headers(), request.version(), target, Some(&app.public_base)) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

/// Answers requests for a name of this machine's own, and no others.
pub async fn local(request: Request, next: Next) -> Response {
    let target = request.uri().authority().map(|authority| authority.as_str());
    match check(request.headers(), request.version(), target, None) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

/// `target` is the name in a request target of absolute form. It counts instead of `Host`, so both must be ours.
fn check(headers: &HeaderMap, version: Version, target: Option<&str>, public_base: Option<&Url>) -> Result<()> {
    let unreadable = || Error::invalid("a request names its host once, as a name or address with an optional port");
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => Some(host.to_str().map_err(|_| unreadable())?),
        (None, _) if version < Version::HTTP_11 => None,
        _ => return Err(unreadable()),
    };
    for name in host.into_iter().chain(target) {
        let named = parse(name).ok_or_else(unreadable)?;
        let local = match &named {
            Host::Ipv4(ip) => ip.is_loopback(),
            Host::Ipv6(ip) => ip.is_loopback(),
            Host::Domain(name) => name == "localhost",
        };
        if !local && public_base.and_then(Url::host).map(|host| host.to_owned()) != Some(named) {
            let sentence = match public_base {
                Some(_) => "this server is not known by that name; set public_base to the name it is reached under",
                None => "this server is known by localhost and loopback addresses only",
            };
            return Err(Error::new(Kind::Forbidden, sentence));
        }
    }
    Ok(())
}

/// The host of `host[:port]`. User, path and query have no place in it, though a URL reader would step over them.
fn parse(name: &str) -> Option<Host> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':' | b'[' | b']');
    let url = name.bytes().all(plain).then(|| Url::parse(&format!("http://{name}")).ok()).flatten()?;
    url.host().map(|host| host.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn asked(hosts: &[&str], target: Option<&str>) -> Option<Kind> {
        let headers = hosts.iter().map(|host| (header::HOST, host.parse().unwrap())).collect();
        let base = Url::parse("https://curbside.example/x").unwrap();
        check(&headers, Version::HTTP_11, target, Some(&base)).err().map(|e| e.kind)
    }

    #[test]
    fn one_name_that_is_ours_is_answered_and_no_other_form() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:8080",
            "127.9.9.9",
            "[::1]",
            "[::1]:80",
            "localhost",
            "LOCALHOST:1",
            "curbside.example",
            "Curbside.Example:443",
        ] {
            assert_eq!(asked(&[host], None), None, "{host}");
            assert_eq!(asked(&[host], Some(host)), None, "{host}");
        }
        for host in [
            "evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "0.0.0.0",
            "[::]",
            "curbside.example.evil",
            "xcurbside.example",
            "localhost.evil",
        ] {
            assert_eq!(asked(&[host], None), Some(Kind::Forbidden), "{host}");
            assert_eq!(asked(&["127.0.0.1"], Some(host)), Some(Kind::Forbidden), "{host}");
        }
        for host in [
            "",
            "127.0.0.1/evil",
            "user@127.0.0.1",
            "evil.example@127.0.0.1",
            "127.0.0.1?x",
            "127.0.0.1#x",
            "127.0.0.1\\evil",
            "127.0.0.1 evil",
            "127.0.0.1,evil",
            "127.0.0.1:port",
            "127.0.0.1:99999",
            ":80",
            "[::1",
            "http://127.0.0.1",
        ] {
            assert_eq!(asked(&[host], None), Some(Kind::Invalid), "{host}");
            assert_eq!(asked(&["127.0.0.1"], Some(host)), Some(Kind::Invalid), "{host}");
        }
        let address = Url::parse("https://192.0.2.20/").unwrap();
        let headers = HeaderMap::from_iter([(header::HOST, "192.0.2.20:443".parse().unwrap())]);
        assert!(check(&headers, Version::HTTP_11, None, Some(&address)).is_ok(), "public_base may be an address");
        assert_eq!(asked(&[], None), Some(Kind::Invalid));
        assert_eq!(asked(&["127.0.0.1", "127.0.0.1"], None), Some(Kind::Invalid));
        assert!(check(&HeaderMap::new(), Version::HTTP_10, None, None).is_ok());
    }

    proptest! {
        #[test]
        fn only_a_name_of_ours_passes(name in "(127\\.0\\.0\\.1|localhost|evil)?[!-~]{0,12}") {
            if asked(&[&name], None).is_none() {
                let bare = name.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
                let bare = bare.map_or(name.as_str(), |(bare, _)| bare).to_ascii_lowercase();
                let numeric = bare.bytes().all(|b| b.is_ascii_hexdigit() || matches!(b, b'.' | b'x' | b'[' | b']' | b':'));
                prop_assert!(numeric || ["localhost", "curbside.example"].contains(&bare.as_str()), "{}", name);
            }
        }
    }
}
