//! `curbside phantom`: made-up films with their truth, for people to look at and to try a server with.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use serde_json::{Value, json};

use super::StyleName;
use crate::{
    error::{Error, Result},
    fhir::Date,
    phantom::{
        self, CHANNELS, Content, Film, MADE_UP, Patient, Random,
        dicom::{self, Label, Storage, View},
    },
};

#[derive(Args)]
pub struct Options {
    /// Which films: the same number gives the same ones again. None of them is drawn for training.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// How many films are written, each under the number of its own.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10000))]
    count: u32,
    /// Folder to write to; files that are there already stay as they are, and end the command.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// How the films are drawn, anatomy and all.
    #[arg(long, value_name = "STYLE", default_value = "first")]
    style: StyleName,
    /// Width and height in pixels, each 32 to 4096.
    #[arg(long, value_name = "WxH", default_value = "1024x1024", value_parser = size)]
    size: (u32, u32),
    /// Write "MADE UP" small into a corner of each picture.
    #[arg(long)]
    stamp: bool,
}

/// Writes for each film a DICOM file, a PNG and a JSON file with the truth, and says what they are.
pub fn run(options: &Options) -> Result<ExitCode> {
    let style = options.style.into();
    fs::create_dir_all(&options.out).map_err(|e| unwritable(&options.out, e))?;
    for index in 0..u64::from(options.count) {
        let seed = options.seed.wrapping_add(index);
        let mut random = Random::held_out(seed);
        let content = content(&mut random);
        let mut film = Patient::new(&mut random).film(&mut random, &content, style, options.size);
        if options.stamp {
            film.stamp();
        }
        let label = label(seed, &mut random)?;
        let place = |extension| options.out.join(format!("phantom-{seed:06}.{extension}"));
        write(&place("dcm"), &dicom::write(&film, &label)?)?;
        write(&place("png"), &phantom::png(&film)?)?;
        write(&place("json"), format!("{:#}\n", truth(seed, &content, &film)).as_bytes())?;
    }
    super::say(&format!(
        "{} of them, each as DICOM, PNG and truth, are in {}.\n",
        options.count,
        options.out.display()
    ));
    super::say(&format!("These films are {MADE_UP}: drawn by this program, for tests and demonstrations alone.\n"));
    Ok(ExitCode::SUCCESS)
}

fn size(text: &str) -> std::result::Result<(u32, u32), String> {
    let side = |text: &str| text.parse().ok().filter(|side| (32..=4096).contains(side));
    let sides = text.split_once('x').and_then(|(width, height)| Some((side(width)?, side(height)?)));
    sides.ok_or_else(|| "two numbers from 32 to 4096 with an x between them, such as 1024x1024".into())
}

/// Mostly chests, as in training.
fn content(random: &mut Random) -> Content {
    match random.weighted(&[86, 5, 9]) {
        0 => Content::Chest(phantom::findings(random)),
        1 => Content::Blank,
        _ => Content::Other,
    }
}

/// Of a patient who is nobody; how the values are stored is drawn, too.
fn label(seed: u64, random: &mut Random) -> Result<Label> {
    let date = |text: String| Date::parse(&text).ok_or_else(|| Error::fault("a made-up date is none"));
    Ok(Label {
        patient_id: format!("PHANTOM-{seed}"),
        issuer: Some(phantom::MANUFACTURER.into()),
        name: "Phantom^Made up".into(),
        sex: Some(["F", "M"][random.below(2)].into()),
        birth_date: Some(date(format!("{}-01-01", 1930 + random.below(70)))?),
        study_date: date(format!("2025-{:02}-{:02}", 1 + random.below(12), 1 + random.below(28)))?,
        view: if random.chance(0.5) { View::Pa } else { View::Ap },
        study_uid: dicom::uid(random),
        series_uid: dicom::uid(random),
        instance_uid: dicom::uid(random),
        number: 1,
        storage: Storage::ALL[random.below(Storage::ALL.len())],
    })
}

fn truth(seed: u64, content: &Content, film: &Film) -> Value {
    let (class, findings) = match content {
        Content::Chest(findings) => ("chest", findings.as_slice()),
        Content::Blank => ("blank", &[][..]),
        Content::Other | Content::HeldOut => ("other", &[][..]),
    };
    let shown = CHANNELS.iter().zip(film.maps.0).filter(|(_, map)| *map != 0);
    let maps: serde_json::Map<String, Value> =
        shown.map(|(channel, map)| (channel.to_string(), json!(map.to_le_bytes().map(drawn)))).collect();
    json!({ "made_up": MADE_UP, "seed": seed, "shows": class, "findings": findings, "where": maps })
}

/// One row of a map, from the image's left.
fn drawn(row: u8) -> String {
    (0..8).map(|x| if row >> x & 1 == 1 { '#' } else { '.' }).collect()
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let file = fs::OpenOptions::new().write(true).create_new(true).open(path);
    file.and_then(|mut file| file.write_all(bytes)).map_err(|e| unwritable(path, e))
}

fn unwritable(path: &Path, e: std::io::Error) -> Error {
    Error::invalid(format!("{} cannot be written: {}", path.display(), e.kind())).because(e)
}
