//! A film shows what its truth says, and every file of it gives back the same greys.

use super::*;

const SIZE: (u32, u32) = (224, 224);

/// Prints the time of a film on one core: `cargo test --release --lib phantom -- --ignored --nocapture`.
#[test]
#[ignore = "prints a time, judges nothing"]
fn film_speed() {
    let mut random = Random::training(1);
    let began = std::time::Instant::now();
    let mut sum = 0u64;
    for _ in 0..500 {
        let findings = findings(&mut random);
        let film = Patient::new(&mut random).film(&mut random, &Content::Chest(findings), Style::First, SIZE);
        sum += u64::from(film.values[100]);
    }
    println!("{:.3} ms a film of 224 x 224 ({sum})", began.elapsed().as_secs_f64() * 2.0);
}

/// Writes a sheet of films to /tmp.
#[test]
#[ignore = "temporary"]
fn sheet() {
    let n: u32 = std::env::var("SIDE").ok().and_then(|s| s.parse().ok()).unwrap_or(224);
    let seed: u64 = std::env::var("SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    let (columns, rows) = (6, 4);
    let mut sheet = image::GrayImage::new(columns * n, rows * n);
    let mut random = Random::training(seed);
    for i in 0..columns * rows {
        let content = match i {
            3 => Content::Blank,
            7 | 10 | 14 | 17 => Content::Other,
            20 => Content::HeldOut,
            _ => Content::Chest(findings(&mut random)),
        };
        let film = Patient::new(&mut random).film(&mut random, &content, Style::First, (n, n));
        let picture = image::GrayImage::from_raw(n, n, grey(&film)).unwrap();
        image::imageops::replace(&mut sheet, &picture, (i % columns * n).into(), (i / columns * n).into());
        if let Content::Chest(f) = &content {
            let words: Vec<String> = f
                .iter()
                .map(|f| format!("{} {} {} {}", f.kind.word(), f.side.word(), f.region.word(), f.severity.word()))
                .collect();
            println!("{} row {} col {}: {}", i, i / columns, i % columns, words.join("; "));
        } else {
            println!("{i} row {} col {}: {content:?}", i / columns, i % columns)
        }
    }
    sheet.save("/tmp/phantom-sheet.png").unwrap();
}
