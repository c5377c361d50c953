//! From an Assessment to the cards an EHR shows. Pure: every sentence is ours, text of model or chart stands in it escaped.

mod answer;
mod checks;
mod markdown;
mod summary;
#[cfg(test)]
mod tests;
mod words;

pub use answer::{Draft, Model, answer};
pub use checks::checks;
pub use summary::summary;

use std::fmt::Write;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    cds_hooks::{Card, Indicator, Link, Source},
    grounding::{self, Assessment},
    service::Service,
    task::Language,
};

use markdown::{cut, escape, unlinked};
use words::Words;

/// CDS Hooks wants fewer than 140 characters; counted in UTF-16 units, the strictest way any client counts.
const MAX_SUMMARY: usize = 139;
/// Gaps printed; more than these are counted.
const MAX_GAPS: usize = 200;

/// What was not kept of an answer, and what could not be had or used.
fn ledger(detail: &mut String, assessment: &Assessment, language: Language) {
    let (words, shared) = (Words::of(language), grounding::Words::of(language));
    if !assessment.rejected.is_empty() {
        let _ = writeln!(detail, "\n**{}**\n", (words.rejected)(assessment.rejected.len()));
        for rejected in &assessment.rejected {
            let _ = writeln!(detail, "- {}: {}", escape(&rejected.what), escape(&rejected.why));
        }
    }
    let failed = &assessment.ledger.failed;
    if !failed.is_empty() {
        let _ = writeln!(detail, "\n**{}**\n", (words.gaps)(failed.len()));
        for gap in failed.iter().take(MAX_GAPS) {
            let _ = writeln!(detail, "- {}: {}", escape(shared.coded(&gap.what)), escape(&gap.why));
        }
        if failed.len() > MAX_GAPS {
            let _ = writeln!(detail, "- {}", (words.more)(failed.len() - MAX_GAPS));
        }
    }
}

/// Says of which language reasons are, where there are any and it is not the card's.
fn reasons(detail: &mut String, any: bool, words: &Words) {
    if any && !words.reasons.is_empty() {
        let _ = writeln!(detail, "\n{}", words.reasons);
    }
}

/// `Type/id` of an EHR's resource; a DICOM instance keeps its UID.
fn short(reference: &str) -> String {
    if reference.starts_with("urn:") {
        return reference.to_owned();
    }
    let mut parts = reference.rsplitn(3, '/');
    match (parts.next(), parts.next()) {
        (Some(id), Some(resource_type)) => format!("{resource_type}/{id}"),
        _ => reference.to_owned(),
    }
}

struct Said {
    summary: String,
    detail: String,
    indicator: Indicator,
    links: Vec<Link>,
    language: Language,
}

fn card(service: &Service, said: Said, seed: &str) -> Card {
    let Said { summary, detail, indicator, links, language } = said;
    Card {
        uuid: uuid_of(&service.id, language, seed),
        summary: cut(&unlinked(&summary), MAX_SUMMARY),
        detail: detail.trim().to_owned(),
        indicator,
        source: Source { label: service.source_label(language).to_owned(), topic: service.topic.clone() },
        links,
        suggestions: Vec::new(),
        selection_behavior: None,
        override_reasons: Vec::new(),
    }
}

/// The same call repeated in the same language gives the same card with the same uuid.
fn uuid_of(service: &str, language: Language, seed: &str) -> Uuid {
    let digest = Sha256::digest(format!("{service}\n{}\n{seed}", language.word()));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).collect())
}
