//! Where a request may go. Pure: one function answers for every way in which an address can reach us.

use std::net::{IpAddr, Ipv6Addr};

use url::{Host, Url};

use crate::error::{Error, Result};

/// An upstream server: the base it is known by in data, and the one under which it is reached from here.
///
/// `Url::into` makes one for which both are the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Base {
    named: Url,
    reachable: Url,
}

impl Base {
    pub fn new(named: Url, reachable: Url) -> Base {
        Base { named, reachable }
    }

    /// As `fhirServer` and references say it. Evidence and citations keep it.
    pub fn named(&self) -> &Url {
        &self.named
    }

    /// Where requests and tokens go.
    pub fn reachable(&self) -> &Url {
        &self.reachable
    }

    /// The named base as text.
    pub fn as_str(&self) -> &str {
        self.named.as_str()
    }

    /// Whether `text` is this server by either address, with or without a trailing slash.
    pub fn is(&self, text: &str) -> bool {
        let same = |text: &str| {
            let bare = text.strip_suffix('/').unwrap_or(text);
            [&self.named, &self.reachable].iter().any(|base| bare == base.as_str().trim_end_matches('/'))
        };
        same(text) || address(text).is_some_and(|url| same(url.as_str()))
    }

    /// The address to connect to for `url`, if it is one of this server's.
    fn reach(&self, url: &Url) -> Option<Url> {
        let direct = || under(url, &self.reachable).then(|| url.clone());
        let moved = || {
            let rest = under(url, &self.named).then(|| url.path().strip_prefix(bare_path(&self.named))).flatten()?;
            let mut reached = self.reachable.clone();
            reached.set_path(&format!("{}{rest}", bare_path(&self.reachable)));
            reached.set_query(url.query());
            Some(reached)
        };
        // Where one of the two lies under the other, the longer one is meant.
        match bare_path(&self.reachable).len() >= bare_path(&self.named).len() {
            true => direct().or_else(moved),
            false => moved().or_else(direct),
        }
    }
}

impl From<Url> for Base {
    fn from(url: Url) -> Base {
        Base { named: url.clone(), reachable: url }
    }
}

impl std::str::FromStr for Base {
    type Err = url::ParseError;
    fn from_str(text: &str) -> std::result::Result<Base, url::ParseError> {
        Url::parse(text).map(Base::from)
    }
}

/// The address that `text` is: http or https, without user and fragment, and of a path that needs no tidying up. None for
/// anything else.
///
/// A path with `..`, `.` or a backslash in it, in whatever encoding, says one thing to whoever tidies it up and another to
/// whoever does not, and no server names itself or its pages so.
// INVARIANT: an_address_means_the_same_to_every_reader
pub fn address(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let (_, rest) = text.split_once("://")?;
    let path = rest.find(['/', '\\', '?', '#']).map_or("", |at| &rest[at..]);
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let tidy = path == url.path() || (path.is_empty() && url.path() == "/");
    (plain(&url) && tidy).then_some(url)
}

/// The address that a link on the page at `page` leads to: an [`address`], or what is written relative to the page.
pub fn link(page: &Url, text: &str) -> Option<Url> {
    if Url::parse(text).is_ok() { address(text) } else { page.join(text).ok() }
}

fn plain(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
        && url.username().is_empty()
        && url.password().is_none()
        && url.fragment().is_none()
}

/// Where a request to `url` goes, and the token with it; `None`: nowhere.
///
/// It goes to the reachable address of an allowed base under which `url` lies: http or https, no userinfo, no fragment,
/// never link-local.
// INVARIANT: nothing_goes_outside_the_allowed_bases
pub fn destination(url: &Url, allowed: &[Base]) -> Option<Url> {
    if !plain(url) || names_link_local(url) {
        return None;
    }
    allowed.iter().find_map(|base| base.reach(url)).filter(|reached| !names_link_local(reached))
}

/// Whether a request may go to `url` at all: whether there is a [`destination`].
pub fn permitted(url: &Url, allowed: &[Base]) -> bool {
    destination(url, allowed).is_some()
}

/// Whether `url` lies under `base`, by parsed origin and whole path segments.
pub fn under(url: &Url, base: &Url) -> bool {
    let same_host = url.host().is_some() && url.host() == base.host();
    if url.scheme() != base.scheme() || !same_host || url.port_or_known_default() != base.port_or_known_default() {
        return false;
    }
    let Some(rest) = url.path().strip_prefix(bare_path(base)) else { return false };
    // An encoded slash, dot or percent sign, or a path parameter such as `..;`, would let the server see other
    // segments than we compare.
    let hidden = ["%2f", "%2e", "%5c", "%25", ";", "%3b"].iter().any(|code| rest.to_ascii_lowercase().contains(code));
    !hidden && (rest.is_empty() || rest.starts_with('/'))
}

fn bare_path(base: &Url) -> &str {
    base.path().trim_end_matches('/')
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
pub(super) fn link_local(ip: IpAddr) -> bool {
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
