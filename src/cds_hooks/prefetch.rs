//! Prefetched data and the templates that ask for them. <https://cds-hooks.hl7.org/2.0/#providing-fhir-resources-to-a-cds-service>

use serde::{Deserialize, de::IgnoredAny};
use url::form_urlencoded::byte_serialize;

use super::Context;
use crate::{
    error::Error,
    fhir::{Cursor, Raw, Split, lenient, same_search, take},
};

/// Keys one request may carry; every service asks for fewer.
pub(super) const MAX_KEYS: usize = 100;

/// What a client sent under one prefetch key. A key that was not sent has no state: `Prefetch::get` answers `None`.
pub enum State {
    /// The client asked and has nothing, or does not say why it has nothing.
    Null,
    Resource(Raw),
    /// The Bundle of a search; without entries it is "none received", never "none exists".
    Bundle(Split),
    /// The client's own fetch failed, or the value is no FHIR: a clause with an issue code or a status, never the client's text.
    Failed(String),
}

/// The prefetched data in the order in which they were sent.
#[derive(Default)]
pub struct Prefetch {
    pub entries: Vec<(String, State)>,
}

impl Prefetch {
    /// Takes the member `prefetch`. One bad value is that key's failure, not the request's. `None`: it is neither null nor an
    /// object of at most [`MAX_KEYS`] keys, none of them repeated.
    pub(super) fn take(at: &mut Cursor) -> Option<Prefetch> {
        let mut prefetch = Prefetch::default();
        if at.value::<()>().is_some() {
            return Some(prefetch);
        }
        at.object(|key, at| {
            if prefetch.entries.len() == MAX_KEYS || prefetch.get(&key).is_some() {
                return None;
            }
            prefetch.entries.push((key.into(), state(at)?));
            Some(())
        })?;
        Some(prefetch)
    }

    /// Why a member `prefetch` is none.
    pub(super) fn unreadable() -> Error {
        Error::invalid(format!("prefetch must be an object of at most {MAX_KEYS} keys, none of them repeated"))
            .at("prefetch")
    }

    /// `None`: the client did not send the key.
    pub fn get(&self, key: &str) -> Option<&State> {
        self.entries.iter().find(|(k, _)| k == key).map(|(_, state)| state)
    }

    /// What answers `query` under a key of the client's own choosing. Keys that are `taken` have a meaning of their own.
    pub fn alike(&self, query: &str, taken: impl Fn(&str) -> bool) -> Option<&State> {
        self.entries.iter().find(|(key, state)| !taken(key) && state.answers(query)).map(|(_, state)| state)
    }
}

impl State {
    /// Whether it shows by itself that it answers `query`: the resource a read names, or the Bundle whose `self` link is that
    /// search.
    pub fn answers(&self, query: &str) -> bool {
        match self {
            // Only a template without parameters asks for one resource.
            State::Resource(raw) if !query.contains('?') => {
                lenient::read::<Named>(raw).is_ok_and(|it| it.path().as_deref() == Some(query))
            }
            State::Resource(_) => false,
            State::Bundle(split) => split.own.as_deref().is_some_and(|own| same_search(own, query)),
            State::Null | State::Failed(_) => false,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    resource_type: String,
    id: Option<String>,
}

impl Named {
    fn path(&self) -> Option<String> {
        Some(format!("{}/{}", self.resource_type, self.id.as_ref()?))
    }
}

/// Takes a value. `None`: it is no JSON.
fn state(at: &mut Cursor) -> Option<State> {
    // serde reads a struct from an array too.
    if !at.is_object() {
        let is_null = at.value::<Option<IgnoredAny>>()?.is_none();
        return Some(if is_null { State::Null } else { State::Failed("neither a resource nor null".into()) });
    }
    Some(match take(at)? {
        Ok(Split { failed: Some(reason), .. }) => State::Failed(reason),
        Ok(split) if split.is_bundle => State::Bundle(split),
        Ok(Split { mut resources, .. }) => {
            resources.pop().map_or_else(|| State::Failed("no resource".into()), State::Resource)
        }
        Err(reason) => State::Failed(reason),
    })
}

/// The tokens a template may hold, each between `{{` and `}}`.
pub const TOKENS: [&str; 7] = [
    "context.patientId",
    "context.encounterId",
    "context.userId",
    "userPractitionerId",
    "userPractitionerRoleId",
    "userPatientId",
    "userRelatedPersonId",
];

/// The template with its tokens replaced by percent-encoded values; `None` where a token is unknown or has no value.
pub fn resolve(template: &str, context: &Context) -> Option<String> {
    let mut resolved = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (token, tail) = after.split_once("}}")?;
        resolved.push_str(before);
        resolved.push_str(&value(token.trim(), context)?);
        rest = tail;
    }
    resolved.push_str(rest);
    Some(resolved)
}

fn value(token: &str, context: &Context) -> Option<String> {
    let encoded = |id: &str| byte_serialize(id.as_bytes()).collect::<String>();
    let user = context.user_id.as_deref().and_then(|user| user.split_once('/'));
    let user_of = |resource_type: &str| user.filter(|(of, _)| *of == resource_type).map(|(_, id)| encoded(id));
    match token {
        "context.patientId" => Some(encoded(&context.patient_id)),
        "context.encounterId" => context.encounter_id.as_deref().map(encoded),
        "context.userId" => user.map(|(resource_type, id)| format!("{}/{}", encoded(resource_type), encoded(id))),
        "userPractitionerId" => user_of("Practitioner"),
        "userPractitionerRoleId" => user_of("PractitionerRole"),
        "userPatientId" => user_of("Patient"),
        "userRelatedPersonId" => user_of("RelatedPerson"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Prefetch, Error> {
        Prefetch::take(&mut Cursor::new(text)).ok_or_else(Prefetch::unreadable)
    }

    fn word(state: Option<&State>) -> String {
        match state {
            None => "absent".into(),
            Some(State::Null) => "null".into(),
            Some(State::Resource(raw)) => format!("resource {}", raw.get()),
            Some(State::Bundle(split)) => format!("bundle of {}", split.resources.len()),
            Some(State::Failed(why)) => format!("failed: {why}"),
        }
    }

    fn one(value: &str) -> String {
        word(parse(&format!(r#"{{"key":{value}}}"#)).unwrap().get("key"))
    }

    #[test]
    fn the_order_of_keys_is_kept() {
        let prefetch = parse(r#"{"z":null,"a":null,"m":null}"#).unwrap();
        assert_eq!(prefetch.entries.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["z", "a", "m"]);
    }

    #[test]
    fn the_five_states_are_different() {
        assert_eq!(word(parse(r#"{"other":null}"#).unwrap().get("key")), "absent");
        assert_eq!(one("null"), "null");
        assert_eq!(one(r#"{"resourceType":"Patient","id":"1"}"#), r#"resource {"resourceType":"Patient","id":"1"}"#);
        assert_eq!(one(r#"{"resourceType":"Bundle","type":"searchset"}"#), "bundle of 0");
        assert_eq!(
            one(r#"{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Condition","id":"1"}}]}"#),
            "bundle of 1"
        );
        assert_eq!(
            one(r#"{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"forbidden"}]}"#),
            "failed: the server reported an error (forbidden)"
        );
    }

    fn failed(value: &str) -> bool {
        let word = one(value);
        assert!(!word.contains("Jane"), "{word}");
        word.starts_with("failed: ")
    }

    #[test]
    fn a_failure_repeats_no_text_of_the_client() {
        for issue in [r#"[{"severity":"error","code":"Jane Doe"}]"#, r#"{"code":7}"#, "null", r#""Jane""#] {
            assert!(failed(&format!(r#"{{"resourceType":"OperationOutcome","issue":{issue}}}"#)), "{issue}");
        }
    }

    #[test]
    fn an_ill_typed_value_fails_its_key_only() {
        for value in ["7", r#""Jane""#, "[]", r#"["Patient"]"#, "true", "{}", r#"{"resourceType":7}"#, r#"{"Jane":1}"#]
        {
            assert!(failed(value), "{value}");
        }
        let prefetch = parse(r#"{"bad":7,"good":{"resourceType":"Patient"}}"#).unwrap();
        assert!(matches!(prefetch.get("good"), Some(State::Resource(_))));
    }

    #[test]
    fn an_outcome_entry_of_a_warning_is_an_empty_search() {
        let searchset = |severity: &str| {
            format!(
                r#"{{"resourceType":"Bundle","type":"searchset","total":0,"entry":[{{"search":{{"mode":"outcome"}},"resource":
                {{"resourceType":"OperationOutcome","issue":[{{"severity":"{severity}","code":"not-found"}}]}}}}]}}"#
            )
        };
        assert_eq!(one(&searchset("warning")), "bundle of 0");
        assert!(failed(&searchset("error")));
    }

    #[test]
    fn the_wrapper_of_the_drafts_is_unwrapped() {
        let patient = r#"{"resourceType":"Patient","id":"1"}"#;
        let wrapped = |status: &str, inner: &str| format!(r#"{{"response":{{"status":{status}}},"resource":{inner}}}"#);
        assert_eq!(one(&wrapped(r#""200 OK""#, patient)), format!("resource {patient}"));
        assert_eq!(one(&wrapped(r#""200 OK""#, r#"{"resourceType":"Bundle"}"#)), "bundle of 0");
        assert!(failed(&wrapped(r#""200 OK""#, "null")));
        assert!(failed(&wrapped(
            r#""200 OK""#,
            r#"{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"timeout"}]}"#
        )));
        assert!(failed(&wrapped(r#""404 Not Found""#, "null")) && failed(&wrapped(r#""404 Not Found""#, patient)));
        assert!(failed(&wrapped(r#""Jane""#, patient)));
    }

    #[test]
    fn a_collection_is_a_bundle() {
        assert_eq!(
            one(
                r#"{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"PractitionerRole"}}]}"#
            ),
            "bundle of 1"
        );
    }

    #[test]
    fn a_key_of_the_clients_own_is_matched_by_what_it_holds() {
        let query = "Observation?patient=1&category=laboratory&_sort=-date&_count=100";
        let bundle =
            |link: &str| format!(r#"{{"resourceType":"Bundle","link":[{{"relation":"self","url":"{link}"}}]}}"#);
        let found = |key: &str, value: &str, query: &str| {
            parse(&format!(r#"{{"{key}":{value}}}"#)).unwrap().alike(query, |key| key == "labs").is_some()
        };
        for link in [
            "https://inside.example/r4/Observation?category=laboratory&patient=1",
            "Observation?patient=Patient/1&category=http://t.example/category|laboratory&_count=5&_format=json",
            "https://inside.example/Observation/_search?patient=1&category=laboratory",
        ] {
            assert!(found("mine", &bundle(link), query), "{link}");
            assert!(!found("labs", &bundle(link), query), "the key has a meaning of its own");
        }
        for link in [
            "https://inside.example/Observation?patient=1",
            "Observation?patient=2&category=laboratory",
            "Observation?patient=1&category=vital-signs",
            "Observation?patient=1&category=laboratory&date=ge2025",
            "Observation?patient=1&category=http://t.example/category|exam,http://t.example/category|laboratory",
            "Condition?patient=1&category=laboratory",
            "Observation",
            "",
        ] {
            assert!(!found("mine", &bundle(link), query), "{link}");
        }
        assert!(!found("mine", "null", query) && !found("mine", r#"{"resourceType":"Bundle"}"#, query));
        let patient = r#"{"resourceType":"Patient","id":"1"}"#;
        assert!(found("mine", patient, "Patient/1") && !found("mine", patient, "Patient/2"));
    }

    #[test]
    fn prefetch_that_is_no_object_or_repeats_a_key_is_refused() {
        let many: Vec<String> = (0..=MAX_KEYS).map(|n| format!(r#""{n}":null"#)).collect();
        for text in ["[]", "7", r#""text""#, r#"{"a":null,"a":null}"#, &format!("{{{}}}", many.join(","))] {
            let error = parse(text).err().unwrap();
            assert_eq!(error.expression.as_deref(), Some("prefetch"));
        }
    }

    fn context() -> Context {
        Context {
            user_id: Some("Practitioner/dr-1".into()),
            patient_id: "a.b-1".into(),
            encounter_id: None,
            selections: None,
            draft_orders: None,
            problems: Vec::new(),
        }
    }

    #[test]
    fn tokens_are_replaced() {
        let resolved = |template| resolve(template, &context());
        assert_eq!(resolved("Patient/{{context.patientId}}").as_deref(), Some("Patient/a.b-1"));
        assert_eq!(
            resolved("Condition?patient={{ context.patientId }}&x=1").as_deref(),
            Some("Condition?patient=a.b-1&x=1")
        );
        assert_eq!(resolved("{{context.userId}}").as_deref(), Some("Practitioner/dr-1"));
        assert_eq!(resolved("Practitioner/{{userPractitionerId}}").as_deref(), Some("Practitioner/dr-1"));
    }

    #[test]
    fn a_token_without_a_value_leaves_nothing_to_ask() {
        let templates = [
            "Encounter/{{context.encounterId}}",
            "{{userPatientId}}",
            "{{context.draftOrders}}",
            "{{today()}}",
            "Patient/{{context.patientId",
        ];
        for template in templates {
            assert_eq!(resolve(template, &context()), None, "{template}");
        }
    }

    #[test]
    fn values_are_percent_encoded() {
        let odd = Context { patient_id: "a/../b?c&d#e".into(), ..context() };
        assert_eq!(resolve("Patient/{{context.patientId}}", &odd).as_deref(), Some("Patient/a%2F..%2Fb%3Fc%26d%23e"));
    }

    #[test]
    fn every_token_is_known_to_resolve() {
        for token in TOKENS {
            let resource_type = token.strip_prefix("user").and_then(|t| t.strip_suffix("Id")).unwrap_or("Practitioner");
            let full =
                Context { user_id: Some(format!("{resource_type}/1")), encounter_id: Some("2".into()), ..context() };
            assert!(resolve(&format!("{{{{{token}}}}}"), &full).is_some(), "{token}");
        }
    }
}
