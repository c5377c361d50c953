//! The only builder of HTTP clients, and the one pure function that says where a request and a token may go.
//!
//! URLs reach us inside data (`fhirServer`, `Bundle.link`, `Endpoint.address`, absolute references). None is contacted
//! unless its parsed scheme, host, port and path segments lie under a base the caller is allowed.

use std::{fmt, net::IpAddr, time::Duration};

use bytes::{Bytes, BytesMut};
use reqwest::header;
use tokio::time::Instant;
use url::{Host, Url};

use crate::error::{Error, Result};

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
            return Err(Error::new(crate::error::Kind::Forbidden, "the address lies outside the allowed bases and was not contacted"));
        }
        tokio::time::timeout_at(get.deadline, Self::exchange(get, request)).await.map_err(|_| Error::timeout("no answer before the deadline"))?
    }

    async fn exchange(get: &Get<'_>, request: reqwest::RequestBuilder) -> Result<Reply> {
        let mut request = request.header(header::ACCEPT, get.accept);
        if let Some(token) = get.token {
            request = request.bearer_auth(&token.0);
        }
        // reqwest's errors print the URL, and the URL may be a credential or name a patient.
        let mut response = request.send().await.map_err(|e| Error::upstream(failure(&e)))?;
        let header = |name| response.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let status = response.status().as_u16();
        let content_type = header(header::CONTENT_TYPE).unwrap_or_default();
        let retry_after = header(header::RETRY_AFTER).and_then(|v| v.trim().parse().ok()).map(Duration::from_secs);
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
    if error.is_connect() {
        "the connection failed"
    } else if error.is_timeout() {
        "no answer in time"
    } else {
        "the connection broke before the answer was complete"
    }
}

/// Whether a request may go to `url`: http or https, no userinfo, no fragment, never link-local, under an allowed base.
pub fn permitted(url: &Url, allowed: &[Url]) -> bool {
    let plain = matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
    plain && url.fragment().is_none() && !link_local(url) && allowed.iter().any(|base| under(url, base))
}

/// Whether `url` lies under `base`, by parsed origin and whole path segments.
pub fn under(url: &Url, base: &Url) -> bool {
    if url.scheme() != base.scheme() || url.host() != base.host() || url.port_or_known_default() != base.port_or_known_default() {
        return false;
    }
    let trimmed = base.path().trim_end_matches('/');
    // An encoded slash or dot would let the server see other segments than we compare.
    let hidden = ["%2f", "%2e", "%5c"].iter().any(|code| url.path().to_ascii_lowercase().contains(code));
    !hidden && url.path().strip_prefix(trimmed).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn link_local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_link_local(),
        Some(Host::Ipv6(ip)) => {
            (ip.segments()[0] & 0xffc0) == 0xfe80 || matches!(IpAddr::V6(ip).to_canonical(), IpAddr::V4(v4) if v4.is_link_local())
        }
        _ => false,
    }
}

/// `base` with `path` appended, the same with and without a trailing slash on the base.
pub fn join(base: &Url, path: &str) -> Result<Url> {
    let text = format!("{}/{}", base.as_str().trim_end_matches('/'), path.trim_start_matches('/'));
    Url::parse(&text).map_err(|_| Error::invalid("not a URL under the base"))
}

impl fmt::Debug for Egress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Egress")
    }
}
