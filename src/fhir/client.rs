//! Read and search on the caller's FHIR server, within the limits of one request. <https://hl7.org/fhir/R4/http.html>

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    slice,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, timeout_at},
};
use url::Url;

use super::{
    FHIR_JSON, Split,
    bundle::{MAX_RESOURCES, Raw},
    essence, is_id, is_json, lenient, same_search, split,
};
use crate::{
    capacity::{Processor, Share},
    egress::{self, AccessToken, Base, Egress, Get, Reply},
    error::{Error, Kind, Result},
};

/// The `[upstream]` section of the configuration: what one request may cost the caller's FHIR server, and us.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes of one answer.
    pub max_bytes_per_response: usize,
    /// Bytes of all answers together. Answers under way when it is reached are dropped.
    pub max_bytes: usize,
    /// Requests sent, repeats included.
    pub max_calls: usize,
    /// Pages of one search.
    pub max_pages: usize,
    /// Requests at once.
    pub parallel: usize,
    /// Bytes of the answers to all requests of ours together, each held until its request has been understood.
    pub max_held_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_bytes_per_response: 8 << 20,
            max_bytes: 32 << 20,
            max_calls: 50,
            max_pages: 10,
            parallel: 8,
            max_held_bytes: 256 << 20,
        }
    }
}

impl Limits {
    /// Refuses limits under which nothing could be fetched.
    pub fn check(&self) -> Result<()> {
        let all = [self.max_bytes_per_response, self.max_bytes, self.max_calls, self.max_pages, self.parallel];
        if all.contains(&0) || self.parallel > Semaphore::MAX_PERMITS {
            return Err(Error::invalid("a limit of [upstream] is zero or absurd"));
        }
        // A request alone is never refused for want of room.
        if self.max_bytes.saturating_add(self.max_bytes_per_response) > self.max_held_bytes {
            let least = "upstream.max_bytes and upstream.max_bytes_per_response together";
            return Err(Error::invalid(format!("upstream.max_held_bytes must be at least {least}")));
        }
        Ok(())
    }
}

/// What every answer is asked before it is used.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    resource_type: String,
    id: Option<String>,
}

type Resource = (Head, Raw);

/// What a search found. `complete` is false, and a problem says why, where anything may be missing.
#[derive(Debug)]
pub struct Found {
    pub resources: Vec<Raw>,
    pub complete: bool,
    pub problems: Vec<String>,
}

/// A client for one request: it holds that request's token, budget, deadline and share of memory, and ends with it.
#[derive(Clone)]
pub struct Client {
    egress: Egress,
    processor: Processor,
    base: Base,
    token: Option<AccessToken>,
    limits: Limits,
    deadline: Instant,
    permits: Arc<Semaphore>,
    calls: Arc<AtomicUsize>,
    bytes: Arc<AtomicUsize>,
    /// Of every answer that was used: what is made of one is held as long as this client.
    held: Arc<Mutex<Vec<Share>>>,
}

impl Client {
    /// `base` must be one of the caller's allowed bases: the token goes there and nowhere else.
    pub fn new(
        egress: Egress,
        processor: Processor,
        base: Base,
        token: Option<AccessToken>,
        limits: Limits,
        deadline: Instant,
    ) -> Client {
        let permits = Arc::new(Semaphore::new(limits.parallel.clamp(1, Semaphore::MAX_PERMITS)));
        let (calls, bytes, held) = Default::default();
        Client { egress, processor, base, token, limits, deadline, permits, calls, bytes, held }
    }

    pub fn has_token(&self) -> bool {
        self.token.is_some()
    }

    pub fn base(&self) -> &Base {
        &self.base
    }

    /// One resource by type and id. Another resource than the one asked for is an error.
    pub async fn read(&self, resource_type: &str, id: &str) -> Result<Raw> {
        if !is_type(resource_type) || !is_id(id) {
            return Err(Error::invalid("not a resource type and id"));
        }
        let url = egress::join(self.base.reachable(), &format!("{resource_type}/{id}"))?;
        let (head, raw) = self.fetch(&url, &FHIR, resource).await?;
        if head.resource_type == "OperationOutcome" {
            return Err(Error::upstream("the EHR answered with an OperationOutcome in place of the resource"));
        }
        // INVARIANT: a_resource_other_than_the_one_asked_for_is_refused
        if head.resource_type != resource_type || head.id.as_deref() != Some(id) {
            return Err(Error::upstream("the EHR answered with another resource than the one asked for"));
        }
        Ok(raw)
    }

    /// What lies at an address under the base, as it was sent, and its media type: the content of an attachment.
    ///
    /// `NotAcceptable` where the server has it in another form than `accept`.
    pub async fn content(&self, url: &Url, accept: &str, max_bytes: usize) -> Result<(String, Bytes)> {
        self.fetch(url, &Wanted { accept, max_bytes }, |reply| {
            sent(reply).map(|()| (reply.content_type.clone(), reply.body.clone()))
        })
        .await
    }

    /// The same client with an earlier deadline; limits are shared.
    pub fn until(&self, deadline: Instant) -> Client {
        Client { deadline: deadline.min(self.deadline), ..self.clone() }
    }

    /// Every page of a search, as far as the limits go. `query` is what [`super::query`] makes.
    ///
    /// An error only where the first page fails; whatever is missing later is named in the result.
    pub async fn search(&self, query: &str) -> Result<Found> {
        let mut at = egress::join(self.base.reachable(), query)?;
        let mut page = self.page(&at).await?;
        let mut seen = HashSet::from([at.clone()]);
        let mut found = Found { resources: Vec::new(), complete: true, problems: Vec::new() };
        let (total, mut included) = (page.total, 0);
        // INVARIANT: a_search_answered_otherwise_is_never_complete
        // The link to itself is the search that the server says it has made.
        if page.own.as_deref().is_some_and(|own| !same_search(own, query)) {
            found.complete = false;
            found.problems.push("the EHR says that it searched for something else than was asked".into());
        }
        loop {
            let (here, elsewhere) = page.of(Some(&self.base));
            found.complete &= page.problems.is_empty() && elsewhere.is_none() && !page.doubtful;
            included += page.included;
            found.resources.extend(here.into_iter().cloned());
            found.problems.extend(elsewhere);
            found.problems.append(&mut page.problems);
            if found.resources.len() > MAX_RESOURCES {
                found.resources.truncate(MAX_RESOURCES);
                found.complete = false;
                found.problems.push(format!("a search has more than {MAX_RESOURCES} results; the rest was left out"));
                return Ok(found);
            }
            let Some(next) = page.next else {
                if total.is_some_and(|total| total > found.resources.len().saturating_sub(included) as u64) {
                    found.complete = false;
                    found.problems.push("the EHR says that there is more than it sent".into());
                }
                return Ok(found);
            };
            // INVARIANT: a_next_link_leaves_neither_the_base_nor_the_limits
            let next =
                egress::link(&at, &next).and_then(|next| egress::destination(&next, slice::from_ref(&self.base)));
            let more = match next {
                Some(next) => {
                    at = next;
                    if !seen.insert(at.clone()) {
                        Err("the pages of a search repeat".to_owned())
                    } else if seen.len() > self.limits.max_pages {
                        Err(format!("a search has more than {} pages", self.limits.max_pages))
                    } else {
                        self.page(&at).await.map_err(|e| format!("a further page of a search could not be had: {e}"))
                    }
                }
                None => Err("the next page of a search lies outside the EHR's base and was not fetched".to_owned()),
            };
            match more {
                Ok(more) => page = more,
                Err(problem) => {
                    found.complete = false;
                    found.problems.push(problem);
                    return Ok(found);
                }
            }
        }
    }

    async fn page(&self, url: &Url) -> Result<Split> {
        let (head, page) = self.fetch(url, &FHIR, bundle).await?;
        match page.failed {
            Some(reason) => Err(Error::upstream(reason)),
            None if head.resource_type != "Bundle" => Err(Error::upstream("the answer to a search is not a Bundle")),
            None => Ok(page),
        }
    }

    /// One answer, the request repeated once where that may help and the time allows it.
    async fn fetch<T: Send + 'static>(&self, url: &Url, wanted: &Wanted<'_>, read: Read<T>) -> Result<T> {
        let permit = timeout_at(self.deadline, self.permits.acquire()).await;
        let _permit = permit.map_err(|_| Error::timeout("no answer from the EHR before the deadline"))?;
        let error = match self.attempt(url, wanted, read).await {
            Err(Failure { error, repeat: true }) => error,
            done => return done.map_err(|failure| failure.error),
        };
        let pause = error.retry_after.unwrap_or(Duration::ZERO) + jitter();
        if self.deadline.saturating_duration_since(Instant::now()) <= pause || self.calls_left() == 0 {
            return Err(error);
        }
        sleep(pause).await;
        self.attempt(url, wanted, read).await.map_err(|failure| failure.error)
    }

    async fn attempt<T: Send + 'static>(
        &self,
        url: &Url,
        wanted: &Wanted<'_>,
        read: Read<T>,
    ) -> std::result::Result<T, Failure> {
        let left = self.limits.max_bytes.saturating_sub(self.bytes.load(Ordering::Relaxed));
        let counted = self.calls.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |calls| {
            (calls < self.limits.max_calls).then_some(calls + 1)
        });
        if counted.is_err() || left == 0 {
            return Err(Error::upstream("the limit on calls or bytes for one request is used up").into());
        }
        let get = Get {
            url,
            allowed: slice::from_ref(&self.base),
            accept: wanted.accept,
            token: self.token.as_ref(),
            max_bytes: self.limits.max_bytes_per_response.min(wanted.max_bytes).min(left),
            deadline: self.deadline,
        };
        let reply = self.egress.get(get).await.map_err(|error| match error.kind {
            Kind::TooLarge => Error::upstream("the EHR's answer is larger than the limit").into(),
            kind => Failure { error, repeat: kind == Kind::Upstream },
        })?;
        // Requests in flight together each saw the same remainder: what goes over in sum is dropped here.
        let length = reply.body.len();
        if self.bytes.fetch_add(length, Ordering::Relaxed) + length > self.limits.max_bytes {
            return Err(Error::upstream("the limit on bytes for one request is used up").into());
        }
        let work = move || read(&reply).map(|made| (made, reply.share));
        let (made, share) = self.processor.work(length, self.deadline, work).await??;
        // INVARIANT: what_was_fetched_keeps_its_share_of_memory_until_its_request_ends
        self.held.lock().unwrap_or_else(PoisonError::into_inner).push(share);
        Ok(made)
    }

    fn calls_left(&self) -> usize {
        self.limits.max_calls.saturating_sub(self.calls.load(Ordering::Relaxed))
    }
}

/// In which form an answer is asked for, and how much of it is taken.
struct Wanted<'a> {
    accept: &'a str,
    max_bytes: usize,
}

const FHIR: Wanted = Wanted { accept: FHIR_JSON, max_bytes: usize::MAX };

/// What is made of an answer.
type Read<T> = fn(&Reply) -> std::result::Result<T, Failure>;

struct Failure {
    error: Error,
    repeat: bool,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure { error, repeat: false }
    }
}

fn resource(reply: &Reply) -> std::result::Result<Resource, Failure> {
    sent(reply)?;
    Ok(json(reply)?)
}

/// The answer to a search, and what it is.
fn bundle(reply: &Reply) -> std::result::Result<(Head, Split), Failure> {
    let (head, raw) = resource(reply)?;
    Ok((head, split(&raw).map_err(|_| not_fhir())?))
}

/// Whether the answer is one at all.
fn sent(reply: &Reply) -> std::result::Result<(), Failure> {
    let status = reply.status;
    let error = match status {
        200 => return Ok(()),
        401 | 403 => Error::new(Kind::Forbidden, "the EHR refused access"),
        404 | 410 => Error::not_found("the EHR does not have the resource"),
        406 => Error::new(Kind::NotAcceptable, "the EHR does not have it in a form that is read here (406)"),
        300..=399 => Error::upstream("the EHR answered with a redirect, which is not followed"),
        _ => Error::upstream(format!("the EHR answered with status {status}")),
    };
    let repeat = matches!(status, 429 | 500..=599) && status != 501;
    Err(Failure { error: Error { retry_after: reply.retry_after, ..error }, repeat })
}

/// The body if it is one FHIR resource; read without recursion, so depth cannot reach the stack.
fn json(reply: &Reply) -> Result<Resource> {
    let media_type = essence(&reply.content_type);
    if !media_type.is_empty() && !is_json(&media_type) {
        return Err(not_fhir());
    }
    let body = reply.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&reply.body);
    let raw: Box<RawValue> = serde_json::from_slice(body).map_err(|_| not_fhir())?;
    let head = lenient::read(&raw).map_err(|_| not_fhir())?;
    Ok((head, Arc::new(raw)))
}

fn not_fhir() -> Error {
    Error::upstream("the answer is not FHIR JSON")
}

/// A tenth to three tenths of a second, so that clients cut off together do not come back together.
fn jitter() -> Duration {
    Duration::from_millis(100 + RandomState::new().hash_one(0) % 200)
}

fn is_type(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_uppercase()) && text.chars().all(|c| c.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests;
