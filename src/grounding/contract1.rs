//! Contract 1: the form of the answer, and what of it is kept.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Abstention, Assessment, Change, Finding, FindingKind, Ledger, Region, Rejected, Section, Severity, Side, Statement, Urgency,
};
use crate::{
    chart::{Chart, EvidenceId, Fact, Gap, Role, View},
    engine::{Completion, Finish},
    error::{Error, Result},
};

/// Most findings, and most citations of one, that an answer may hold.
const MAX_FINDINGS: usize = 8;
const REASONS: [&str; 3] = ["blank", "not a chest image", "no image"];

/// JSON Schema of the answer: `evidence` can only be an id that was shown.
pub fn schema(shown: &[EvidenceId]) -> Value {
    let ids: Vec<String> = shown.iter().map(EvidenceId::to_string).collect();
    let finding = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["kind", "side", "region", "severity", "change", "evidence"],
        "properties": {
            "kind": {"enum": FindingKind::WORDS},
            "side": {"enum": Side::WORDS},
            "region": {"enum": Region::WORDS},
            "severity": {"enum": Severity::WORDS},
            "change": {"enum": Change::WORDS},
            "evidence": {"type": "array", "items": {"enum": ids}, "minItems": 1, "maxItems": 8},
        },
    });
    // A weak model under a schema would otherwise loop on white space until its token limit.
    json!({
        "x-guidance": {"whitespace_flexible": false},
        "anyOf": [
            {
                "type": "object",
                "additionalProperties": false,
                "required": ["findings", "urgency"],
                "properties": {
                    "findings": {"type": "array", "items": finding, "maxItems": MAX_FINDINGS},
                    "urgency": {"enum": Urgency::WORDS},
                },
            },
            {
                "type": "object",
                "additionalProperties": false,
                "required": ["insufficient_evidence", "evidence"],
                "properties": {
                    "insufficient_evidence": {"enum": REASONS},
                    "evidence": {"type": "array", "items": {"enum": ids}, "maxItems": 4},
                },
            },
        ],
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Findings {
    findings: Vec<Claim>,
    urgency: Urgency,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Claim {
    kind: FindingKind,
    side: Side,
    region: Region,
    severity: Severity,
    change: Change,
    evidence: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Insufficient {
    insufficient_evidence: String,
    evidence: Vec<String>,
}

/// Keeps the statements that rest on evidence that was shown; drops and counts the rest.
///
/// Errors: `Fault` for an answer that was cut, is no JSON, or is not of this contract. It is never repaired.
pub fn ground(completion: &Completion, chart: &Chart, view: &View) -> Result<Assessment> {
    let View { shown, not_shown, neutralised } = view;
    // INVARIANT: a_cut_answer_is_no_answer
    if completion.finish == Finish::Length {
        return Err(Error::fault("the model's answer was cut at its token limit"));
    }
    let ledger = Ledger {
        examined: chart.examined.clone(),
        shown: shown.to_vec(),
        not_shown: not_shown.to_vec(),
        failed: chart.gaps.iter().cloned().chain(control_words(*neutralised)).collect(),
    };
    let text = completion.text.trim();
    let unreadable = |_| Error::fault("the model's answer is not of the contract's form");
    let value: Value = serde_json::from_str(text).map_err(unreadable)?;
    if value.get("insufficient_evidence").is_some() {
        let answer: Insufficient = serde_json::from_str(text).map_err(unreadable)?;
        return Ok(abstained(answer, shown, ledger));
    }
    let answer: Findings = serde_json::from_str(text).map_err(unreadable)?;
    let grounds = Grounds::of(chart, shown);
    let mut rejected = Vec::new();
    let statements: Vec<Statement> =
        answer.findings.into_iter().take(MAX_FINDINGS).filter_map(|claim| grounds.statement(claim, &mut rejected)).collect();
    let sections = vec![Section { key: "findings".into(), title: "Findings".into(), statements }];
    Ok(Assessment { sections, urgency: Some(answer.urgency), abstained: None, ledger, rejected })
}

/// Text in the record that could have steered the model is a finding about the record.
fn control_words(neutralised: usize) -> Option<Gap> {
    let why = format!("{neutralised} sequence(s) that a model takes for control were found in the text and made harmless");
    (neutralised > 0).then(|| Gap { what: "text of the record".into(), why })
}

fn abstained(answer: Insufficient, shown: &[EvidenceId], ledger: Ledger) -> Assessment {
    // The reason is one of our own words or it is not repeated.
    let reason = match REASONS.iter().find(|r| **r == answer.insufficient_evidence) {
        Some(&"blank") => "the model found the picture blank",
        Some(&"not a chest image") => "the model found that the picture is not a chest film",
        _ => "the model found nothing it could read",
    };
    let evidence = answer.evidence.into_iter().filter_map(|id| EvidenceId::try_from(id).ok()).filter(|id| shown.contains(id)).collect();
    let abstention = Abstention { reason: reason.into(), evidence, model_asked: true };
    Assessment { abstained: Some(abstention), ledger, ..Assessment::default() }
}

/// What a claim may rest on.
struct Grounds {
    shown: HashSet<EvidenceId>,
    current: Option<EvidenceId>,
    prior: Option<EvidenceId>,
}

impl Grounds {
    fn of(chart: &Chart, shown: &[EvidenceId]) -> Grounds {
        let picture = |wanted: Role| {
            let found = chart.evidence.iter().find(|e| matches!(&e.fact, Fact::Image { role, .. } if *role == wanted));
            found.map(|e| e.id).filter(|id| shown.contains(id))
        };
        Grounds { shown: shown.iter().copied().collect(), current: picture(Role::Current), prior: picture(Role::Prior) }
    }

    /// A claim becomes a statement only with the current picture among its valid citations.
    fn statement(&self, claim: Claim, rejected: &mut Vec<Rejected>) -> Option<Statement> {
        let Claim { kind, side, region, severity, mut change, evidence } = claim;
        let what = sentence(Finding { kind, side, region, severity, change });
        let mut reject = |why: &str| rejected.push(Rejected { what: what.clone(), why: why.to_owned() });
        let mut cited = Vec::new();
        for id in evidence {
            match EvidenceId::try_from(id).ok().filter(|id| self.shown.contains(id)) {
                None => reject("a citation names nothing that was shown"),
                Some(id) if cited.contains(&id) => reject("a citation is repeated"),
                Some(id) => cited.push(id),
            }
        }
        // INVARIANT: a_statement_about_a_picture_cites_the_picture
        if !self.current.is_some_and(|id| cited.contains(&id)) {
            reject("the statement does not cite the film it speaks of, so it was dropped");
            return None;
        }
        // INVARIANT: a_comparison_rests_on_both_films
        if change != Change::Unknown && !self.prior.is_some_and(|id| cited.contains(&id)) {
            reject("the comparison does not cite an earlier film, so it was dropped and the rest kept");
            change = Change::Unknown;
        }
        let finding = Finding { kind, side, region, severity, change };
        Some(Statement { text: sentence(finding), finding: Some(finding), evidence: cited })
    }
}

/// The finding in our words; the model's own are never shown.
pub fn sentence(finding: Finding) -> String {
    let Finding { kind, side, region, severity, change } = finding;
    let kind = match kind {
        FindingKind::Pneumothorax => "pneumothorax",
        FindingKind::Opacity => "opacity",
        FindingKind::Effusion => "pleural effusion",
        FindingKind::Cardiomegaly => "enlarged heart shadow",
        FindingKind::Line => "central line",
    };
    let size = match severity {
        Severity::None => "",
        Severity::Small => "small ",
        Severity::Moderate => "moderate ",
        Severity::Large => "large ",
    };
    let place = match (finding.kind, side) {
        (FindingKind::Cardiomegaly, _) => String::new(),
        (_, Side::Midline) => ", midline".to_owned(),
        (_, side) => format!(", {}", side.word()),
    };
    let region = match (finding.kind, region) {
        (FindingKind::Cardiomegaly, _) => String::new(),
        (FindingKind::Line, Region::Upper | Region::Middle | Region::Lower) => format!(", tip {}", region.word()),
        (FindingKind::Line, Region::Mediastinum) => ", tip in the mediastinum".into(),
        (_, Region::Whole) => ", whole side".into(),
        (_, region) => format!(", {}", region.word()),
    };
    let change = match change {
        Change::Unknown => "",
        Change::New => " (new since the prior film)",
        Change::Same => " (unchanged from the prior film)",
        Change::Better => " (less than on the prior film)",
        Change::Worse => " (more than on the prior film)",
    };
    let mut text = format!("{size}{kind}{place}{region}{change}");
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}
