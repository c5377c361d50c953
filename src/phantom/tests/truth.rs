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

#[test]
fn a_film_is_the_same_at_any_size() {
    let shown = [all()[0], all()[14]];
    for seed in 0..2 {
        let [small, large] = [SIZE, (448, 448)].map(|size| chest(seed, &shown, size, 1.0));
        let halved = |x: usize, y: usize| {
            let at = |dx, dy| f64::from(large.values[(2 * y + dy) * 448 + 2 * x + dx]);
            (at(0, 0) + at(1, 0) + at(0, 1) + at(1, 1)) / 64.0
        };
        let off = |(at, value): (usize, &u16)| (f64::from(*value) / 16.0 - halved(at % 224, at / 224)).abs();
        let mean = small.values.iter().enumerate().map(off).sum::<f64>() / small.values.len() as f64;
        assert!(mean < 10.0, "{seed}: {mean}");
        let apart: u32 = small.maps.0.iter().zip(large.maps.0).map(|(one, other)| (one ^ other).count_ones()).sum();
        assert!(apart <= 4, "{seed}: {apart}");
    }
    assert_eq!(chest(1, &shown, (0, 0), 1.0).values.len(), 1);
}

#[test]
fn blank_films_are_blank_and_other_pictures_are_none_of_them() {
    let spread = |content: &Content, seed| {
        let mut random = Random::training(seed);
        let film = Patient::new(&mut random).film(&mut random, content, Style::First, SMALL);
        assert_eq!(film.maps, Maps::default());
        // Of cells, so that grain is evened out.
        let mut cells = [0.0; 64];
        let grey = grey(&film);
        grey.iter()
            .enumerate()
            .for_each(|(at, grey)| cells[at / 112 / 14 * 8 + at % 112 / 14] += f64::from(*grey) / 196.0);
        let mean = cells.iter().sum::<f64>() / 64.0;
        let roughness = grey.windows(2).map(|pair| f64::from(pair[0].abs_diff(pair[1]))).sum::<f64>();
        (cells.iter().map(|cell| (cell - mean).powi(2)).sum::<f64>() / 64.0).sqrt() + roughness / 12_544.0
    };
    for seed in 0..40 {
        let (blank, other) = (spread(&Content::Blank, seed), spread(&Content::Other, seed));
        assert!(blank < other, "{seed}: {blank} {other}");
    }
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
