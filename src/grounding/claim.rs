//! What a model claims of a film, and which of it is kept.

use std::collections::HashSet;

use serde::Deserialize;

use super::{Change, Finding, FindingKind, Ledger, Region, Rejected, Severity, Side, Statement, sentence};
use crate::{
    chart::{Chart, EvidenceId, Gap, Role, View},
    error::{Error, Result},
    task::Language,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Claim {
    pub kind: FindingKind,
    pub side: Side,
    pub region: Region,
    pub severity: Severity,
    pub change: Change,
    pub evidence: Vec<String>,
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
pub(super) struct Grounds {
    pub shown: HashSet<EvidenceId>,
    pub current: EvidenceId,
    prior: Option<EvidenceId>,
}

impl Grounds {
    pub fn of(chart: &Chart, shown: &[EvidenceId]) -> Result<Grounds> {
        let picture = |wanted: Role| chart.film(wanted).map(|(id, _)| id).filter(|id| shown.contains(id));
        let asked_blind = || Error::fault("the model was asked without the current film");
        let current = picture(Role::Current).ok_or_else(asked_blind)?;
        Ok(Grounds { shown: shown.iter().copied().collect(), current, prior: picture(Role::Prior) })
    }

    /// A claim becomes a statement only with the current picture among its valid citations.
    pub fn statement(&self, claim: Claim, language: Language, rejected: &mut Vec<Rejected>) -> Option<Statement> {
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
