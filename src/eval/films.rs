//! The films of a case: what each shows, and whose its file says it is.

use crate::{
    chart::Role,
    fhir::Date,
    finding::Finding,
    imaging::{Image, Labelled, Source},
    phantom::{Content, Film, MANUFACTURER, Patient, Random, Style},
};
use image::RgbImage;
use std::sync::Arc;

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
        let content = match self.class {
            Class::Chest => Content::Chest(self.findings.clone()),
            Class::Blank => Content::Blank,
            Class::Other => Content::Other,
        };
        self.patient.film(&mut self.random.clone(), &content, style, size)
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
            labelled: Labelled { sex, age_band },
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
