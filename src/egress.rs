//! The only builder of HTTP clients. [`destination`] is the one function that says where a request and its token go.
//!
//! URLs reach us inside data (`fhirServer`, `Bundle.link`, `Endpoint.address`, absolute references). None is contacted
//! unless its parsed scheme, host, port and path segments lie under a base the caller is allowed.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, NaiveDateTime, Utc};
use reqwest::{
    dns::{Addrs, Name, Resolve, Resolving},
    header,
};
use tokio::time::{Instant, timeout_at};
use url::Url;

use self::destination::link_local;
use crate::{
    capacity::{Memory, Share},
    error::{Error, Kind, Result, SOON},
};

mod destination;

pub use destination::{Base, address, destination, join, link, permitted, under};

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
    /// The pause the server asked for, whether it wrote seconds or a date.
    pub retry_after: Option<Duration>,
    pub body: Bytes,
    /// The body's share of the memory there is for answers, to be kept as long as what is made of it.
    pub share: Share,
}

/// One GET.
pub struct Get<'a> {
    pub url: &'a Url,
    /// Bases of which one must contain `url`; the request goes where that one is reached.
    pub allowed: &'a [Base],
    pub accept: &'a str,
    /// Goes where the request goes and nowhere else.
    pub token: Option<&'a AccessToken>,
    pub max_bytes: usize,
    pub deadline: Instant,
}

/// An HTTP client: no redirects, no proxy variables, no decompression, and a limit on all answers that are held at once.
#[derive(Clone)]
pub struct Egress {
    client: reqwest::Client,
    memory: Memory,
}

impl Egress {
    pub fn new(max_held_bytes: usize) -> Result<Egress> {
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
        Ok(Egress { client, memory: Memory::of(max_held_bytes) })
    }

    /// Sends one request and reads the whole answer. Never follows a redirect: a 3xx is an answer like any other.
    ///
    /// No room for the answer before the deadline: `Busy`.
    pub async fn get(&self, get: Get<'_>) -> Result<Reply> {
        self.send(&get, None, None).await
    }

    /// The same with a JSON body. Upstreams are only read; the demonstration calls its own hook with this.
    pub async fn post(&self, to: Get<'_>, json: String) -> Result<Reply> {
        self.send(&to, Some(json), None).await
    }

    /// The same for a reader of that language, as `Accept-Language` names it.
    pub async fn post_for(&self, to: Get<'_>, json: String, language: &str) -> Result<Reply> {
        self.send(&to, Some(json), Some(language)).await
    }

    async fn send(&self, get: &Get<'_>, json: Option<String>, language: Option<&str>) -> Result<Reply> {
        let Some(to) = destination(get.url, get.allowed) else {
            let refused = "the address lies outside the allowed bases and was not contacted";
            return Err(Error::new(Kind::Forbidden, refused));
        };
        let request = match json {
            None => self.client.get(to),
            Some(json) => self.client.post(to).header(header::CONTENT_TYPE, "application/json").body(json),
        };
        let late = |_| Error::timeout("no answer before the deadline");
        let mut request = request.header(header::ACCEPT, get.accept).header(header::ACCEPT_ENCODING, "identity");
        if let Some(token) = get.token {
            request = request.bearer_auth(&token.0);
        }
        if let Some(language) = language {
            request = request.header(header::ACCEPT_LANGUAGE, language);
        }
        // reqwest's errors print the URL, and the URL may be a credential or name a patient.
        let sent = timeout_at(get.deadline, request.send()).await.map_err(late)?;
        let mut response = sent.map_err(|e| Error::upstream(failure(&e)))?;
        let header = |name| response.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let status = response.status().as_u16();
        let content_type = header(header::CONTENT_TYPE).unwrap_or_default();
        let date = header(header::DATE);
        let retry_after = header(header::RETRY_AFTER).and_then(|pause| retry_after(&pause, date.as_deref()));
        if header(header::CONTENT_ENCODING).is_some_and(|coding| !coding.trim().eq_ignore_ascii_case("identity")) {
            return Err(Error::upstream("the answer is compressed though that was declined"));
        }
        let too_large = || Error::too_large("the answer is larger than the limit");
        let most = response.content_length().map_or(Ok(get.max_bytes), usize::try_from).unwrap_or(usize::MAX);
        if most > get.max_bytes {
            return Err(too_large());
        }
        // INVARIANT: an_answer_is_read_only_once_there_is_room_for_all_of_it
        // Taken piece by piece, several large answers would each hold a part and wait for the rest.
        let share = self.memory.share_by(most, get.deadline).await;
        let mut share = share.ok_or_else(|| Error::busy("this server had no room for the answer", SOON))?;
        let read = async {
            let mut body = BytesMut::new();
            while let Some(chunk) = response.chunk().await.map_err(|e| Error::upstream(failure(&e)))? {
                if body.len() + chunk.len() > most {
                    return Err(too_large());
                }
                body.extend_from_slice(&chunk);
            }
            Ok(body.freeze())
        };
        let body = timeout_at(get.deadline, read).await.map_err(late)??;
        share.shrink(body.len());
        Ok(Reply { status, content_type, retry_after, body, share })
    }

    /// Bytes of answers for which there is room.
    pub fn room(&self) -> usize {
        self.memory.left()
    }
}

/// Seconds, or a date counted from the server's own clock where it tells the time, so that a wrong one does not matter.
/// <https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3>
fn retry_after(pause: &str, date: Option<&str>) -> Option<Duration> {
    if let Ok(seconds) = pause.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let now = date.and_then(http_date).unwrap_or_else(Utc::now);
    Some((http_date(pause)? - now).to_std().unwrap_or(Duration::ZERO))
}

/// The three ways of writing a date that HTTP knows, two of them of old.
fn http_date(text: &str) -> Option<DateTime<Utc>> {
    let of_old = ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
    let of_old = of_old.iter().find_map(|form| NaiveDateTime::parse_from_str(text.trim(), form).ok());
    DateTime::parse_from_rfc2822(text.trim()).ok().map(|date| date.to_utc()).or(of_old.map(|date| date.and_utc()))
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
