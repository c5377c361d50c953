//! What the report page shows, as strings and truth values: the template decides nothing.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::{
    chart::{Evidence, EvidenceId, Role, plain},
    grounding::{Statement, described, looked_for},
    imaging::Source,
};

use super::{
    Made,
    narrative::{scope_sentence, study_sentence, study_words},
};

pub fn view(made: &Made) -> Value {
    let (words, shared) = (made.words(), made.shared());
    let assessment = made.assessment;
    let chart = made.chart;
    let reading = chart.reading.as_ref();
    let why_not = assessment.ledger.not_shown.iter().map(|n| (n.evidence, n.why.as_str())).collect();
    json!({
        "language": made.language.word(),
        "banner": shared.banner,
        "intended_use": plain(shared.coded(made.intended_use), 100),
        "service": plain(made.service.title(made.language), 200),
        "status": shared.coded(made.options.draft_status.word()),
        "status_words": words.status(made.options.draft_status),
        "organization": plain(&made.options.organization, 200),
        "patient": { "reference": plain(&chart.subject.reference, 300), "sex": chart.subject.sex.as_deref().map(|s| plain(shared.coded(s), 30)),
            "age_band": chart.subject.age_band.as_deref().map(|a| plain(a, 30)) },
        "order": reading.map(|r| plain(shared.coded(&r.order.text), 200)),
        "other_orders": reading.filter(|r| r.other_orders > 0).map(|r| r.other_orders.to_string()),
        "study": study_sentence(made),
        "prior": made.prior().map(|study| study_words(study, made.language)),
        "looked_for": looked_for(made.language),
        "urgency": assessment.urgency.map(|u| u.word()),
        "urgency_words": assessment.urgency.map(|u| shared.urgency(u)),
        "sections": sections(made),
        "rejected": assessment.rejected.iter().map(|r| named(&r.what, &r.why)).collect::<Vec<_>>(),
        "pictures": pictures(made),
        "evidence": chart.evidence.iter().map(|e| evidence(made, e, &why_not)).collect::<Vec<_>>(),
        "examined": assessment.ledger.examined.iter().map(|e| json!({
            "what": plain(shared.coded(&e.what), 100),
            "resources": e.resources.to_string(),
            "origin": words.origin(e.origin),
            "complete": e.complete,
        })).collect::<Vec<_>>(),
        "failed": assessment.ledger.failed.iter().map(|gap| named(shared.coded(&gap.what), &gap.why)).collect::<Vec<_>>(),
        "model": {
            "name": plain(&made.model.name, 200),
            "revision": made.model.revision,
            "weights_sha256": made.model.weights_sha256,
            "runtime": made.model.runtime,
            "dtype": made.model.dtype,
            "context": made.model.context.to_string(),
            "scope": scope_sentence(made.model, made.language),
        },
        "prompt": { "sha256": made.prompt.sha256, "version": made.prompt.version },
        "product": concat!("curbside ", env!("CARGO_PKG_VERSION")),
        "report_id": made.report_id.to_string(),
        "issued": made.issued.format("%Y-%m-%d %H:%M:%S UTC").to_string(),
    })
}

fn named(what: &str, why: &str) -> Value {
    json!({ "what": plain(what, 300), "why": plain(why, 300) })
}

fn sections(made: &Made) -> Vec<Value> {
    let mut numbers = 1..;
    let mut statement = |s: &Statement| {
        json!({
            "number": numbers.next().map(|n| n.to_string()),
            "text": plain(&s.text, 1000),
            "evidence": s.evidence.iter().map(|id| id.to_string()).collect::<Vec<_>>(),
        })
    };
    let sections = made.assessment.sections.iter().filter(|s| !s.statements.is_empty());
    sections
        .map(|s| json!({ "title": plain(&s.title, 100), "statements": s.statements.iter().map(&mut statement).collect::<Vec<_>>() }))
        .collect()
}

fn evidence(made: &Made, evidence: &Evidence, why_not: &HashMap<EvidenceId, &str>) -> Value {
    let ledger = &made.assessment.ledger;
    let (kind, text) = described(&evidence.fact, made.language);
    let cited = made
        .statements()
        .zip(1..)
        .filter(|(s, _)| s.evidence.contains(&evidence.id))
        .map(|(_, n): (_, usize)| n.to_string());
    let why_not = why_not.get(&evidence.id).map(|why| plain(why, 200));
    json!({
        "id": evidence.id.to_string(),
        "kind": kind,
        "text": text,
        "date": evidence.date.as_ref().map(|d| d.day()),
        "reference": plain(&evidence.reference, 300),
        "origin": made.words().origin(evidence.origin),
        "shown": ledger.shown.contains(&evidence.id),
        "why_not": why_not,
        "cited_by": cited.collect::<Vec<_>>(),
    })
}

/// The prior film first, as time runs.
fn pictures(made: &Made) -> Vec<Value> {
    let (words, shared) = (made.words(), made.shared());
    let of = |wanted: Role| made.images().filter(move |(_, role, _)| *role == wanted);
    of(Role::Prior)
        .chain(of(Role::Current))
        .map(|(evidence, role, image)| {
            let word = |text: &Option<String>| text.as_deref().map(|t| plain(t, 100));
            let (film, attached) = match &image.source {
                Source::Dicom { instance_uid, transfer_syntax, window, .. } => {
                    (Some((instance_uid, transfer_syntax, window)), None)
                }
                Source::Attachment { reference, media_type } => (None, Some((reference, media_type))),
            };
            // A picture is addressed by its hash alone.
            let named =
                image.sha256.len() == 64 && image.sha256.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            json!({
                "evidence": evidence.id.to_string(),
                "role": role.word(),
                "sha256": named.then_some(&image.sha256),
                "view": word(&image.view),
                "laterality": word(&image.laterality),
                "date": image.date.as_ref().map(|d| d.day()),
                "modality": image.modality.as_deref().map(|m| plain(m, 20)),
                "body_part": word(&image.body_part),
                "manufacturer": word(&image.manufacturer),
                "window": film.map(|(_, _, window)| word(window).unwrap_or_else(|| words.no_window.to_owned())),
                "size": (words.size)(image.columns, image.rows),
                "retrieved": plain(shared.coded(&image.retrieved), 100),
                "transfer_syntax": film.map(|(_, syntax, _)| plain(syntax, 100)),
                "instance_uid": film.map(|(uid, ..)| plain(uid, 64)),
                "record": attached.map(|(reference, _)| plain(reference, 300)),
                "media_type": attached.map(|(_, media_type)| plain(media_type, 30)),
                "burned_in": plain(shared.coded(&image.burned_in), 30),
                "lossy": image.lossy,
            })
        })
        .collect()
}
