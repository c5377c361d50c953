//! The only builder of HTTP clients, and the one pure function that says where a request and a token may go.
//!
//! URLs reach us inside data (`fhirServer`, `Bundle.link`, `Endpoint.address`, absolute references). None is contacted
//! unless its parsed scheme, host, port and path segments lie under a base the caller is allowed.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use reqwest::{
    dns::{Addrs, Name, Resolve, Resolving},
    header,
};
use tokio::time::Instant;
use url::{Host, Url};

use crate::error::{Error, Kind, Result};

/// A bearer token of one request. No Debug, Display or Serialize: it cannot reach a log, an error or a store.
#[derive(Clone)]
pub struct AccessToken(String);

impl AccessToken {
    pub fn new(token: String) -> Self {
        AccessToken(token)
    }
}

/// What an upstream answered: any status, the body read whole within the limit.
pub struct Reply {
    pub status: u16,
    pub content_type: String,
    pub retry_after: Option<Duration>,
    pub body: Bytes,
}

/// One GET.
pub struct Get<'a> {
    pub url: &'a Url,
    /// Bases of which one must contain `url`.
    pub allowed: &'a [Url],
    pub accept: &'a str,
    pub token: Option<&'a AccessToken>,
    pub max_bytes: usize,
    pub deadline: Instant,
}

/// The HTTP client of the process: no redirects, no proxy variables, no decompression.
#[derive(Clone)]
pub struct Egress {
    client: reqwest::Client,
}

impl Egress {
    pub fn new() -> Result<Egress> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .dns_resolver(Arc::new(Resolver))
            .connect_timeout(Duration::from_secs(5))
            .pool_idle_timeout(Duration::from_secs(30))
            .user_agent(concat!("curbside/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| Error::fault("the HTTP client could not be built").because(e))?;
        Ok(Egress { client })
    }

    /// Sends one request and reads the whole answer. Never follows a redirect: a 3xx is an answer like any other.
    pub async fn get(&self, get: Get<'_>) -> Result<Reply> {
        Self::send(&get, self.client.get(get.url.clone())).await
    }

    /// The same with a JSON body. Upstreams are only read; the demonstration calls its own hook with this.
    pub async fn post(&self, to: Get<'_>, json: String) -> Result<Reply> {
        let request = self.client.post(to.url.clone()).header(header::CONTENT_TYPE, "application/json").body(json);
        Self::send(&to, request).await
    }

    async fn send(get: &Get<'_>, request: reqwest::RequestBuilder) -> Result<Reply> {
        if !permitted(get.url, get.allowed) {
            let refused = "the address lies outside the allowed bases and was not contacted";
            return Err(Error::new(Kind::Forbidden, refused));
        }
        let late = |_| Error::timeout("no answer before the deadline");
        tokio::time::timeout_at(get.deadline, Self::exchange(get, request)).await.map_err(late)?
    }

    async fn exchange(get: &Get<'_>, request: reqwest::RequestBuilder) -> Result<Reply> {
        let mut request = request.header(header::ACCEPT, get.accept).header(header::ACCEPT_ENCODING, "identity");
        if let Some(token) = get.token {
            request = request.bearer_auth(&token.0);
        }
        // reqwest's errors print the URL, and the URL may be a credential or name a patient.
        let mut response = request.send().await.map_err(|e| Error::upstream(failure(&e)))?;
        let header = |name| response.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let status = response.status().as_u16();
        let content_type = header(header::CONTENT_TYPE).unwrap_or_default();
        let retry_after = header(header::RETRY_AFTER).and_then(|v| v.trim().parse().ok()).map(Duration::from_secs);
        if header(header::CONTENT_ENCODING).is_some_and(|coding| !coding.trim().eq_ignore_ascii_case("identity")) {
            return Err(Error::upstream("the answer is compressed though that was declined"));
        }
        let too_large = || Error::too_large("the answer is larger than the limit");
        if response.content_length().is_some_and(|n| n > get.max_bytes as u64) {
            return Err(too_large());
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| Error::upstream(failure(&e)))? {
            if body.len() + chunk.len() > get.max_bytes {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply { status, content_type, retry_after, body: body.freeze() })
    }
}

fn failure(error: &reqwest::Error) -> &'static str {
    if error.is_builder() {
        "the request could not be written: the address or the access token holds characters that HTTP does not carry"
    } else if error.is_connect() {
        "the connection failed"
    } else if error.is_timeout() {
        "no answer in time"
    } else {
        "the connection broke before the answer was complete"
    }
}

/// Whether a request may go to `url`: http or https, no userinfo, no fragment, never link-local, under an allowed base.
///
/// Whoever holds a token asks this same function, with the bases the token is meant for, before putting it in [`Get`].
// INVARIANT: nothing_goes_outside_the_allowed_bases
pub fn permitted(url: &Url, allowed: &[Url]) -> bool {
    let plain = matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
    plain && url.fragment().is_none() && !names_link_local(url) && allowed.iter().any(|base| under(url, base))
}

/// Whether `url` lies under `base`, by parsed origin and whole path segments.
pub fn under(url: &Url, base: &Url) -> bool {
    let same_host = url.host().is_some() && url.host() == base.host();
    if url.scheme() != base.scheme() || !same_host || url.port_or_known_default() != base.port_or_known_default() {
        return false;
    }
    let Some(rest) = url.path().strip_prefix(base.path().trim_end_matches('/')) else { return false };
    // An encoded slash, dot or percent sign, or a path parameter such as `..;`, would let the server see other
    // segments than we compare.
    let hidden = ["%2f", "%2e", "%5c", "%25", ";", "%3b"].iter().any(|code| rest.to_ascii_lowercase().contains(code));
    !hidden && (rest.is_empty() || rest.starts_with('/'))
}

/// `base` with `path` (and its query) appended, the same with and without a trailing slash on the base.
///
/// Refused where `..` in the path leaves the base.
pub fn join(base: &Url, path: &str) -> Result<Url> {
    let mut root = base.clone();
    root.set_query(None);
    root.set_fragment(None);
    let text = format!("{}/{}", root.as_str().trim_end_matches('/'), path.trim_start_matches('/'));
    let joined = Url::parse(&text).ok().filter(|url| under(url, base));
    joined.ok_or_else(|| Error::invalid("not an address under the base"))
}

/// Address literals skip the resolver, so they are judged here.
fn names_link_local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => link_local(IpAddr::V4(ip)),
        Some(Host::Ipv6(ip)) => link_local(IpAddr::V6(ip)),
        _ => false,
    }
}

/// Addresses at which clouds hand out credentials, in every way of writing them.
fn link_local(ip: IpAddr) -> bool {
    const CREDENTIALS: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    match ip.to_canonical() {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => {
            let embedded = match v6.segments() {
                [0, 0, 0, 0, 0, 0, high, _] | [0x64, 0xff9b, 0, 0, 0, 0, high, _] | [0x2002, high, ..] => Some(high),
                _ => None,
            };
            v6.is_unicast_link_local() || v6 == CREDENTIALS || embedded == Some(0xa9fe)
        }
    }
}

/// The system's resolver without the answers that are never to be connected to.
struct Resolver;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(Box::new(contactable(found)?.into_iter()) as Addrs)
        })
    }
}

// INVARIANT: a_name_that_resolves_to_link_local_is_not_contacted
fn contactable(found: impl Iterator<Item = SocketAddr>) -> std::result::Result<Vec<SocketAddr>, &'static str> {
    let addresses: Vec<_> = found.filter(|address| !link_local(address.ip())).collect();
    if addresses.is_empty() { Err("the name has no address that may be contacted") } else { Ok(addresses) }
}

impl fmt::Debug for Egress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Egress")
    }
}

#[cfg(test)]
mod tests;
