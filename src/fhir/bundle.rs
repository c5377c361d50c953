//! Bundles of others, split into resources without reading them. <https://hl7.org/fhir/R4/bundle.html>

#[cfg(test)]
mod tests;
mod wire;

use std::{collections::HashSet, sync::Arc};

use compact_str::CompactString as Text;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Cursor, Reference, lenient};
use crate::egress::Base;
use wire::{Entry, Issue, Items, Link, Outcome, Response, Wire, items};

/// Resources taken of one search or one Bundle; what is beyond is told.
pub const MAX_RESOURCES: usize = 2_000;
const MAX_LINKS: usize = 20;
const MAX_ISSUES: usize = 50;

/// A resource as it came: what a client sent stays with the request, and is not copied where it is read.
pub type Raw = Arc<Box<RawValue>>;

/// The parts of one answer to a read or a search, its resources still as they came.
#[derive(Debug, Default)]
pub struct Split {
    pub resources: Vec<Raw>,
    /// Not a resource by itself, nor an error.
    pub is_bundle: bool,
    /// The server of each resource, where the Bundle gives its address.
    servers: Vec<Option<String>>,
    /// Sentences about what was left out of `resources`: the rest is not all there was.
    pub problems: Vec<String>,
    /// `link[relation=next].url`, as it came: it may be relative and may point anywhere.
    pub next: Option<String>,
    /// `link[relation=self].url`, as it came: the query that the server says it answered.
    pub own: Option<String>,
    /// How many matches the server says there are.
    pub total: Option<u64>,
    /// How many of the resources ride along and are no matches.
    pub included: usize,
    /// Something in it shows that it may not be all there is, though nothing of it was left out.
    pub doubtful: bool,
    /// Why there is no data at all: the server reported an error and no match. An empty search has `None`.
    pub failed: Option<String>,
}

impl Split {
    /// The resources that are not said to be of another server than this one, and a sentence on those that are: an id is
    /// one record's at one server only.
    ///
    /// Without a base all are taken: where no EHR is named there is none that they could be of.
    pub fn of(&self, base: Option<&Base>) -> (Vec<&Raw>, Option<String>) {
        let server = |at: usize| self.servers.get(at).and_then(Option::as_deref);
        let is_here = |(at, _): &(usize, _)| server(*at).is_none_or(|server| base.is_none_or(|base| base.is(server)));
        let here: Vec<&Raw> = self.resources.iter().enumerate().filter(is_here).map(|(_, resource)| resource).collect();
        let elsewhere = self.resources.len() - here.len();
        let told = format!("{elsewhere} record(s) of another server were received and not used");
        (here, (elsewhere > 0).then_some(told))
    }
}

/// Splits a Bundle; any other resource is itself the only one, and an OperationOutcome is a failure.
///
/// The legacy wrapper `{"response": {"status": "200 OK"}, "resource": …}` of the first drafts of CDS Hooks is unwrapped.
/// Errors say that the text is no resource, and where; never what stood there.
pub fn split(raw: &RawValue) -> Result<Split, String> {
    take(&mut Cursor::new(raw.get())).unwrap_or_else(|| Err("not a FHIR resource".into()))
}

/// Takes what is in front and splits it in the same way. `None`: what is in front is no JSON.
pub fn take(at: &mut Cursor) -> Option<Result<Split, String>> {
    // Nearly every Bundle can be read at one go; one that cannot is read once more, an entry at a time.
    let mut after = *at;
    let read = after.value::<Wire<Items<Entry, MAX_RESOURCES>>>();
    let read = match read {
        Some(wire) if wire.is_bundle() => {
            *at = after;
            return Some(Ok(bundle(wire, at_one_go)));
        }
        read => read,
    };
    let raw: &RawValue = at.value()?;
    Some(match read {
        Some(wire) => other(raw, wire),
        None => parse::<Wire<&RawValue>>(raw).and_then(|wire| match wire.is_bundle() {
            true => Ok(bundle(wire, one_by_one)),
            false => other(raw, wire),
        }),
    })
}

/// The items of `Bundle.entry`, a null as none, and how many were left out.
type Entries<'a> = (Vec<Option<Result<Entry<'a>, String>>>, usize);

fn at_one_go(read: Items<Entry, MAX_RESOURCES>) -> Entries {
    (read.items.into_iter().map(|item| item.map(Ok)).collect(), read.left_out)
}

fn one_by_one(entry: &RawValue) -> Entries<'_> {
    let read = items::<MAX_RESOURCES>(Some(entry));
    (read.items.into_iter().map(|item| item.map(parse)).collect(), read.left_out)
}

fn bundle<'a, E>(wire: Wire<'a, E>, entries_of: impl FnOnce(E) -> Entries<'a>) -> Split {
    let unused =
        |told: &str| Split { is_bundle: true, problems: vec![told.to_owned()], doubtful: true, ..Split::default() };
    let kind = wire.kind.and_then(|kind| parse::<String>(kind).ok());
    // INVARIANT: what_a_bundle_does_not_give_as_it_stands_is_no_fact
    if kind.as_deref() == Some("history") {
        return unused("the EHR sent a history of changes and not the records as they stand, so it was not used");
    }
    if wire.implicit_rules.is_some() || wire.modifier_extension.is_some() {
        return unused(
            "the EHR's answer is changed in meaning (modifier extension or rules) in a way we do not know, so it was not used",
        );
    }
    let entries = entries(wire.entry.map(entries_of).unwrap_or_default(), wire.link);
    let mut split = Split { is_bundle: true, ..entries };
    split.total = wire.total.and_then(|total| total.get().parse().ok());
    split.doubtful |= wire.total.is_some() && split.total.is_none();
    // INVARIANT: a_bundle_that_may_not_be_all_is_doubtful
    split.doubtful |= kind.as_deref() != Some("searchset");
    if let Some(meta) = wire.meta {
        let partial = ["SUBSETTED", "REDACTED"].into_iter().any(|tag| meta.get().contains(tag));
        // A tag may be written with escapes.
        split.doubtful |= partial || meta.get().contains('\\');
        split.problems.extend(partial.then(|| "the EHR marks its answer as a part of what it has".to_owned()));
    }
    split
}

/// What is no Bundle.
fn other<E>(raw: &RawValue, wire: Wire<E>) -> Result<Split, String> {
    match (wire.resource_type.as_deref(), wire.response) {
        (Some("OperationOutcome"), _) => Ok(failed(reported(worst(raw).unwrap_or("unknown")))),
        (Some(_), _) => Ok(Split { resources: vec![Arc::new(raw.to_owned())], ..Split::default() }),
        (None, Some(response)) => match (refusal(&response), wire.resource) {
            (Some(refusal), _) => Ok(failed(refusal)),
            (None, Some(inner)) if lenient::resource_type(inner).is_some() => split(inner),
            (None, _) => Err("the wrapper holds no resource".into()),
        },
        (None, None) => Err("not a FHIR resource".into()),
    }
}

fn entries((items, left_out): Entries, link: Option<&RawValue>) -> Split {
    let mut split = Split::default();
    let mut errors = Vec::new();
    let (mut unreadable, mut empty) = (0, 0);
    for item in items {
        let Some(item) = item else {
            empty += 1;
            continue;
        };
        let Ok(entry) = item else {
            unreadable += 1;
            continue;
        };
        if let Some(refusal) = entry.response.as_ref().and_then(refusal) {
            errors.push(refusal);
            continue;
        }
        if entry.request.and_then(|request| request.method).is_some_and(|method| method.eq_ignore_ascii_case("DELETE"))
        {
            split.problems.push("an entry says that its record was deleted, so it was not used".into());
            continue;
        }
        if entry.modifier_extension.is_some() {
            split.problems.push("an entry is changed in meaning in a way we do not know, so it was not used".into());
            continue;
        }
        let Some(resource) = entry.resource else {
            empty += 1;
            continue;
        };
        let [resource_type, id] = lenient::members(resource, ["resourceType", "id"]);
        let Some(resource_type) = resource_type.and_then(|raw| parse::<Text>(raw).ok()) else {
            unreadable += 1;
            continue;
        };
        // A `urn:` is a name within the Bundle and says nothing of the record.
        let full_url = entry.full_url.as_deref().filter(|url| !url.starts_with("urn:"));
        let address = full_url.and_then(Reference::parse);
        split.doubtful |= full_url.is_some() && address.is_none();
        let mode = entry.search.and_then(|search| search.mode);
        let marked = mode.as_deref() == Some("outcome");
        if resource_type == "OperationOutcome" {
            split.doubtful = true;
            match worst(resource) {
                Some(code) => errors.push(reported(code)),
                None => split.problems.extend(warned(resource)),
            }
        } else if marked {
            split.problems.push("an entry marked as an outcome is none and was left out".into());
        } else if address.as_ref().is_some_and(|address| !is_of(&resource_type, id, address)) {
            split
                .problems
                .push("the address of an entry names another record than the one in it, so it was not used".into());
        } else {
            let server = address.map(|address| address.base).filter(|server| !server.is_empty());
            split.servers.push(server.map(str::to_owned));
            split.included += usize::from(mode.as_deref() == Some("include"));
            split.resources.push(Arc::new(resource.to_owned()));
        }
    }
    if unreadable > 0 {
        split.problems.push(format!("{unreadable} of the Bundle's entries could not be read"));
    }
    // INVARIANT: an_entry_without_a_record_is_told
    if empty > 0 {
        split.doubtful = true;
        split.problems.push(format!("{empty} of the Bundle's entries hold no record"));
    }
    if left_out > 0 {
        split.problems.push(format!("the Bundle has more than {MAX_RESOURCES} entries; {left_out} were left out"));
    }
    let mut told = HashSet::new();
    split.problems.retain(|problem| told.insert(problem.clone()));
    errors.dedup();
    errors.truncate(MAX_ISSUES);
    match split.resources.is_empty() {
        true => split.failed = errors.into_iter().next(),
        false => split.problems.append(&mut errors),
    }
    let links = self::items::<MAX_LINKS>(link);
    split.doubtful |= links.left_out > 0;
    for link in links.items.into_iter().flatten() {
        match parse::<Link>(link) {
            Ok(Link { relation: Some(relation), url }) => {
                let place = match relation.trim().to_ascii_lowercase().as_str() {
                    "next" => &mut split.next,
                    "self" => &mut split.own,
                    _ => continue,
                };
                match url {
                    Some(url) if place.is_none() => *place = Some(url),
                    _ => split.doubtful = true,
                }
            }
            Ok(_) => {}
            Err(_) => split.doubtful = true,
        }
    }
    split
}

/// Whether it is the resource that an address names.
fn is_of(resource_type: &str, id: Option<&RawValue>, named: &Reference) -> bool {
    resource_type == named.resource_type && id.is_some_and(|id| id.get().trim_matches('"') == named.id)
}

fn failed(reason: String) -> Split {
    Split { failed: Some(reason), ..Split::default() }
}

fn reported(code: &str) -> String {
    format!("the server reported an error ({code})")
}

/// A status other than 2xx, as a sentence with its number and nothing else.
fn refusal(response: &Response) -> Option<String> {
    let status = response.status.as_deref()?.trim();
    let number: Option<u16> = status.get(..3).and_then(|digits| digits.parse().ok());
    match number {
        Some(200..=299) => None,
        Some(number) => Some(format!("the server answered with status {number}")),
        None => Some("the server answered with an unreadable status".into()),
    }
}

/// The issues of an outcome, the first of them; one that cannot be read is `None`.
fn issues(raw: &RawValue) -> Option<impl Iterator<Item = Option<Issue>>> {
    let outcome = parse::<Outcome>(raw).ok()?;
    let issues = items::<MAX_ISSUES>(outcome.issue).items.into_iter().flatten();
    Some(issues.map(|issue| parse::<Issue>(issue).ok()))
}

/// What a warning says beside data, where it says that something may be lacking.
// INVARIANT: a_warning_that_something_may_be_lacking_is_told
fn warned(raw: &RawValue) -> Option<String> {
    const LACKING: [&str; 10] = [
        "incomplete",
        "suppressed",
        "forbidden",
        "security",
        "login",
        "expired",
        "too-costly",
        "throttled",
        "timeout",
        "transient",
    ];
    let code = issues(raw)?.flatten().find_map(|issue| {
        let warning = issue.severity.is_some_and(|severity| severity == "warning");
        LACKING.into_iter().find(|code| warning && issue.code.as_deref() == Some(code))
    })?;
    Some(format!("the server warned that its answer may not be all ({code})"))
}

/// The code of the first issue that is an error; `None` where all are warnings or information.
///
/// The text of an outcome may name the patient, so a code is passed on only if it is one of the standard's.
fn worst(raw: &RawValue) -> Option<&'static str> {
    let Some(mut issues) = issues(raw) else { return Some("unknown") };
    issues.find_map(|issue| match issue {
        Some(Issue { severity: Some(severity), code }) if severity == "error" || severity == "fatal" => {
            Some(ISSUE_TYPES.into_iter().find(|known| code.as_deref() == Some(known)).unwrap_or("unknown"))
        }
        Some(_) => None,
        None => Some("unknown"),
    })
}

/// <https://hl7.org/fhir/R4/valueset-issue-type.html>
const ISSUE_TYPES: [&str; 31] = [
    "invalid",
    "structure",
    "required",
    "value",
    "invariant",
    "security",
    "login",
    "unknown",
    "expired",
    "forbidden",
    "suppressed",
    "processing",
    "not-supported",
    "duplicate",
    "multiple-matches",
    "not-found",
    "deleted",
    "too-long",
    "code-invalid",
    "extension",
    "too-costly",
    "business-rule",
    "conflict",
    "transient",
    "lock-error",
    "no-store",
    "exception",
    "timeout",
    "incomplete",
    "throttled",
    "informational",
];

fn parse<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Result<T, String> {
    lenient::read(raw)
}
