//! What an EHR sends when a hook fires. <https://cds-hooks.hl7.org/2.0/#calling-a-cds-service>
//!
//! Strict on what the product needs, lenient on the rest. No error repeats what stood in the request.

mod schema;

use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use url::Url;
use uuid::Uuid;

use super::prefetch::Prefetch;
use crate::{
    egress::{self, AccessToken},
    error::{Error, Result},
    fhir::{Cursor, Raw, Reference, is_id, split},
};

/// The hooks a service may be offered for, each with the members its context must have beside `patientId`.
pub const HOOKS: [(&str, &[&str]); 5] = [
    ("patient-view", &["userId"]),
    ("order-sign", &["userId", "draftOrders"]),
    ("order-select", &["userId", "selections", "draftOrders"]),
    ("encounter-start", &["userId", "encounterId"]),
    ("encounter-discharge", &["userId", "encounterId"]),
];

/// No server takes a longer one: it travels in a header.
const LONGEST_TOKEN: usize = 16 << 10;

/// One call of a service. No Debug: it holds patient data and a token.
pub struct HookRequest {
    pub hook: String,
    pub hook_instance: Uuid,
    /// Never absent beside an authorization.
    pub fhir_server: Option<Url>,
    pub authorization: Option<Authorization>,
    pub context: Context,
    pub prefetch: Prefetch,
    /// Code of a question, from `extension`, as sent; what is no string stands here as its JSON.
    pub question: Option<String>,
    /// Hex, over the body without the value of `fhirAuthorization`: a retry carries a fresh token. Only where it was wanted.
    pub body_sha256: Option<String>,
    /// Where the sender left the standard and was understood; fixed words for the log.
    pub deviations: Vec<&'static str>,
}

/// The right to read the EHR for this one call. No Debug, and it is dropped when fetching ends.
pub struct Authorization {
    pub token: AccessToken,
    /// Seconds.
    pub expires_in: Option<u64>,
    /// As sent: some EHRs' scopes are not in SMART's syntax.
    pub scope: Option<String>,
    /// Bare id; the same as the context's.
    pub patient: Option<String>,
}

/// The hook's context, as far as the product reads it.
pub struct Context {
    /// `Type/id`; `None` also where the sender wrote something else.
    pub user_id: Option<String>,
    /// Bare id.
    pub patient_id: String,
    /// Bare id.
    pub encounter_id: Option<String>,
    pub draft_orders: Option<Vec<Raw>>,
    /// Which of them were just selected, as sent. `None`: the hook knows no selection.
    pub selections: Option<Vec<String>>,
    /// Entries of `draftOrders` that could not be read.
    pub problems: Vec<String>,
}

type Member<'a> = Option<&'a RawValue>;

/// The members of a body that are read, but for `prefetch`.
const MEMBERS: [&str; 6] = ["hook", "hookInstance", "fhirServer", "fhirAuthorization", "context", "extension"];

impl HookRequest {
    /// Reads the body of `POST /cds-services/{id}`. Every error is `Invalid` and names its place.
    ///
    /// `kept`: the answer is kept for a retry, which is known by the body's hash.
    pub fn parse(body: &[u8], kept: bool) -> Result<HookRequest> {
        let text = std::str::from_utf8(body).ok().filter(|text| Cursor::new(text).is_object());
        let text =
            text.ok_or_else(|| Error::invalid("the body must be one JSON object in UTF-8 without a byte order mark"))?;
        // One pass over the body, in which what is in `prefetch` is split as well.
        let (mut at, mut members, mut prefetch, mut fault) = (Cursor::new(text), [None; _], None, None);
        let read = at.object(|name, at| {
            let repeated = match MEMBERS.iter().position(|member| *member == name) {
                Some(which) => members[which].replace(at.value()?).is_some(),
                None if name == "prefetch" => {
                    fault = Some(Prefetch::unreadable());
                    prefetch.replace(Prefetch::take(at)?).is_some()
                }
                None => at.value::<IgnoredAny>().map(|_| false)?,
            };
            fault = repeated.then(|| Error::invalid(format!("{name} must not be repeated")));
            (!repeated).then_some(())
        });
        if read.is_none() || !at.is_at_end() {
            serde_json::from_str::<IgnoredAny>(text).map_err(|e| {
                Error::invalid(format!("the body is not one JSON object, at line {} column {}", e.line(), e.column()))
            })?;
            return Err(fault.unwrap_or_else(|| Error::invalid("a name in the body is no text")));
        }
        HookRequest::read(kept.then_some(body), members.map(Option::flatten), prefetch.unwrap_or_default())
    }

    /// `kept` is the body whose hash is wanted.
    fn read(
        kept: Option<&[u8]>,
        [hook, hook_instance, fhir_server, fhir_authorization, context, extension]: [Member; MEMBERS.len()],
        prefetch: Prefetch,
    ) -> Result<HookRequest> {
        let mut deviations = Vec::new();
        let hook = required(string(hook, "hook")?, "hook")?;
        let instance = required(string(hook_instance, "hookInstance")?, "hookInstance")?;
        let hook_instance =
            Uuid::try_parse(&instance).map_err(|_| Error::invalid("hookInstance must be a UUID").at("hookInstance"))?;
        let question = question(extension)?;
        let context = read_context(&hook, required(context, "context")?, &mut deviations)?;
        let fhir_server = string(fhir_server, "fhirServer")?.as_deref().map(base).transpose()?;
        let authorization =
            fhir_authorization.map(|raw| authorization(raw, &context.patient_id, &mut deviations)).transpose()?;
        if authorization.is_some() && fhir_server.is_none() {
            return Err(Error::invalid("fhirServer is required beside fhirAuthorization").at("fhirServer"));
        }
        let body_sha256 = kept.map(|body| hash_without(body, fhir_authorization));
        Ok(HookRequest {
            hook,
            hook_instance,
            fhir_server,
            authorization,
            context,
            prefetch,
            question,
            body_sha256,
            deviations,
        })
    }
}

fn read_context(hook: &str, raw: &RawValue, deviations: &mut Vec<&'static str>) -> Result<Context> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Members<'a> {
        #[serde(borrow)]
        user_id: Member<'a>,
        #[serde(borrow)]
        patient_id: Member<'a>,
        #[serde(borrow)]
        encounter_id: Member<'a>,
        #[serde(borrow)]
        selections: Member<'a>,
        #[serde(borrow)]
        draft_orders: Member<'a>,
    }
    let members: Members = object(raw, "context")?;
    let user_id = string(members.user_id, "context.userId")?;
    let encounter_id = id(members.encounter_id, "Encounter", "context.encounterId", deviations)?;
    let there = [
        ("userId", user_id.is_some()),
        ("encounterId", encounter_id.is_some()),
        ("selections", members.selections.is_some()),
        ("draftOrders", members.draft_orders.is_some()),
    ];
    for (name, there) in there {
        let needed = HOOKS.iter().any(|(of, needs)| *of == hook && needs.contains(&name));
        if needed && !there {
            return Err(missing(&format!("context.{name}")));
        }
    }
    let patient_id = id(members.patient_id, "Patient", "context.patientId", deviations)?;
    let named = user_id.as_deref().and_then(Reference::parse);
    if named.is_none() && user_id.is_some() {
        deviations.push("context.userId is no reference");
    }
    let mut context = Context {
        user_id: named.map(|user| format!("{}/{}", user.resource_type, user.id)),
        patient_id: required(patient_id, "context.patientId")?,
        encounter_id,
        draft_orders: None,
        selections: None,
        problems: Vec::new(),
    };
    let selects = HOOKS.iter().any(|(of, needs)| *of == hook && needs.contains(&"selections"));
    if let Some(raw) = members.selections.filter(|_| selects) {
        let at = "context.selections";
        let read = serde_json::from_str(raw.get());
        context.selections =
            Some(read.map_err(|_| Error::invalid("context.selections must be an array of references").at(at))?);
    }
    if let Some(raw) = members.draft_orders {
        let at = "context.draftOrders";
        let unreadable = || Error::invalid("context.draftOrders must be a Bundle").at(at);
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Head {
            resource_type: Option<String>,
        }
        let head: Head = object(raw, at)?;
        if head.resource_type.as_deref() != Some("Bundle") {
            return Err(unreadable());
        }
        let orders = split(raw).map_err(|_| unreadable())?;
        // INVARIANT: orders_that_are_said_and_not_there_are_told
        let more = orders.next.is_some() || orders.total.is_some_and(|total| total > orders.resources.len() as u64);
        context.problems = orders.problems;
        context.problems.extend(more.then(|| "the Bundle says that there are more orders than it holds".to_owned()));
        context.draft_orders = Some(orders.resources);
    }
    Ok(context)
}

fn authorization(raw: &RawValue, patient_id: &str, deviations: &mut Vec<&'static str>) -> Result<Authorization> {
    #[derive(Deserialize)]
    struct Members<'a> {
        #[serde(borrow)]
        access_token: Member<'a>,
        #[serde(borrow)]
        token_type: Member<'a>,
        #[serde(borrow)]
        expires_in: Member<'a>,
        #[serde(borrow)]
        scope: Member<'a>,
        #[serde(borrow)]
        patient: Member<'a>,
    }
    let members: Members = object(raw, "fhirAuthorization")?;
    let at = "fhirAuthorization.access_token";
    let token = required(string(members.access_token, at)?, at)?;
    if token.len() > LONGEST_TOKEN || !token.bytes().all(|b| b.is_ascii_graphic()) {
        let sentence = format!("fhirAuthorization.access_token must be 1 to {LONGEST_TOKEN} visible ASCII characters");
        return Err(Error::invalid(sentence).at(at));
    }
    let at = "fhirAuthorization.token_type";
    if !required(string(members.token_type, at)?, at)?.eq_ignore_ascii_case("Bearer") {
        return Err(Error::invalid("fhirAuthorization.token_type must be Bearer").at(at));
    }
    let patient = id(members.patient, "Patient", "fhirAuthorization.patient", deviations)?;
    // INVARIANT: a_token_of_one_patient_is_never_used_for_another
    if patient.as_deref().is_some_and(|patient| patient != patient_id) {
        let sentence = "fhirAuthorization.patient and context.patientId must name the same patient";
        return Err(Error::invalid(sentence).at("fhirAuthorization.patient"));
    }
    Ok(Authorization {
        token: AccessToken::new(token),
        expires_in: members.expires_in.map(seconds).transpose()?,
        scope: string(members.scope, "fhirAuthorization.scope")?,
        patient,
    })
}

/// A number, or one in a string.
fn seconds(raw: &RawValue) -> Result<u64> {
    let number: Option<f64> = raw.get().trim_matches('"').trim().parse().ok();
    let at = "fhirAuthorization.expires_in";
    let whole = number.filter(|n| n.is_finite() && *n >= 0.0).map(|n| n as u64);
    whole.ok_or_else(|| Error::invalid("fhirAuthorization.expires_in must be a number of seconds").at(at))
}

/// The code of a question. Refuses a sender that announces another FHIR version than R4 rather than misread it.
fn question(raw: Member) -> Result<Option<String>> {
    const VERSION: &str = "com.epic.cdshooks.request.fhir-version";
    #[derive(Deserialize)]
    struct Members<'a> {
        #[serde(borrow, rename = "com.epic.cdshooks.request.fhir-version")]
        version: Member<'a>,
        #[serde(borrow, rename = "curbside-question")]
        question: Member<'a>,
    }
    // Whatever else an extension holds is ignored, never refused.
    let Some(raw) = raw else { return Ok(None) };
    let Ok(Members { version, question }) = object(raw, "extension") else {
        // A question that stands there twice is not passed over: it is asked as one that there is not.
        return Ok(raw.get().contains("curbside-question").then(String::new));
    };
    match version.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok()) {
        Some(version) if !(version.eq_ignore_ascii_case("R4") || version.starts_with("4.0")) => {
            Err(Error::invalid("this server reads FHIR R4 only").at(format!("extension[\"{VERSION}\"]")))
        }
        _ => Ok(question.map(|raw| serde_json::from_str(raw.get()).unwrap_or_else(|_| raw.get().to_owned()))),
    }
}

fn base(text: &str) -> Result<Url> {
    egress::address(text).filter(|url| url.query().is_none()).ok_or_else(|| {
        Error::invalid("fhirServer must be an http or https URL without user, query, fragment and `..`")
            .at("fhirServer")
    })
}

/// A bare id; the right type in front is tolerated, another one is not. An empty string is absent.
fn id(
    raw: Member,
    resource_type: &str,
    at: &'static str,
    deviations: &mut Vec<&'static str>,
) -> Result<Option<String>> {
    let Some(text) = string(raw, at)? else { return Ok(None) };
    let bare = match text.split_once('/') {
        Some((of, bare)) if of == resource_type => {
            deviations.push(if resource_type == "Patient" {
                "a patient id with its type"
            } else {
                "an encounter id with its type"
            });
            bare
        }
        _ => &text,
    };
    // INVARIANT: an_id_never_alters_a_path
    if !is_id(bare) {
        let sentence = format!("{at} must be the id of a {resource_type}: 1 to 128 of A-Z a-z 0-9 - . _");
        return Err(Error::invalid(sentence).at(at));
    }
    Ok(Some(bare.to_owned()))
}

fn object<'a, T: Deserialize<'a>>(raw: &'a RawValue, at: &str) -> Result<T> {
    let read = raw.get().starts_with('{').then(|| serde_json::from_str(raw.get()).ok()).flatten();
    read.ok_or_else(|| Error::invalid(format!("{at} must be an object without repeated members")).at(at))
}

/// An empty string is absent.
fn string(raw: Member, at: &str) -> Result<Option<String>> {
    let text: Option<String> = raw
        .map(|raw| serde_json::from_str(raw.get()))
        .transpose()
        .map_err(|_| Error::invalid(format!("{at} must be a string")).at(at))?;
    Ok(text.filter(|text| !text.is_empty()))
}

fn required<T>(value: Option<T>, at: &str) -> Result<T> {
    value.ok_or_else(|| missing(at))
}

fn missing(at: &str) -> Error {
    Error::invalid(format!("{at} is missing")).at(at)
}

fn hash_without(body: &[u8], part: Member) -> String {
    let (start, length) =
        part.map_or((0, 0), |raw| (raw.get().as_ptr().addr() - body.as_ptr().addr(), raw.get().len()));
    let mut hash = Sha256::new();
    hash.update(&body[..start]);
    hash.update(&body[start + length..]);
    format!("{:x}", hash.finalize())
}

#[cfg(test)]
mod tests;
