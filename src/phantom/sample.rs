//! Which findings films show: drawn so that each can be told from the picture.

use super::Random;
use crate::finding::{Change, Finding, FindingKind, Region, Severity, Side};

use FindingKind::{Cardiomegaly, Effusion, Line, Opacity, Pneumothorax};

const SIZES: [Severity; 3] = [Severity::Small, Severity::Moderate, Severity::Large];

/// The findings of a film, in the order of an answer: by kind, right before left, region. `change` is unknown.
pub fn findings(random: &mut Random) -> Vec<Finding> {
    let wanted = random.weighted(&[22, 43, 26, 9]);
    let mut found: Vec<Finding> = Vec::new();
    for _ in 0..40 {
        if found.len() == wanted {
            break;
        }
        let next = finding(random);
        if !found.iter().any(|other| repeats(other, &next) || hidden(other, &next)) {
            found.push(next);
        }
    }
    ordered(found)
}

/// The findings of an earlier film of the same patient: each of the current ones as it is now, of another size, or not
/// yet there, and sometimes one that has gone since.
pub fn prior(random: &mut Random, current: &[Finding]) -> Vec<Finding> {
    for _ in 0..20 {
        let mut earlier: Vec<Finding> = current.iter().filter_map(|now| before(random, now)).collect();
        if earlier.len() < 2 && random.chance(0.25) {
            let gone = finding(random);
            if !earlier.iter().chain(current).any(|other| other.kind == gone.kind) {
                earlier.push(gone);
            }
        }
        if !earlier.iter().enumerate().any(|(i, one)| earlier[i + 1..].iter().any(|other| hidden(one, other))) {
            return ordered(earlier);
        }
    }
    current.iter().map(|now| Finding { change: Change::Unknown, ..*now }).collect()
}

/// What became of a finding since an earlier film; `None` where there is none to compare with.
pub fn change(current: &Finding, prior: Option<&[Finding]>) -> Change {
    let Some(prior) = prior else { return Change::Unknown };
    let is_same = |other: &&Finding| {
        (other.kind, other.side) == (current.kind, current.side)
            && (current.kind != Opacity || other.region == current.region)
    };
    match prior.iter().find(is_same) {
        None => Change::New,
        Some(before) if before.severity == current.severity => Change::Same,
        Some(before) if before.severity < current.severity => Change::Worse,
        Some(_) => Change::Better,
    }
}

/// Whether one of the two would hide the other, or how large it is.
// INVARIANT: what_hides_another_finding_is_never_drawn_with_it
pub(super) fn hidden(one: &Finding, other: &Finding) -> bool {
    let (first, second) = if one.kind <= other.kind { (one, other) } else { (other, one) };
    let same_side = first.side == second.side;
    match (first.kind, second.kind) {
        (Pneumothorax, Opacity | Effusion) => same_side,
        (Pneumothorax, Cardiomegaly) => first.severity == Severity::Large,
        (Opacity, Effusion) => {
            let level = match second.severity {
                Severity::Large => true,
                Severity::Moderate => first.region == Region::Middle,
                _ => false,
            };
            same_side && (level || first.region == Region::Lower || first.severity == Severity::Large)
        }
        (Opacity, Cardiomegaly) => {
            first.region == Region::Lower || second.severity == Severity::Large && first.region == Region::Middle
        }
        (Effusion, Cardiomegaly) => first.severity == Severity::Large,
        _ => false,
    }
}

/// Whether a film has room for only one of the two.
fn repeats(one: &Finding, other: &Finding) -> bool {
    one.kind == other.kind && (one.side == other.side || matches!(one.kind, Pneumothorax | Cardiomegaly | Line))
}

fn finding(random: &mut Random) -> Finding {
    let kind = FindingKind::ALL[random.weighted(&[23, 27, 24, 12, 14])];
    let side = if random.chance(0.5) { Side::Right } else { Side::Left };
    let third = [random.below(3), random.weighted(&[25, 50, 25])];
    let region = match kind {
        Opacity => [Region::Upper, Region::Middle, Region::Lower][third[0]],
        Line => [Region::Upper, Region::Mediastinum, Region::Lower][third[1]],
        _ => Region::Whole,
    };
    let severity = SIZES[random.below(3)];
    sized(Finding { kind, side, region, severity, change: Change::Unknown }, severity)
}

/// The same finding of another size; a line has none. Side and region follow where the kind or the size says them.
fn sized(finding: Finding, severity: Severity) -> Finding {
    let (side, region) = match (finding.kind, severity) {
        (Pneumothorax, Severity::Large) => (finding.side, Region::Whole),
        (Pneumothorax, _) => (finding.side, Region::Upper),
        (Effusion, _) => (finding.side, Region::Lower),
        (Cardiomegaly, _) => (Side::Midline, Region::Heart),
        (Opacity | Line, _) => (finding.side, finding.region),
    };
    let severity = if finding.kind == Line { Severity::None } else { severity };
    Finding { side, region, severity, ..finding }
}

/// The same finding on an earlier film, if it was there.
fn before(random: &mut Random, now: &Finding) -> Option<Finding> {
    let now = Finding { change: Change::Unknown, ..*now };
    let (share, size) = if now.kind == Line { (0.5, now.severity) } else { (0.72, SIZES[random.below(3)]) };
    let as_now = random.chance(0.3);
    random.chance(share).then(|| if as_now { now } else { sized(now, size) })
}

fn ordered(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by_key(|finding| (finding.kind, finding.side, finding.region));
    findings
}
