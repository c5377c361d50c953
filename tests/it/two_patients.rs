//! Two patients at once, and one film changed: nobody's answer depends on anybody else, and every answer on its own film.

use curbside::engine::Engine;
use dicom_object::{DefaultDicomObject, Tag, open_file};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    eighteen_cases::{bundled, said, sorted},
    harness::{Hospital, Plan, fixtures},
};

const ROWS: Tag = Tag(0x0028, 0x0010);
const COLUMNS: Tag = Tag(0x0028, 0x0011);
const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);
/// What says how stored values become greys, beside the values.
const GREY: [Tag; 4] = [Tag(0x0028, 0x0004), Tag(0x0028, 0x1050), Tag(0x0028, 0x1051), PIXEL_DATA];
/// Sides of the fixtures' films, in pixels.
const SIDE: usize = 224;

/// A patient who did not exist before: the chart of one case under other ids, with films of the test's making.
struct Twin {
    /// The case whose chart it is, and what stands for its name in every id.
    of: &'static str,
    name: String,
    folder: TempDir,
}

impl Twin {
    fn new(of: &'static str, letter: char, change: impl Fn(&str, &mut DefaultDicomObject)) -> Twin {
        let name = format!("{letter}{}", &of[1..]);
        let (from, folder) = (fixtures().join("cases").join(of), TempDir::new().unwrap());
        let to = folder.path().join(&name);
        std::fs::create_dir_all(to.join("images")).unwrap();
        let twin = Twin { of, name, folder };
        for file in ["fhir.json", "request.json"] {
            let text = std::fs::read_to_string(from.join(file)).unwrap();
            std::fs::write(to.join(file), twin.renamed(&text)).unwrap();
        }
        for entry in std::fs::read_dir(from.join("images")).unwrap().flatten() {
            let mut film = open_file(entry.path()).unwrap();
            let file = entry.file_name().into_string().unwrap();
            change(file.trim_end_matches(".dcm"), &mut film);
            for tag in [Tag(0x0020, 0x000D), Tag(0x0020, 0x000E), Tag(0x0008, 0x0018), Tag(0x0010, 0x0020)] {
                let own = twin.renamed(film.element(tag).unwrap().to_str().unwrap().trim_end_matches(['\0', ' ']));
                film.update_value(tag, |value| *value.primitive_mut().unwrap() = own.as_str().into());
            }
            let uid = film.element(Tag(0x0008, 0x0018)).unwrap().to_str().unwrap().into_owned();
            film.meta_mut().media_storage_sop_instance_uid = uid;
            film.meta_mut().update_information_group_length();
            film.write_to_file(to.join("images").join(file)).unwrap();
        }
        twin
    }

    /// The chart of one case with the pixels of another's films.
    fn seeing(of: &'static str, letter: char, films_of: &'static str) -> Twin {
        Twin::new(of, letter, |file, film| {
            let shown = open_file(fixtures().join(format!("cases/{films_of}/images/{file}.dcm"))).unwrap();
            for tag in GREY {
                film.put(shown.element(tag).unwrap().clone());
            }
        })
    }

    fn renamed(&self, text: &str) -> String {
        text.replace(self.of, &self.name).replace("2.25.", &format!("2.25.{}", self.name.as_bytes()[0]))
    }

    /// The answer in the ids of the case, so that the two can be compared.
    fn in_ids_of_the_case(&self, said: &Value) -> Value {
        let text = said.to_string().replace(&format!("2.25.{}", self.name.as_bytes()[0]), "2.25.");
        sorted(serde_json::from_str(&text.replace(&self.name, self.of)).unwrap())
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join(&self.name)
    }
}

fn values(film: &DefaultDicomObject) -> Vec<u16> {
    film.element(PIXEL_DATA).unwrap().to_multi_int().unwrap()
}

fn set_values(film: &mut DefaultDicomObject, values: Vec<u16>) {
    film.update_value(PIXEL_DATA, |stored| {
        let stored = stored.primitive_mut().unwrap();
        stored.truncate(0);
        stored.extend_u16(values.iter().copied()).unwrap();
    });
}

fn mirror(film: &mut DefaultDicomObject) {
    let mirrored =
        values(film).chunks_exact(SIDE).flat_map(|row| row.iter().rev().copied().collect::<Vec<_>>()).collect();
    set_values(film, mirrored);
}

fn blank(film: &mut DefaultDicomObject) {
    set_values(film, vec![1600; SIDE * SIDE]);
}

/// The same number of values for a film of `rows` and for one of as many columns; the first shows the chest.
const TALL: (usize, usize) = (240, 210);

fn resampled(film: &mut DefaultDicomObject) {
    let (rows, columns) = TALL;
    let stored = values(film);
    let at = |row: usize, column: usize| stored[row * SIDE / rows * SIDE + column * SIDE / columns];
    set_values(film, (0..rows * columns).map(|i| at(i / columns, i % columns)).collect());
    shape(film, rows, columns);
}

fn shape(film: &mut DefaultDicomObject, rows: usize, columns: usize) {
    for (tag, value) in [(ROWS, rows), (COLUMNS, columns)] {
        film.update_value(tag, |stored| *stored.primitive_mut().unwrap() = (value as u16).into());
    }
}

/// A hospital with these cases of the fixtures, and twins.
async fn open(cases: &[&str], twins: &[Twin], engine: Engine) -> Hospital {
    let cases = cases.iter().map(|case| fixtures().join("cases").join(case));
    Plan::new(cases.chain(twins.iter().map(Twin::path)).collect(), engine).open().await
}

async fn ask(hospital: &Hospital, name: &str) -> Value {
    sorted(said(hospital, name).await)
}

/// Both alone, then ten times both at once: every one of the twenty answers is the one given alone.
async fn answer_as_alone(hospital: &Hospital, first: &str, second: &str) {
    let alone = (ask(hospital, first).await, ask(hospital, second).await);
    assert_ne!(alone.0, alone.1, "two answers that could not be told apart would prove nothing");
    for round in 0..10 {
        let together = tokio::join!(ask(hospital, first), ask(hospital, second));
        assert_eq!(together.0, alone.0, "{first} beside {second}, round {round}");
        assert_eq!(together.1, alone.1, "{second} beside {first}, round {round}");
    }
    println!("{first} and {second}: 20 of 20 answers as alone");
}

#[tokio::test]
async fn two_patients_at_once_are_answered_as_alone() {
    let twins = [Twin::seeing("c03", 's', "c11"), Twin::seeing("c07", 's', "c03")];
    let hospital = open(&["c03", "c07"], &twins, bundled().await).await;
    // Another chart and another film.
    answer_as_alone(&hospital, "c03", "c07").await;
    // The same words, so prompts of equal length, and another film.
    answer_as_alone(&hospital, "c03", "s03").await;
    // The same pixels, and another chart.
    answer_as_alone(&hospital, "c03", "s07").await;
    hospital.close().await;
}

#[tokio::test]
async fn pixels_of_transposed_shape_are_not_taken_for_one_another() {
    let (rows, columns) = TALL;
    let tall = Twin::new("c03", 'd', |_, film| resampled(film));
    let wide = Twin::new("c03", 'e', |_, film| {
        resampled(film);
        shape(film, columns, rows);
    });
    let twins = [tall, wide];
    let hospital = open(&[], &twins, bundled().await).await;
    answer_as_alone(&hospital, "d03", "e03").await;
    hospital.close().await;
}

#[tokio::test]
async fn a_mirrored_film_swaps_left_and_right() {
    let names: Vec<&'static str> =
        vec!["c00", "c02", "c03", "c06", "c07", "c09", "c10", "c11", "c12", "c13", "c14", "c15"];
    let twins: Vec<_> = names.iter().map(|of| Twin::new(of, 'm', |_, film| mirror(film))).collect();
    let hospital = open(&names, &twins, bundled().await).await;
    let mut wrong = Vec::new();
    for twin in &twins {
        let mirrored = ask(&hospital, &twin.name).await;
        let expected = sorted(with_sides_swapped(ask(&hospital, twin.of).await));
        let said = by_kind(twin.in_ids_of_the_case(&mirrored));
        if said != by_kind(expected.clone()) {
            wrong.push(format!("{}\n  expected {expected}\n  said     {said}", twin.of));
        }
    }
    println!("{} of {} mirrored films swap sides", twins.len() - wrong.len(), twins.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    hospital.close().await;
}

fn with_sides_swapped(mut said: Value) -> Value {
    for finding in said["findings"].as_array_mut().unwrap() {
        finding["side"] = match finding["side"].as_str() {
            Some("left") => json!("right"),
            Some("right") => json!("left"),
            _ => finding["side"].clone(),
        };
    }
    said
}

/// Findings come in the order of side too, which is not what is compared.
fn by_kind(mut said: Value) -> Value {
    said["findings"].as_array_mut().unwrap().sort_by_key(Value::to_string);
    said
}

#[tokio::test]
async fn a_blanked_film_abstains() {
    let names: Vec<&'static str> = vec!["c00", "c01", "c03", "c07", "c11", "c12", "c15", "c16"];
    let twins: Vec<_> = names
        .iter()
        .map(|of| {
            Twin::new(of, 'z', |file, film| {
                if file == "current" {
                    blank(film)
                }
            })
        })
        .collect();
    let hospital = open(&[], &twins, bundled().await).await;
    for twin in &twins {
        let said = ask(&hospital, &twin.name).await;
        assert_eq!(said["insufficient_evidence"], "blank film", "{}: {said}", twin.of);
    }
    hospital.close().await;
}
