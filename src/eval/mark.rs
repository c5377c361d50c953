//! What is right of one answer, counted.

use std::time::Duration;

use super::{
    Drawn, Expected,
    answer::Stated,
    figure::{Figure, Share},
    told::Told,
};
use crate::{
    finding::Side,
    task::{Language, Task},
};

/// One case asked.
#[derive(Clone, Debug)]
pub struct Mark {
    /// The case's number.
    pub number: u64,
    /// Whether the card is the one the product writes of the perfect answer.
    pub exact: bool,
    /// What of a wrong card is the product's doing: it asked something else than training, or lost a part of the perfect
    /// answer. Then the model is not to blame.
    pub fault: Option<String>,
    pub shares: Vec<(Figure, Share)>,
    pub took: Duration,
    /// Pictures of the prompt.
    pub films: usize,
    pub got: Told,
    pub perfect: Told,
}

/// Compares the answer with the perfect one. `strange` is whether the prompt is not the one training has.
pub fn mark(drawn: &Drawn, got: Told, took: Duration, perfect: Told, strange: bool) -> Mark {
    let exact = got.failed.is_none() && got == perfect;
    let fault = match (strange, &perfect.failed) {
        (true, _) => Some("the server's prompt is not the one training has".to_owned()),
        (false, Some(why)) => Some(format!("the perfect answer was not answered: {why}")),
        (false, None) => (!kept(&drawn.shown.expected, &perfect)).then(|| "the perfect answer lost a part".into()),
    };
    let mut shares = vec![(Figure::Exact, Share::of(exact))];
    let mut add = |figure: Figure, share: Share| shares.push((figure, share));
    add(if drawn.case.language == Language::Korean { Figure::Korean } else { Figure::English }, Share::of(exact));
    let task = match drawn.case.task {
        Task::ImagingDraft => Figure::Drafts,
        Task::Summary => Figure::Summaries,
        Task::Question(_) => Figure::Questions,
    };
    add(task, Share::of(exact));
    match &drawn.shown.expected {
        Expected::Findings { findings, urgency } => {
            add(Figure::FalseAbstention, Share::of(got.failed.is_none() && !got.drafted));
            add(Figure::Urgency, Share::of(got.urgency.as_deref() == Some(urgency)));
            count(findings, &got.findings, &mut add);
        }
        Expected::Insufficient { insufficient_evidence, .. } => {
            let figure = match *insufficient_evidence {
                "blank film" => Figure::Blank,
                "not a chest film" => Figure::NoChest,
                _ => Figure::Another,
            };
            // The reason stands in the card's summary.
            add(figure, Share::of(got.failed.is_none() && !got.drafted && got.summary() == perfect.summary()));
        }
        Expected::Statements { .. } => {
            let (lines, right) = (got.lines(), perfect.lines());
            let known = perfect.others();
            let rejected = got.others().into_iter().filter(|other| !known.contains(other)).count();
            add(Figure::Statements, Share { hits: lines.len(), of: lines.len() + rejected });
            add(Figure::Complete, Share::of(got.failed.is_none() && lines == right));
        }
        Expected::Answer { .. } => {
            let same = got.summary() == perfect.summary() && got.lines() == perfect.lines();
            add(Figure::Answers, Share::of(got.failed.is_none() && same));
        }
    }
    add(Figure::Answered, Share::of(got.failed.is_none()));
    add(Figure::AsTaught, Share::of(fault.is_none()));
    let films = drawn.shown.pictures.len();
    Mark { number: drawn.number, exact, fault, shares, took, films, got, perfect }
}

/// Whether the perfect answer is on the card and in the report whole.
fn kept(expected: &Expected, perfect: &Told) -> bool {
    match expected {
        Expected::Findings { findings, urgency } => {
            perfect.findings == *findings && perfect.urgency.as_deref() == Some(urgency) && perfect.drafted
        }
        Expected::Insufficient { .. } => !perfect.drafted,
        Expected::Statements { statements } => perfect.lines().len() == statements.len(),
        Expected::Answer { answer, evidence } => match perfect.lines().as_slice() {
            [] => *answer == "cannot_determine",
            [(_, cited)] => *answer != "cannot_determine" && cited == evidence,
            _ => false,
        },
    }
}

/// Findings of a film against those it has.
fn count(expected: &[Stated], stated: &[Stated], add: &mut impl FnMut(Figure, Share)) {
    let pairs = pairs(expected, stated);
    let found = pairs.iter().flatten().count();
    add(Figure::Found, Share { hits: found, of: expected.len() });
    add(Figure::There, Share { hits: found, of: stated.len() });
    let other_side = |finding: &Stated| {
        let other = match finding.side {
            Side::Right => Side::Left,
            Side::Left => Side::Right,
            Side::Midline => return false,
        };
        let is = |f: &&Stated| f.kind == finding.kind && f.side == other;
        stated.iter().filter(is).count() > expected.iter().filter(is).count()
    };
    for (finding, pair) in expected.iter().zip(&pairs) {
        if finding.side != Side::Midline {
            add(Figure::SideErrors, Share::of(pair.is_none() && other_side(finding)));
        }
        let Some(pair) = pair else { continue };
        add(Figure::Region, Share::of(pair.region == finding.region));
        add(Figure::Severity, Share::of(pair.severity == finding.severity));
        add(Figure::Change, Share::of(pair.change == finding.change));
        let right = pair.evidence.iter().filter(|id| finding.evidence.contains(id)).count();
        add(Figure::Precision, Share { hits: right, of: pair.evidence.len() });
        add(Figure::Recall, Share { hits: right, of: finding.evidence.len() });
    }
}

/// For each finding expected the one stated of its kind and side, of its region before others.
fn pairs<'a>(expected: &[Stated], stated: &'a [Stated]) -> Vec<Option<&'a Stated>> {
    let mut left: Vec<&Stated> = stated.iter().collect();
    let mut pairs = vec![None; expected.len()];
    for same_region in [true, false] {
        for (finding, pair) in expected.iter().zip(&mut pairs).filter(|(_, pair)| pair.is_none()) {
            let fits = |s: &&Stated| {
                s.kind == finding.kind && s.side == finding.side && (!same_region || s.region == finding.region)
            };
            *pair = left.iter().position(fits).map(|at| left.remove(at));
        }
    }
    pairs
}

/// What is made of films whose findings are faint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// All that is there, and nothing else.
    Right,
    /// A part of it, and nothing else.
    Part,
    /// Nothing: no finding was stated.
    Normal,
    Abstained,
    /// Something that is not there.
    Invented,
    /// No answer came.
    Failed,
}

impl Seen {
    pub const ALL: [Seen; 6] = [Seen::Right, Seen::Part, Seen::Normal, Seen::Abstained, Seen::Invented, Seen::Failed];

    pub fn name(self) -> &'static str {
        match self {
            Seen::Right => "right",
            Seen::Part => "in part",
            Seen::Normal => "normal",
            Seen::Abstained => "abstained",
            Seen::Invented => "invented",
            Seen::Failed => "failed",
        }
    }

    /// `visible` is whether the findings can be seen at all.
    pub fn of(expected: &[Stated], got: &Told, visible: bool) -> Seen {
        let pairs = pairs(expected, &got.findings);
        let found = pairs.iter().flatten().count();
        match () {
            _ if got.failed.is_some() => Seen::Failed,
            _ if !got.drafted => Seen::Abstained,
            _ if got.findings.is_empty() => Seen::Normal,
            _ if !visible || got.findings.len() > found => Seen::Invented,
            _ if found == expected.len() => Seen::Right,
            _ => Seen::Part,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        chart::EvidenceId,
        finding::{Change, FindingKind, Region, Severity},
    };

    fn finding(kind: FindingKind, side: Side, region: Region) -> Stated {
        let (severity, change) = (Severity::Small, Change::New);
        Stated { kind, side, region, severity, change, evidence: vec![EvidenceId(1), EvidenceId(2)] }
    }

    fn counted(expected: &[Stated], stated: &[Stated], figure: Figure) -> Share {
        let mut shares = Vec::new();
        count(expected, stated, &mut |of, share| shares.push((of, share)));
        Share::sum(shares.into_iter().filter(|(of, _)| *of == figure).map(|(_, share)| share))
    }

    use FindingKind::{Cardiomegaly, Effusion, Opacity};

    #[test]
    fn a_finding_of_the_wrong_side_is_not_found_and_one_error() {
        let film = [
            finding(Opacity, Side::Right, Region::Upper),
            finding(Effusion, Side::Left, Region::Lower),
            finding(Cardiomegaly, Side::Midline, Region::Heart),
        ];
        let mut said = film.clone();
        said[0].side = Side::Left;
        let share = |figure| counted(&film, &said, figure);
        assert_eq!(share(Figure::SideErrors), Share { hits: 1, of: 2 });
        assert_eq!(share(Figure::Found), Share { hits: 2, of: 3 });
        assert_eq!(share(Figure::There), Share { hits: 2, of: 3 });
        // Missing is no error of side, and neither is a film with both.
        assert_eq!(counted(&film, &said[1..], Figure::SideErrors), Share { hits: 0, of: 2 });
        let both = [film[0].clone(), finding(Opacity, Side::Left, Region::Upper)];
        assert_eq!(counted(&both, &both[..1], Figure::SideErrors), Share { hits: 0, of: 2 });
        assert_eq!(counted(&[], &said, Figure::There), Share { hits: 0, of: 3 });
    }

    #[test]
    fn what_else_is_said_of_a_finding_is_counted_where_it_was_found() {
        let film = [finding(Opacity, Side::Right, Region::Upper), finding(Opacity, Side::Right, Region::Lower)];
        let mut said = vec![film[1].clone(), film[0].clone()];
        said[0].severity = Severity::Large;
        said[1].evidence = vec![EvidenceId(1), EvidenceId(7), EvidenceId(8)];
        let share = |figure| counted(&film, &said, figure);
        assert_eq!(share(Figure::Region), Share { hits: 2, of: 2 });
        assert_eq!(share(Figure::Severity), Share { hits: 1, of: 2 });
        assert_eq!(share(Figure::Change), Share { hits: 2, of: 2 });
        assert_eq!(share(Figure::Precision), Share { hits: 3, of: 5 });
        assert_eq!(share(Figure::Recall), Share { hits: 3, of: 4 });
    }

    #[test]
    fn films_with_faint_findings_are_seen_one_way_each() {
        let film = [finding(Opacity, Side::Right, Region::Upper), finding(Effusion, Side::Left, Region::Lower)];
        let seen = |findings: &[Stated], visible| {
            Seen::of(&film, &Told { drafted: true, findings: findings.to_vec(), ..Told::default() }, visible)
        };
        assert_eq!(seen(&film, true), Seen::Right);
        assert_eq!(seen(&film[..1], true), Seen::Part);
        assert_eq!(seen(&[], true), Seen::Normal);
        assert_eq!(seen(&[finding(Opacity, Side::Left, Region::Upper)], true), Seen::Invented);
        // What cannot be seen was not seen, even if it is there.
        assert_eq!(seen(&film, false), Seen::Invented);
        assert_eq!(Seen::of(&film, &Told::default(), true), Seen::Abstained);
        assert_eq!(Seen::of(&film, &Told::failed("late".into()), true), Seen::Failed);
    }
}
