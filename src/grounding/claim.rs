//! What a model claims of a film, and which of it is kept.

use std::collections::HashSet;

use serde::Deserialize;

use super::{
    Abstention, Assessment, Change, Finding, FindingKind, Ledger, Region, Rejected, Section, Severity, Side, Statement,
    Urgency, sentence,
};
use crate::{
    chart::{Chart, EvidenceId, Gap, Role, View},
    engine::{Completion, Finish},
    error::{Error, Result},
    task::Language,
};

/// Most findings that an answer may hold.
pub(super) const MAX_FINDINGS: usize = 8;

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

/// The answer, where it was not cut.
pub(super) fn whole(completion: &Completion) -> Result<&str> {
    // INVARIANT: a_cut_answer_is_no_answer
    if completion.finish == Finish::Length {
        return Err(Error::fault("the model's answer was cut at its token limit"));
    }
    Ok(completion.text.trim())
}

pub(super) fn unreadable() -> Error {
    Error::fault("the model's answer is not of the contract's form")
}

pub(super) fn too_many() -> Error {
    Error::fault("the model's answer holds more than its contract allows")
}

pub(super) fn say(language: Language, english: &str, korean: &str) -> String {
    match language {
        Language::English => english.to_owned(),
        Language::Korean => korean.to_owned(),
    }
}

/// Where the model was asked and nothing is said.
pub(super) fn abstained(
    ledger: Ledger,
    reason: String,
    evidence: Vec<EvidenceId>,
    rejected: Vec<Rejected>,
) -> Assessment {
    let abstained = Some(Abstention { reason, evidence, model_asked: true });
    Assessment { abstained, ledger, rejected, ..Assessment::default() }
}

/// Keeps of an answer of findings those that rest on the film. `urgencies` are the words its contract has.
pub(super) fn findings(
    text: &str,
    urgencies: &[&str],
    chart: &Chart,
    view: &View,
    language: Language,
) -> Result<Assessment> {
    let Findings { findings, urgency } = serde_json::from_str(text).map_err(|_| unreadable())?;
    if !urgencies.contains(&urgency.word()) {
        return Err(unreadable());
    }
    let claimed = findings.len();
    if claimed > MAX_FINDINGS {
        return Err(too_many());
    }
    let grounds = Grounds::of(chart, &view.shown)?;
    let mut rejected = Vec::new();
    let kept = findings.into_iter().filter_map(|claim| grounds.statement(claim, language, &mut rejected));
    let statements: Vec<Statement> = kept.collect();
    let ledger = ledger(chart, view);
    // INVARIANT: findings_that_were_all_dropped_are_not_no_finding
    if claimed > 0 && statements.is_empty() {
        let [english, korean] =
            ["nothing the model stated rested on the film", "모델의 말 가운데 영상에 근거한 것이 없었다"];
        return Ok(abstained(ledger, say(language, english, korean), Vec::new(), rejected));
    }
    let title = say(language, "Findings", "소견");
    let sections = vec![Section { key: "findings".into(), title, statements }];
    Ok(Assessment { sections, urgency: Some(urgency), abstained: None, ledger, rejected })
}

/// What was looked at and what of it the model saw.
pub(super) fn ledger(chart: &Chart, view: &View) -> Ledger {
    Ledger {
        examined: chart.examined.clone(),
        shown: view.shown.clone(),
        not_shown: view.not_shown.clone(),
        failed: chart.gaps.iter().cloned().chain(control_words(view.neutralised)).collect(),
    }
}

/// Text in the record that could have steered the model is a finding about the record.
fn control_words(neutralised: usize) -> Option<Gap> {
    let why =
        format!("{neutralised} sequence(s) that a model takes for control were found in the text and made harmless");
    (neutralised > 0).then(|| Gap { what: "text of the record".into(), why })
}

/// The ids of a claim that were shown, each once; the others are told to `reject`.
pub(super) fn cited(ids: Vec<String>, shown: &HashSet<EvidenceId>, mut reject: impl FnMut(&str)) -> Vec<EvidenceId> {
    let mut cited = Vec::new();
    for id in ids {
        match EvidenceId::try_from(id).ok().filter(|id| shown.contains(id)) {
            None => reject("a citation names nothing that was shown"),
            Some(id) if cited.contains(&id) => reject("a citation is repeated"),
            Some(id) => cited.push(id),
        }
    }
    cited
}

/// What a claim may rest on.
struct Grounds {
    shown: HashSet<EvidenceId>,
    current: EvidenceId,
    prior: Option<EvidenceId>,
}

impl Grounds {
    fn of(chart: &Chart, shown: &[EvidenceId]) -> Result<Grounds> {
        let picture = |wanted: Role| chart.film(wanted).map(|(id, _)| id).filter(|id| shown.contains(id));
        let asked_blind = || Error::fault("the model was asked without the current film");
        let current = picture(Role::Current).ok_or_else(asked_blind)?;
        Ok(Grounds { shown: shown.iter().copied().collect(), current, prior: picture(Role::Prior) })
    }

    /// A claim becomes a statement only with the current picture among its valid citations.
    fn statement(&self, claim: Claim, language: Language, rejected: &mut Vec<Rejected>) -> Option<Statement> {
        let Claim { kind, side, region, severity, mut change, evidence } = claim;
        let what = sentence(Finding { kind, side, region, severity, change }, language);
        let mut reject = |why: &str| rejected.push(Rejected { what: what.clone(), why: why.to_owned() });
        let cited = cited(evidence, &self.shown, &mut reject);
        // INVARIANT: a_statement_about_a_picture_cites_the_picture
        if !cited.contains(&self.current) {
            reject("the statement does not cite the film it speaks of, so it was dropped");
            return None;
        }
        // INVARIANT: a_comparison_rests_on_both_films
        if change != Change::Unknown && !self.prior.is_some_and(|id| cited.contains(&id)) {
            reject("the comparison does not cite an earlier film, so it was dropped and the rest kept");
            change = Change::Unknown;
        }
        let finding = Finding { kind, side, region, severity, change };
        Some(Statement { text: sentence(finding, language), finding: Some(finding), evidence: cited })
    }
}
