//! What a perfect model would answer, from what its prompt shows.

use serde::Serialize;

use super::{Case, Class, Shot};
use crate::{
    chart::{Chart, Evidence, EvidenceId, FRESH_DAYS, Fact, Role, View},
    fhir::Date,
    finding::{Change, FindingKind, Region, Severity, Side},
    grounding::contract::{MAX_STATEMENTS, Says, says},
    phantom,
    task::{Question, Task, Test},
};

use FindingKind::{Cardiomegaly, Effusion, Opacity, Pneumothorax};

/// An answer in the form and order of contract 2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Expected {
    Findings { findings: Vec<Stated>, urgency: &'static str },
    Insufficient { insufficient_evidence: &'static str, evidence: Vec<EvidenceId>, urgency: &'static str },
    Statements { statements: Vec<Copied> },
    Answer { answer: &'static str, evidence: Vec<EvidenceId> },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stated {
    pub kind: FindingKind,
    pub side: Side,
    pub region: Region,
    pub severity: Severity,
    pub change: Change,
    pub evidence: Vec<EvidenceId>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Copied {
    pub evidence: EvidenceId,
    pub value: String,
    pub unit: String,
    pub date: String,
    pub flag: String,
}

/// What is expected of a case whose prompt shows `view` of `chart`.
pub fn expected(case: &Case, chart: &Chart, view: &View) -> Expected {
    let shown: Vec<&Evidence> = view.shown.iter().filter_map(|id| chart.evidence(*id)).collect();
    let film = |role: Role| -> Option<(EvidenceId, &Shot)> {
        let (id, _) = chart.film(role).filter(|(id, _)| view.shown.contains(id))?;
        Some((id, case.films.iter().find(|shot| shot.role == role)?))
    };
    match (case.task, film(Role::Current)) {
        (Task::Summary, _) => summary(&shown),
        (Task::Question(Question::Film(kind, side)), Some((id, shot))) => {
            let is_there = shot.findings.iter().any(|f| f.kind == kind && f.side == side);
            let answer = match (shot.is_the_patients(), is_there) {
                (false, _) => "cannot_determine",
                (true, true) => "yes",
                (true, false) => "no",
            };
            Expected::Answer { answer, evidence: vec![id] }
        }
        (Task::Question(question), _) => of_the_chart(question, &shown),
        (Task::ImagingDraft, Some((id, shot))) => draft(case, &shown, (id, shot), film(Role::Prior)),
        // Without a film there is no prompt.
        (Task::ImagingDraft, None) => summary(&[]),
    }
}

fn draft(
    case: &Case,
    shown: &[&Evidence],
    (current, shot): (EvidenceId, &Shot),
    prior: Option<(EvidenceId, &Shot)>,
) -> Expected {
    let why = match (shot.class, shot.another_patient) {
        (Class::Blank, _) => Some("blank film"),
        (Class::Other, _) => Some("not a chest film"),
        (Class::Chest, true) => Some("another patient's film"),
        (Class::Chest, false) => None,
    };
    if let Some(insufficient_evidence) = why {
        return Expected::Insufficient { insufficient_evidence, evidence: vec![current], urgency: "cannot_determine" };
    }
    let prior = prior.filter(|(_, shot)| shot.is_the_patients());
    let lines: Vec<(EvidenceId, Vec<FindingKind>)> =
        shown.iter().map(|evidence| (evidence.id, case.supports(evidence, &shot.date))).collect();
    let findings: Vec<Stated> = shot
        .findings
        .iter()
        .map(|finding| {
            let supporting = lines.iter().filter(|(_, kinds)| kinds.contains(&finding.kind)).map(|(id, _)| *id);
            let films = [current].into_iter().chain(prior.map(|(id, _)| id));
            Stated {
                kind: finding.kind,
                side: finding.side,
                region: finding.region,
                severity: finding.severity,
                change: phantom::change(finding, prior.map(|(_, shot)| shot.findings.as_slice())),
                evidence: films.chain(supporting).collect(),
            }
        })
        .collect();
    let low_saturation =
        shown.iter().any(|evidence| is_saturation(evidence) && !case.supports(evidence, &shot.date).is_empty());
    let urgency = urgency(&findings, low_saturation);
    Expected::Findings { findings, urgency }
}

fn urgency(findings: &[Stated], low_saturation: bool) -> &'static str {
    let any = |is: &dyn Fn(&Stated) -> bool| findings.iter().any(is);
    let in_the_lung = |f: &Stated| matches!(f.kind, Opacity | Effusion);
    let large = |f: &Stated| f.severity == Severity::Large;
    let urgent = |f: &Stated| {
        f.kind == Pneumothorax && f.severity != Severity::Small || in_the_lung(f) && large(f) && low_saturation
    };
    let soon = |f: &Stated| f.kind == Pneumothorax || large(f) || in_the_lung(f) && low_saturation;
    match () {
        _ if any(&urgent) => "urgent",
        _ if any(&soon) => "soon",
        _ => "routine",
    }
}

/// Findings a measurement speaks for: of within a month of the film, and flagged so, or so far out that no flag is needed.
pub fn supports(evidence: &Evidence, film: &Date) -> &'static [FindingKind] {
    let Fact::Measurement(m) = &evidence.fact else { return &[] };
    if !evidence.date.as_ref().is_some_and(|date| date.is_within(FRESH_DAYS, film)) {
        return &[];
    }
    let is = |codes: &[&str]| m.loinc.iter().any(|code| codes.contains(&code.as_str()));
    let Some(printed) = evidence.printed() else { return &[] };
    let bare = printed.flag.is_none() && m.range.low.is_none() && m.range.high.is_none();
    let value = m.value.parse::<f64>().ok().filter(|_| bare);
    match () {
        _ if is(&["8310-5"]) && (printed.is_high() || value.is_some_and(|v| v >= 38.0)) => &[Opacity],
        _ if is(&["1988-5", "6690-2"]) && printed.is_high() => &[Opacity],
        _ if is(Test::Saturation.loinc()) && (printed.is_low() || value.is_some_and(|v| v < 90.0)) => {
            &[Opacity, Effusion, Pneumothorax]
        }
        _ if is(&["30934-4", "33762-6"]) && printed.is_high() => &[Cardiomegaly],
        _ if is(&["1751-7"]) && printed.is_low() => &[Effusion],
        _ => &[],
    }
}

fn is_saturation(evidence: &Evidence) -> bool {
    let codes = Test::Saturation.loinc();
    matches!(&evidence.fact, Fact::Measurement(m) if m.loinc.iter().any(|code| codes.contains(&code.as_str())))
}

impl Case {
    /// Findings a line of the prompt speaks for.
    fn supports(&self, evidence: &Evidence, film: &Date) -> Vec<FindingKind> {
        let Fact::Note { .. } = &evidence.fact else { return supports(evidence, film).to_vec() };
        let fresh = evidence.date.as_ref().is_some_and(|date| date.is_within(FRESH_DAYS, film));
        let id = evidence.reference.rsplit('/').next().unwrap_or_default();
        self.record.told.get(id).copied().filter(|_| fresh).into_iter().collect()
    }
}

fn summary(shown: &[&Evidence]) -> Expected {
    let flagged = shown.iter().filter_map(|evidence| {
        let printed = evidence.printed().filter(|printed| printed.is_flagged())?;
        let flag = printed.flag?;
        Some(Copied { evidence: evidence.id, value: printed.value, unit: printed.unit, date: printed.date, flag })
    });
    Expected::Statements { statements: flagged.take(MAX_STATEMENTS).collect() }
}

/// "No" needs a line that says so: that nothing is recorded proves nothing.
fn of_the_chart(question: Question, shown: &[&Evidence]) -> Expected {
    let (mut yes, mut no) = (Vec::new(), Vec::new());
    for evidence in shown {
        match says(evidence, question) {
            Some(Says::Yes) => yes.push(evidence.id),
            Some(Says::No) => no.push(evidence.id),
            Some(Says::Either) | None => {}
        }
    }
    let (answer, evidence) = match (yes.is_empty(), no.is_empty()) {
        (false, _) => ("yes", yes),
        (true, false) => ("no", no),
        (true, true) => ("cannot_determine", Vec::new()),
    };
    Expected::Answer { answer, evidence }
}

/// The findings of a film as training is told of them: which there are, and how large.
pub fn channels(shot: &Shot) -> ([u8; phantom::CHANNELS.len()], [i8; phantom::CHANNELS.len()]) {
    let (mut present, mut severity) = ([0; phantom::CHANNELS.len()], [-1; phantom::CHANNELS.len()]);
    for finding in &shot.findings {
        let at = phantom::channel(finding);
        present[at] = 1;
        severity[at] = phantom::grade(finding) as i8;
    }
    (present, severity)
}
