//! Films changed at random, from seeds: every one ends as a film or a reason, and nothing else happens.
//!
//! 10,000 of them: `cargo test --test it ten_thousand -- --ignored --nocapture`.

use std::{collections::BTreeMap, fs, time::Duration, time::Instant};

use curbside::imaging::{Decoder, Failure, Limits};

use super::{NAME, Watch, alone, status, streams::noise};
use crate::{
    decoding::{named, wanted},
    film_encoded::{JPEG_2000, lossless_jpeg, run_length, slope},
    film_file::{element, film, film_of_8_bits, item},
    random::Random,
};

/// One film of each encoding, with the parts a reader of headers may trip over.
fn films() -> Vec<Vec<u8>> {
    let values: Vec<u16> = (0..64).flat_map(|y| (0..64).map(move |x| u16::from(slope(x, y)) * 16)).collect();
    let mut file = film(64, slope);
    let table = [element((0x0028, 0x3002), "US", &[16, 0, 0, 0, 16, 0]), element((0x0028, 0x3006), "OW", &[7; 32])];
    file.set((0x0010, 0x1002), "SQ", item(&element((0x0010, 0x0020), "LO", b"MRN-2 ")));
    let mut films = vec![file.bytes(), film(64, slope).implicit()];
    let mut with_table = file.clone();
    with_table.set((0x0028, 0x3000), "SQ", item(&table.concat()));
    films.push(with_table.bytes());
    let mut eight = film_of_8_bits(64, slope);
    films.push(eight.bytes());
    for (syntax, frame) in [
        ("1.2.840.10008.1.2.5", run_length(&values, 2)),
        ("1.2.840.10008.1.2.4.70", lossless_jpeg(64, &values, 1)),
        ("1.2.840.10008.1.2.4.57", lossless_jpeg(64, &values, 2)),
        ("1.2.840.10008.1.2.4.90", JPEG_2000.to_vec()),
        ("1.2.840.10008.1.2.4.91", JPEG_2000.to_vec()),
    ] {
        file.encapsulate(syntax, &frame);
        films.push(file.bytes());
    }
    let grey: Vec<u8> = values.iter().map(|value| (value / 16) as u8).collect();
    let mut jpeg = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 90);
    image::ImageEncoder::write_image(encoder, &grey, 64, 64, image::ExtendedColorType::L8).unwrap();
    eight.encapsulate("1.2.840.10008.1.2.4.50", &jpeg);
    films.push(eight.bytes());
    films
}

/// The film of that seed.
fn mutated(films: &[Vec<u8>], seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    let mut bytes = films[random.below(films.len())].clone();
    // Most keep their length and leave alone how elements lie in the file: else few would come further than that.
    let structure = random.below(4) == 0;
    for _ in 0..=random.below(4) {
        let frame = bytes.windows(4).position(|tag| tag == [0xE0, 0x7F, 0x10, 0]).map_or(0, |at| at + 30);
        let at = match (structure, random.below(4)) {
            (true, _) => 132 + random.below(bytes.len().saturating_sub(132)),
            (false, 0) => value(&bytes, &mut random),
            (false, 1) => frame + random.below(100),
            (false, _) => frame + random.below(bytes.len().saturating_sub(frame)),
        };
        let at = at.min(bytes.len());
        let left = bytes.len() - at;
        match random.below(if structure { 9 } else { 5 }) {
            0 | 1 => bytes[at..].iter_mut().take(1).for_each(|byte| *byte = random.next() as u8),
            2 => bytes[at..].iter_mut().take(1).for_each(|byte| *byte ^= 1 << random.below(8)),
            3 | 4 => {
                let number =
                    [0u32, 1, 2, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFE, u32::MAX, 0xFFFF, 0x1_0000][random.below(9)];
                bytes[at..].iter_mut().zip(number.to_le_bytes()).for_each(|(byte, new)| *byte = new);
            }
            8 => {
                let part = noise(1 + random.below(40));
                bytes[at..].iter_mut().zip(part).for_each(|(byte, new)| *byte = new);
            }
            5 => drop(bytes.drain(at..at + random.below(left.min(200) + 1))),
            6 => {
                let part = bytes[at..at + random.below(left.min(200) + 1)].to_vec();
                bytes.splice(at..at, part);
            }
            _ => bytes.truncate(at),
        }
    }
    bytes
}

/// Somewhere in the value of an element of the image pixel group.
fn value(bytes: &[u8], random: &mut Random) -> usize {
    let found: Vec<usize> = (0..bytes.len().min(1100)).filter(|at| bytes[*at..].starts_with(&[0x28, 0])).collect();
    found.get(random.below(found.len())).map_or(bytes.len(), |at| at + 8 + random.below(4))
}

/// Decodes the films of so many seeds, two at a time, and prints how they ended. Answers how many broke their decoder.
async fn decode(count: u64) -> u64 {
    let (_folder, program) = named(NAME);
    let decoder = Decoder::new(program, &Limits::default());
    let (watch, films) = (Watch::start(), films());
    for film in &films {
        decoder.film(film.clone().into(), wanted(224)).await.unwrap();
    }
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let (before, start) = (status("self", "VmRSS").unwrap(), Instant::now());
    let mut endings: BTreeMap<&str, u64> = BTreeMap::new();
    let (mut longest, mut broke_off, mut too_slow) = (Duration::ZERO, 0, 0);
    for seed in (0..count).step_by(2) {
        let one = async |seed| {
            let start = Instant::now();
            let ended = decoder.film(mutated(&films, seed).into(), wanted(224)).await;
            if matches!(ended, Err(Failure::BrokeOff | Failure::TooSlow | Failure::TooMuchMemory)) {
                println!("seed {seed}: {ended:?}");
            }
            (ended.map(drop), start.elapsed())
        };
        let (a, b) = tokio::join!(one(seed), one(seed + 1));
        for (ending, time) in [a, b] {
            broke_off += u64::from(matches!(ending, Err(Failure::BrokeOff)));
            too_slow += u64::from(matches!(ending, Err(Failure::TooSlow)));
            *endings.entry(ending.map_or_else(Failure::reason, |()| "it was read")).or_default() += 1;
            longest = longest.max(time);
        }
    }
    let grown = status("self", "VmHWM").unwrap().saturating_sub(before) as f64 / 1024.0;
    println!("\n{count} mutated films in {:.0} s", start.elapsed().as_secs_f64());
    endings.iter().for_each(|(ending, count)| println!("| {count} | {ending} |"));
    println!(
        "longest {:.2} s; parent +{grown:.1} MiB, child {} MiB at most",
        longest.as_secs_f64(),
        watch.most() >> 10
    );
    println!("broke their decoder: {broke_off}; too slow: {too_slow}");
    assert_eq!(too_slow, 0);
    assert!(!endings.contains_key(Failure::NoDecoder.reason()));
    assert!(grown <= 32.0, "the parent grew by {grown} MiB");
    assert!(longest < Duration::from_secs(20), "{longest:?}");
    assert_eq!(decoder.idle(), 2);
    for film in films {
        decoder.film(film.into(), wanted(224)).await.expect("a sound film after the others");
    }
    broke_off
}

#[test]
fn three_hundred_mutated_films_end_as_a_film_or_a_reason() {
    alone("mutated::three_hundred");
}

#[tokio::test]
#[ignore = "run by three_hundred_mutated_films_end_as_a_film_or_a_reason, in a process of its own"]
async fn three_hundred() {
    assert_eq!(decode(300).await, 0);
}

#[test]
#[ignore = "takes minutes; the first three hundred are part of every run"]
fn ten_thousand_mutated_films_end_as_a_film_or_a_reason() {
    alone("mutated::ten_thousand");
}

#[tokio::test]
#[ignore = "run by ten_thousand_mutated_films_end_as_a_film_or_a_reason, in a process of its own"]
async fn ten_thousand() {
    // Some few break the process that decodes, which is what it is for: they are told, and this one goes on.
    decode(10_000).await;
}
