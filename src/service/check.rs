//! What must hold of a service before the process starts.

use std::collections::HashSet;

use super::{Check, Named, PrefetchTemplate, Publishes, Service};
use crate::{
    cds_hooks::{HOOKS, TOKENS},
    fhir::Coding,
    task::TaskKind,
};

/// What is wrong with one member: `member` and `sentence` read as one sentence.
pub(super) struct Fault {
    pub member: String,
    pub sentence: String,
}

fn ensure(holds: bool, member: impl Into<String>, sentence: impl Into<String>) -> Result<(), Fault> {
    if holds { Ok(()) } else { Err(Fault { member: member.into(), sentence: sentence.into() }) }
}

/// Checks one service read from `folder`. Ids are unique because each is the name of its folder.
pub(super) fn check(service: &Service, folder: &str) -> Result<(), Fault> {
    let url_safe =
        |id: &str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    ensure(url_safe(&service.id), "id", "must be of a-z, 0-9 and -")?;
    ensure(service.id == folder, "id", format!("must be the name of its folder, {folder}"))?;
    let hooks = HOOKS.map(|(name, _)| name);
    ensure(hooks.contains(&service.hook.as_str()), "hook", format!("must be one of {}", hooks.join(", ")))?;
    for (n, hook) in service.also_on.iter().enumerate() {
        let fresh = hooks.contains(&hook.as_str()) && *hook != service.hook && !service.also_on[..n].contains(hook);
        ensure(fresh, format!("also_on[{n}]"), "must be a further hook of those there are")?;
    }
    if !service.checks.is_empty() {
        let brings = |hook: &String| HOOKS.iter().any(|(name, needs)| name == hook && needs.contains(&"draftOrders"));
        let orders = brings(&service.hook) && service.also_on.iter().all(brings);
        ensure(orders, "checks", "must be empty on a hook that brings no draft orders")?;
        let alone = service.applies.is_none() && service.max_calls == 0 && service.publishes == Publishes::None;
        ensure(alone, "checks", "must be empty where a model is asked or a report is published")?;
    }
    for check in &service.checks {
        for (key, of) in looked_for(*check) {
            let asks = |template: &PrefetchTemplate| {
                template.key == *key && !template.on_demand && template.query.split('?').next() == Some(of)
            };
            let sentence = format!("must have the key {key}, a search of {of}, for what it is to check");
            ensure(service.prefetch.iter().any(asks), "prefetch", sentence)?;
        }
    }
    for (n, Coding { system, code, display }) in service.override_reasons.iter().enumerate() {
        let full = filled(system) && filled(code) && display.as_ref().is_some_and(|display| filled(display));
        ensure(full, format!("override_reasons[{n}]"), "must have a system, a code and a display")?;
    }
    let texts =
        [("title", &service.title), ("description", &service.description), ("source_label", &service.source_label)];
    for (member, text) in
        texts.into_iter().chain(service.usage_requirements.as_ref().map(|text| ("usage_requirements", text)))
    {
        ensure(filled(text), member, "must not be empty")?;
    }
    if let Some(Named { title, source_label }) = &service.korean {
        ensure(filled(title), "korean.title", "must not be empty")?;
        ensure(filled(source_label), "korean.source_label", "must not be empty")?;
    }
    ensure(filled(&service.topic.system), "topic.system", "must not be empty")?;
    let code = &service.topic.code;
    let static_code = (1..=100).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric());
    ensure(static_code, "topic.code", "must be 1 to 100 letters and digits")?;
    ensure((100..=60_000).contains(&service.deadline_ms), "deadline_ms", "must be 100 to 60000")?;
    ensure(
        (service.max_calls > 0) == service.task.is_some(),
        "max_calls",
        "must be 0 without a task, and at least 1 with one",
    )?;
    let draft = service.task == Some(TaskKind::ImagingDraft);
    ensure(
        draft || service.publishes == Publishes::None,
        "publishes",
        "must be none where the task is no imaging-draft",
    )?;
    let film = service.applies.is_some();
    ensure(film || !draft, "applies", "must be there for the task imaging-draft")?;
    let of_films = matches!(service.task, Some(TaskKind::ImagingDraft | TaskKind::Question));
    ensure(!film || of_films, "applies", "must not be there for a task that is not about a film")?;
    if let Some(applies) = &service.applies {
        ensure((1..=3650).contains(&applies.window_days), "applies.window_days", "must be 1 to 3650")?;
        for (n, Coding { system, code, .. }) in applies.categories.iter().enumerate() {
            ensure(
                filled(system) && filled(code),
                format!("applies.categories[{n}]"),
                "must have a system and a code",
            )?;
        }
        for (n, code) in applies.codes.iter().enumerate() {
            let texts = [&code.system, &code.code, &code.display, &code.modality, &code.body_part];
            ensure(
                texts.into_iter().all(|t| filled(t)),
                format!("applies.codes[{n}]"),
                "must not have an empty member",
            )?;
        }
    }
    for (n, code) in service.relevant.iter().enumerate() {
        ensure(filled(code), format!("relevant[{n}]"), "must not be empty")?;
    }
    let mut keys = HashSet::new();
    for (n, PrefetchTemplate { key, query, required, on_demand }) in service.prefetch.iter().enumerate() {
        ensure(filled(key), format!("prefetch[{n}].key"), "must not be empty")?;
        ensure(keys.insert(key), format!("prefetch[{n}].key"), "must not be repeated")?;
        ensure(!(*required && *on_demand), format!("prefetch[{n}].on_demand"), "must not be true of a required key")?;
        template(query).map_err(|sentence| Fault { member: format!("prefetch[{n}].query"), sentence })?;
    }
    Ok(())
}

/// The prefetch keys without which a check would pass over what is recorded, with what each searches.
// INVARIANT: what_a_check_needs_is_looked_for
fn looked_for(check: Check) -> &'static [(&'static str, &'static str)] {
    match check {
        Check::Allergy => &[("allergies", "AllergyIntolerance")],
        Check::DuplicateImaging => &[("studies", "ImagingStudy"), ("orders", "ServiceRequest")],
    }
}

fn filled(text: &str) -> bool {
    !text.trim().is_empty()
}

/// Whether a prefetch template is of the subset that every 2.0 client reads.
/// <https://cds-hooks.hl7.org/2.0/#prefetch-query-restrictions>
fn template(query: &str) -> Result<(), String> {
    // A token stands for a value; once known to be one of ours it is replaced by a mark no template may hold.
    let marked = TOKENS.iter().fold(query.to_owned(), |text, token| text.replace(&format!("{{{{{token}}}}}"), "\0"));
    if marked.contains(['{', '}']) {
        return Err(format!("has an unknown token; known are {}", TOKENS.join(", ")));
    }
    let type_name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_uppercase()) && name.bytes().all(|b| b.is_ascii_alphabetic())
    };
    let Some((resource_type, parameters)) = marked.split_once('?') else {
        let read =
            query == "{{context.userId}}" || marked.split_once('/').is_some_and(|(of, id)| type_name(of) && id == "\0");
        return if read { Ok(()) } else { Err("must be a search, Type?name=value, or a read, Type/{{token}}".into()) };
    };
    if !type_name(resource_type) {
        return Err("must begin with a resource type".into());
    }
    parameters.split('&').try_for_each(parameter)
}

fn parameter(text: &str) -> Result<(), String> {
    let Some((name, value)) = text.split_once('=') else { return Err("has a parameter without a value".into()) };
    let plain = name.strip_suffix(":in").unwrap_or(name);
    let named = !plain.is_empty() && plain.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    if !named && !matches!(name, "_count" | "_sort") {
        return Err("may use plain parameters, the modifier :in, _count and _sort; no _include, no chaining".into());
    }
    let valued =
        !value.is_empty() && value.bytes().all(|b| b == 0 || (b.is_ascii_graphic() && !b"#\"<>\\^`".contains(&b)));
    if valued { Ok(()) } else { Err("has a value that is empty or not fit for a URL".into()) }
}
