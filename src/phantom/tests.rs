//! A film shows what its truth says, and every file of it gives back the same greys.

mod files;
mod truth;

use sha2::{Digest, Sha256};

use super::{sample::hidden, *};
use crate::finding::{Change, FindingKind, Region, Severity, Side};

/// As a model sees it.
const SIZE: (u32, u32) = (224, 224);
/// Four times as fast: without optimisation a film takes a while.
const SMALL: (u32, u32) = (112, 112);

fn finding(kind: FindingKind, side: Side, region: Region, severity: Severity) -> Finding {
    Finding { kind, side, region, severity, change: Change::Unknown }
}

/// Every finding there is.
fn all() -> Vec<Finding> {
    use {FindingKind::*, Region::*, Severity::*, Side::*};
    let mut all = Vec::new();
    for side in [Right, Left] {
        for size in [Small, Moderate, Large] {
            let air = if size == Large { Whole } else { Upper };
            all.push(finding(Pneumothorax, side, air, size));
            all.extend([Upper, Middle, Lower].map(|region| finding(Opacity, side, region, size)));
            all.push(finding(Effusion, side, Lower, size));
        }
        all.extend([Upper, Mediastinum, Lower].map(|region| finding(Line, side, region, None)));
    }
    all.extend([Small, Moderate, Large].map(|size| finding(Cardiomegaly, Midline, Heart, size)));
    all
}

/// The film of that seed with these findings: all else is the same whatever they are.
fn chest(seed: u64, findings: &[Finding], size: (u32, u32), visible: f32) -> Film {
    let mut random = Random::training(seed);
    let patient = Patient::new(&mut random);
    patient.faint_film(&mut random, &Content::Chest(findings.to_vec()), Style::First, size, visible)
}

pub(super) fn hash(films: &[Film]) -> String {
    let mut hash = Sha256::new();
    for film in films {
        film.values.iter().for_each(|value| hash.update(value.to_le_bytes()));
        film.maps.0.iter().for_each(|map| hash.update(map.to_le_bytes()));
    }
    format!("{:x}", hash.finalize())
}

/// Mean greys of `n` x `n` parts of the square in the film's middle.
pub(super) fn parts(film: &Film, n: usize) -> Vec<f64> {
    let (width, height) = (film.width as usize, film.height as usize);
    let side = width.min(height);
    let (left, above) = ((width - side) / 2, (height - side) / 2);
    let mut parts = vec![0.0; n * n];
    for (y, x) in (0..side * side).map(|at| (at / side, at % side)) {
        let value = f64::from(film.values[(y + above) * width + x + left]) / 16.0;
        parts[y * n / side * n + x * n / side] += value * (n * n) as f64 / (side * side) as f64;
    }
    parts
}

/// How far a film is from one even or evenly rising grey, which is the same at both ends of every line through the
/// middle, taken together.
pub(super) fn uneven(film: &Film) -> f64 {
    let parts = parts(film, 8);
    let mean = parts.iter().sum::<f64>() / 64.0;
    (0..64).map(|at| (parts[at] + parts[63 - at] - 2.0 * mean).abs()).sum::<f64>() / 64.0
}

/// Training and evaluation rest on seeds: a film that comes out otherwise makes every earlier figure incomparable.
#[test]
fn the_same_seed_gives_the_same_films() {
    let of = |seed, style| {
        let mut random = Random::training(seed);
        let patient = Patient::new(&mut random);
        let current = findings(&mut random);
        let before = prior(&mut random, &current);
        let contents =
            [Content::Chest(current), Content::Chest(before), Content::Blank, Content::Other, Content::HeldOut];
        let films = contents.iter().zip([SIZE, (100, 130), (64, 48), SMALL, SMALL]);
        films.map(|(content, size)| patient.film(&mut random, content, style, size)).collect::<Vec<_>>()
    };
    let films = [1, 2, 3].map(|seed| of(seed, Style::First));
    assert_eq!(hash(&films[0]), hash(&of(1, Style::First)));
    assert_ne!(hash(&films[0]), hash(&films[1]));
    assert_eq!(hash(&films.concat()), "291d0bcc87a1e1859d3b9790454775fcfcca60637d26688c4ded622414b60fd6");
}

#[test]
fn what_hides_another_finding_is_never_drawn_with_it() {
    let mut random = Random::training(3);
    let known = all();
    let mut seen = std::collections::HashSet::new();
    let mut counts = [0; 4];
    for _ in 0..20_000 {
        let current = findings(&mut random);
        let before = prior(&mut random, &current);
        counts[current.len()] += 1;
        for film in [&current, &before] {
            let order: Vec<_> = film.iter().map(|f| (f.kind, f.side, f.region)).collect();
            assert!(order.is_sorted() && film.len() <= 4, "{film:?}");
            for (i, one) in film.iter().enumerate() {
                assert!(known.contains(one), "{one:?}");
                seen.insert(*one);
                for other in &film[i + 1..] {
                    assert!(!hidden(one, other) && !hidden(other, one), "{one:?} {other:?}");
                    let once = one.kind != other.kind || one.side != other.side && one.kind != FindingKind::Line;
                    assert!(once, "{one:?} {other:?}");
                }
            }
        }
    }
    assert_eq!(seen.len(), known.len());
    assert!(counts.iter().all(|count| *count > 1000), "{counts:?}");
}

#[test]
fn change_is_what_differs_from_the_film_before() {
    use {FindingKind::*, Region::*, Severity::*, Side::*};
    let now = finding(Effusion, Left, Lower, Moderate);
    let before = |severity| [finding(Effusion, Left, Lower, severity), finding(Effusion, Right, Lower, Moderate)];
    assert_eq!(change(&now, Option::None), Change::Unknown);
    assert_eq!(change(&now, Some(&before(Small))), Change::Worse);
    assert_eq!(change(&now, Some(&before(Moderate))), Change::Same);
    assert_eq!(change(&now, Some(&before(Large))), Change::Better);
    assert_eq!(change(&now, Some(&before(Small)[1..])), Change::New);
    let patch = finding(Opacity, Left, Upper, Small);
    assert_eq!(change(&patch, Some(&[Finding { region: Middle, ..patch }])), Change::New);
    let line = finding(Line, Right, Upper, None);
    assert_eq!(change(&line, Some(&[Finding { region: Lower, ..line }])), Change::Same);
    let air = finding(Pneumothorax, Right, Whole, Large);
    assert_eq!(change(&air, Some(&[finding(Pneumothorax, Right, Upper, Small)])), Change::Worse);
    let mut random = Random::training(5);
    let mut changes = [0; 5];
    let mut gone = 0;
    for _ in 0..2000 {
        let current = findings(&mut random);
        let before = prior(&mut random, &current);
        current.iter().for_each(|finding| changes[change(finding, Some(&before)) as usize] += 1);
        gone += usize::from(before.iter().any(|old| !current.iter().any(|new| new.kind == old.kind)));
    }
    assert!(changes[Change::Unknown as usize] == 0 && changes[1..].iter().all(|count| *count > 200), "{changes:?}");
    assert!(gone > 200, "{gone}");
}
