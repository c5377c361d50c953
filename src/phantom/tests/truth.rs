//! Pixels against findings and maps.

use super::*;
use crate::phantom::CELLS;

/// By how many greys each pixel differs.
fn differences(one: &Film, other: &Film) -> Vec<f64> {
    one.values.iter().zip(&other.values).map(|(one, other)| f64::from(one.abs_diff(*other)) / 16.0).collect()
}

/// Column and row of a pixel, and its difference.
fn places(film: &Film, differences: &[f64]) -> impl Iterator<Item = (usize, usize, f64)> {
    let width = film.width as usize;
    differences.iter().enumerate().map(move |(at, by)| (at % width, at / width, *by)).collect::<Vec<_>>().into_iter()
}

fn cells(map: u64) -> impl Iterator<Item = (usize, usize)> {
    (0..64).filter(move |bit| map >> bit & 1 == 1).map(|bit| (bit % CELLS, bit / CELLS))
}

#[test]
fn every_finding_is_where_its_map_says_and_hardly_elsewhere() {
    for (n, finding) in all().into_iter().enumerate() {
        // The map is over the square that a model sees, whatever the shape of the film.
        for (seed, size) in [(n as u64, SMALL), (n as u64 + 100, [(100, 125), (125, 100)][n % 2])] {
            let (normal, film) = (chest(seed, &[], size, 1.0), chest(seed, &[finding], size, 1.0));
            let side = size.0.max(size.1) as usize;
            let (left, above) = ((side - size.0 as usize) / 2, (side - size.1 as usize) / 2);
            let cell = |x: usize, y: usize| ((x + left) * CELLS / side, (y + above) * CELLS / side);
            assert_eq!(normal.maps, Maps::default());
            let map = film.maps.0[channel(&finding)];
            let others = film.maps.0.iter().enumerate().filter(|(i, map)| *i != channel(&finding) && **map != 0);
            assert!(map != 0 && others.count() == 0, "{finding:?} {:?}", film.maps);
            let differences = differences(&normal, &film);
            let inside = |x, y| map >> (cell(x, y).1 * CELLS + cell(x, y).0) & 1 == 1;
            let all: f64 = differences.iter().sum();
            let within: f64 = places(&film, &differences).filter(|(x, y, _)| inside(*x, *y)).map(|(.., by)| by).sum();
            assert!(within > 0.85 * all, "{finding:?} {seed}: {:.2} of it is in its cells", within / all);
            let changed = |at| places(&film, &differences).any(|(x, y, by)| cell(x, y) == at && by > 4.0);
            // A large heart lies where a small one was.
            let silent = cells(map).filter(|cell| !changed(*cell)).count();
            let allowed = if finding.kind == FindingKind::Cardiomegaly { cells(map).count() / 2 } else { 0 };
            assert!(silent <= allowed, "{finding:?} {seed}: nothing to see in {silent} cells of {map:016x}");
            let untouched = differences.iter().filter(|by| **by == 0.0).count();
            assert!(untouched > differences.len() / 3, "{finding:?}: {untouched} pixels are as before");
        }
    }
}

#[test]
fn the_patients_right_is_the_images_left() {
    for (n, finding) in all().into_iter().enumerate().filter(|(_, finding)| finding.side == Side::Right) {
        let other = Finding { side: Side::Left, ..finding };
        for seed in 0..2 {
            let seed = 1000 * seed + n as u64;
            let normal = chest(seed, &[], SMALL, 1.0);
            let [right, left] = [finding, other].map(|finding| chest(seed, &[finding], SMALL, 1.0));
            // How much of what differs lies in the image's left half; of a line, what is not in the middle.
            let share = |film: &Film| {
                let line = finding.kind == FindingKind::Line;
                let differences = differences(&normal, film);
                let seen = places(film, &differences).filter(|(x, ..)| !line || x.abs_diff(56) > 15);
                let (on_left, all) = seen
                    .fold((0.0, 0.0), |(on_left, all), (x, _, by)| (on_left + if x < 56 { by } else { 0.0 }, all + by));
                on_left / all
            };
            assert!(
                share(&right) > 0.9 && share(&left) < 0.1,
                "{finding:?} {}: {} {}",
                seed,
                share(&right),
                share(&left)
            );
            // So the map of a mirrored film is the other side's.
            let middle = |film: &Film, finding: &Finding| {
                let outer: Vec<f64> = cells(film.maps.0[channel(finding)])
                    .filter(|(x, _)| finding.kind != FindingKind::Line || !(3..5).contains(x))
                    .map(|(x, _)| x as f64 + 0.5)
                    .collect();
                outer.iter().sum::<f64>() / outer.len() as f64
            };
            assert!(middle(&right, &finding) < 4.0 && middle(&left, &other) > 4.0, "{finding:?} {seed}");
        }
    }
}

#[test]
fn larger_findings_show_more() {
    for small in all().into_iter().filter(|finding| finding.severity == Severity::Small) {
        for seed in 0..2 {
            let normal = chest(seed, &[], SMALL, 1.0);
            let of = |severity| {
                let region = match (small.kind, severity) {
                    (FindingKind::Pneumothorax, Severity::Large) => Region::Whole,
                    _ => small.region,
                };
                let finding = Finding { severity, region, ..small };
                let film = chest(seed, &[finding], SMALL, 1.0);
                (differences(&normal, &film).iter().sum::<f64>(), film.maps.0[channel(&finding)].count_ones())
            };
            let [small_one, moderate, large] = [Severity::Small, Severity::Moderate, Severity::Large].map(of);
            assert!(small_one.0 * 1.3 < moderate.0 && moderate.0 * 1.2 < large.0, "{small:?} {seed}");
            assert!(small_one.1 <= moderate.1 && moderate.1 <= large.1, "{small:?} {seed}");
        }
    }
}

#[test]
fn findings_fade_to_nothing_and_keep_their_truth() {
    for (seed, finding) in all().into_iter().enumerate().step_by(2) {
        let seed = seed as u64;
        let normal = chest(seed, &[], SMALL, 1.0);
        let films = [0.0, 0.25, 0.5, 1.0].map(|visible| chest(seed, &[finding], SMALL, visible));
        assert_eq!(films[0].values, normal.values, "{finding:?}");
        let seen = films.each_ref().map(|film| differences(&normal, film).iter().sum::<f64>());
        assert!(seen.is_sorted() && seen[1] > 0.0 && seen[3] > 1.5 * seen[2], "{finding:?} {seen:?}");
        assert!(films.iter().all(|film| film.maps == films[3].maps));
    }
}

fn apart(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(one, other)| (one - other).abs()).sum::<f64>() / one.len() as f64
}

#[test]
fn a_film_is_the_same_at_any_size() {
    let shown = [all()[0], all()[14]];
    for seed in 0..3 {
        let film = chest(seed, &shown, SMALL, 1.0);
        let large = chest(seed, &shown, SIZE, 1.0);
        let by = apart(&parts(&film, 28), &parts(&large, 28));
        assert!(by < 3.0, "{seed}: {by}");
        let cells: u32 = film.maps.0.iter().zip(large.maps.0).map(|(one, other)| (one ^ other).count_ones()).sum();
        assert!(cells <= 4, "{seed}: {cells}");
        // Noise lies elsewhere where the shape differs, so only what is drawn is compared.
        for size in [(112, 140), (140, 112)] {
            let by = apart(&parts(&film, 8), &parts(&chest(seed, &shown, size, 1.0), 8));
            assert!(by < 5.0, "{seed} {size:?}: {by}");
        }
    }
    assert_eq!(chest(1, &shown, (0, 0), 1.0).values.len(), 1);
}

#[test]
fn a_finding_is_drawn_the_same_whatever_others_there_are() {
    let mut random = Random::training(8);
    let many = std::iter::repeat_with(|| findings(&mut random)).filter(|findings| findings.len() > 1);
    for (seed, findings) in (0..12).zip(many) {
        let together = chest(seed, &findings, SMALL, 1.0);
        for finding in &findings {
            let alone = chest(seed, &[*finding], SMALL, 1.0);
            assert_eq!(alone.maps.0[channel(finding)], together.maps.0[channel(finding)], "{seed} {finding:?}");
        }
    }
}

#[test]
fn blank_films_are_blank_and_other_pictures_are_not() {
    let film = |content: &Content, seed| {
        let mut random = Random::training(seed);
        let film = Patient::new(&mut random).film(&mut random, content, Style::First, SMALL);
        assert_eq!(film.maps, Maps::default());
        film
    };
    let of = |content: Content| (0..20).map(|seed| uneven(&film(&content, seed))).collect::<Vec<_>>();
    let [blank, other, held_out] = [Content::Blank, Content::Other, Content::HeldOut].map(of);
    assert!(blank.iter().all(|by| *by < 10.0), "{blank:?}");
    assert!(held_out.iter().all(|by| *by > 20.0), "{held_out:?}");
    // Some of the others are fine patterns, even over a whole part.
    assert!(other.iter().filter(|by| **by > 10.0).count() > 10, "{other:?}");
}

#[test]
fn values_are_of_12_bits_and_no_window_can_round_them_two_ways() {
    for seed in 0..3 {
        let film = chest(seed, &[], SIZE, 1.0);
        assert!(film.values.iter().all(|value| *value <= 4080 && value % 16 != 8));
        let grey = grey(&film);
        for (value, grey) in film.values.iter().zip(grey) {
            assert_eq!(grey, (f64::from(*value) / 4080.0 * 255.0).round_ties_even() as u8);
        }
    }
}
