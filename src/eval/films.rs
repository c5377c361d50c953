//! The films of a case: what each shows, and whose its file says it is.

use std::sync::Arc;

use chrono::{Days, NaiveDate};
use image::RgbImage;

use super::{record::Person, texts::one};
use crate::{
    chart::Role,
    fhir::Date,
    finding::Finding,
    imaging::{Image, Labelled, Source},
    phantom::{self, Content, Film, MANUFACTURER, Patient, Random, Style, dicom},
};

/// What is to be told of a picture as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Chest,
    Blank,
    Other,
}

impl Class {
    pub fn word(self) -> &'static str {
        match self {
            Class::Chest => "chest",
            Class::Blank => "blank",
            Class::Other => "other",
        }
    }
}

/// Whose film the file says it is: DICOM's words for sex, and the day of birth.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Label {
    pub sex: Option<&'static str>,
    pub born: Option<Date>,
}

/// One film, not drawn yet.
#[derive(Clone, Debug)]
pub struct Shot {
    pub role: Role,
    pub class: Class,
    /// Empty unless it is a chest.
    pub findings: Vec<Finding>,
    /// Whether the file names somebody the patient cannot be.
    pub another_patient: bool,
    pub label: Label,
    /// `PA` or `AP`.
    pub view: &'static str,
    pub date: Date,
    pub study_uid: String,
    pub series_uid: String,
    pub instance_uid: String,
    /// Who is on it, and everything else the drawing needs.
    pub patient: Patient,
    pub random: Random,
}

impl Shot {
    /// Whether it shows this patient's chest, as far as anybody can tell.
    pub fn is_the_patients(&self) -> bool {
        self.class == Class::Chest && !self.another_patient
    }

    /// The same film each time for the same size.
    pub fn draw(&self, style: Style, size: (u32, u32)) -> Film {
        self.draw_faint(style, size, 1.0)
    }

    /// The same with the contrast of findings times `visible`.
    pub fn draw_faint(&self, style: Style, size: (u32, u32), visible: f32) -> Film {
        let content = match self.class {
            Class::Chest => Content::Chest(self.findings.clone()),
            Class::Blank => Content::Blank,
            Class::Other => Content::Other,
        };
        self.patient.faint_film(&mut self.random.clone(), &content, style, size, visible)
    }

    /// As the server would have it from the file, with these pixels.
    pub fn image(&self, pixels: Arc<RgbImage>) -> Image {
        let sex = self.label.sex.map(|sex| if sex == "M" { "male" } else { "female" }.to_owned());
        let age_band = self.label.born.as_ref().and_then(|born| born.age_band(&self.date));
        Image {
            source: Source::Dicom {
                study_uid: self.study_uid.clone(),
                series_uid: self.series_uid.clone(),
                instance_uid: self.instance_uid.clone(),
                sop_class_uid: String::new(),
                transfer_syntax: String::new(),
                window: None,
            },
            modality: Some("DX".into()),
            body_part: Some("CHEST".into()),
            view: Some(self.view.into()),
            laterality: None,
            manufacturer: Some(MANUFACTURER.into()),
            labelled: Labelled { sex, age_band, disagrees: self.another_patient },
            date: Some(self.date.clone()),
            rows: pixels.height(),
            columns: pixels.width(),
            lossy: false,
            retrieved: String::new(),
            burned_in: "NO".into(),
            sha256: String::new(),
            pixels,
            png: Arc::default(),
        }
    }
}

/// The current film, and for about half of the patients an earlier one.
pub(super) fn shots(random: &mut Random, person: &Person, today: NaiveDate) -> Vec<Shot> {
    let patient = Patient::new(random);
    let (class, another) = [(Class::Chest, false), (Class::Chest, true), (Class::Blank, false), (Class::Other, false)]
        [random.weighted(&[80, 7, 5, 8])];
    let findings = if class == Class::Chest { phantom::findings(random) } else { Vec::new() };
    let mut shots = vec![shot(random, person, Role::Current, today, (class, another), patient, findings)];
    if random.chance(0.55) {
        let (class, another) =
            [(Class::Chest, false), (Class::Chest, true), (Class::Blank, false), (Class::Other, false)]
                [random.weighted(&[78, 8, 7, 7])];
        let earlier = phantom::prior(random, &shots[0].findings);
        let findings = if class == Class::Chest { earlier } else { Vec::new() };
        let taken = before(today, 1 + [random.below(14), random.below(1_000)][random.weighted(&[30, 70])]);
        shots.push(shot(random, person, Role::Prior, taken, (class, another), patient, findings));
    }
    shots
}

fn shot(
    random: &mut Random,
    person: &Person,
    role: Role,
    taken: NaiveDate,
    (class, another): (Class, bool),
    patient: Patient,
    findings: Vec<Finding>,
) -> Shot {
    let label = if another { another_label(random, person, taken) } else { Some(own_label(random, person)) };
    // Whose film cannot be told apart from the patient's own is the patient's own.
    let (label, another_patient) = match label {
        Some(label) => (label, another),
        None => (own_label(random, person), false),
    };
    let [study_uid, series_uid, instance_uid] = std::array::from_fn(|_| dicom::uid(random));
    Shot {
        role,
        class,
        findings,
        another_patient,
        label,
        view: if random.chance(0.6) { "PA" } else { "AP" },
        date: date(&taken.to_string()),
        study_uid,
        series_uid,
        instance_uid,
        patient: if another_patient { Patient::new(random) } else { patient },
        random: random.fork(),
    }
}

/// What the record says, as far as the file says anything.
fn own_label(random: &mut Random, person: &Person) -> Label {
    let sex = match person.gender {
        Some("male") => Some("M"),
        Some("female") => Some("F"),
        _ => None,
    };
    let born = person.born.map(|born| date(&born.to_string()));
    Label { sex: sex.filter(|_| random.chance(0.85)), born: born.filter(|_| random.chance(0.85)) }
}

/// Somebody of the other sex, or two decades older or younger; `None` where the record knows neither.
fn another_label(random: &mut Random, person: &Person, taken: NaiveDate) -> Option<Label> {
    let own = own_label(random, person);
    let other_sex = match person.gender {
        Some("male") => Some("F"),
        Some("female") => Some("M"),
        _ => None,
    };
    // In the middle of a decade at least two away from the patient's, then and up to the order.
    let other_age = person.born.and_then(|born| {
        let age = taken.signed_duration_since(born).num_days() / 365;
        let own = [(age - 1) / 10, (age + 4) / 10];
        let decades: Vec<i64> = (1..10).filter(|decade| own.iter().all(|own| (decade - own).abs() >= 2)).collect();
        let decade = one(&decades, random)?;
        Some(date(&before(taken, (decade * 10 + 2 + random.below(6) as i64) as usize * 365).to_string()))
    });
    match (other_sex, other_age, random.weighted(&[5, 4, 1])) {
        (Some(sex), _, 0) => Some(Label { sex: Some(sex), ..own }),
        (_, Some(born), 1) => Some(Label { born: Some(born), ..own }),
        (sex, born, _) if sex.is_some() || born.is_some() => {
            Some(Label { sex: sex.or(own.sex), born: born.or(own.born) })
        }
        _ => None,
    }
}

/// That many days earlier.
pub(super) fn before(day: NaiveDate, days: usize) -> NaiveDate {
    day.checked_sub_days(Days::new(days as u64)).unwrap_or(day)
}

/// A date that is one; `Date` has no other way in.
pub(super) fn date(text: &str) -> Date {
    Date::parse(text).unwrap_or_else(|| chrono::DateTime::UNIX_EPOCH.into())
}
