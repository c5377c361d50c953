//! The words cases are made of: tests with their codes and ranges, problems, medicines, notes, in English and Korean.

use serde::Deserialize;
use serde_json::Number;

use crate::{
    error::{Error, Result},
    finding::FindingKind,
    phantom::Random,
    task::Substance,
};

/// English, Korean.
pub type Pair = [String; 2];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Texts {
    pub tests: Vec<TestText>,
    pub problems: Vec<Pair>,
    pub medicines: Vec<Pair>,
    pub dosages: Vec<Pair>,
    substances: Substances,
    pub none_known: Vec<Pair>,
    pub reactions: Vec<Pair>,
    notes: Notes,
    /// Name and conclusion.
    pub reports: Vec<[String; 4]>,
    pub studies: Vec<Pair>,
    pub reasons: Vec<Pair>,
}

/// One laboratory test or vital sign of adults.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestText {
    pub loinc: String,
    pub names: Vec<Pair>,
    pub vital: bool,
    pub ucum: String,
    /// As people write it.
    pub unit: String,
    /// Bounds of normal values.
    pub range: [Option<Number>; 2],
    /// Where a normal value is drawn from, if not from the range.
    usual: Option<[f32; 2]>,
    /// Where a value outside the range is drawn from; empty where none is drawn.
    low: Vec<f32>,
    high: Vec<f32>,
    decimals: usize,
    /// Whether laboratories give a range for it.
    #[serde(default = "yes")]
    pub ranged: bool,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Substances {
    penicillin: Vec<Pair>,
    sulfonamide: Vec<Pair>,
    aspirin: Vec<Pair>,
    latex: Vec<Pair>,
    #[serde(rename = "iodinated contrast")]
    contrast: Vec<Pair>,
    #[serde(rename = "")]
    others: Vec<Pair>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Notes {
    opacity: Vec<Pair>,
    effusion: Vec<Pair>,
    pneumothorax: Vec<Pair>,
    cardiomegaly: Vec<Pair>,
    line: Vec<Pair>,
    #[serde(rename = "")]
    neutral: Vec<Pair>,
    decoy: Vec<Pair>,
}

/// How a value lies to the range of its test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lies {
    Below,
    Within,
    Above,
}

impl Texts {
    /// Those that are part of the program.
    pub fn embedded() -> Result<Texts> {
        serde_json::from_str(include_str!("texts.json"))
            .map_err(|e| Error::fault("the texts of made-up cases cannot be read").because(e))
    }

    pub fn test(&self, loinc: &str) -> Option<&TestText> {
        self.tests.iter().find(|test| test.loinc == loinc)
    }

    /// Names of a substance; of `None` those nobody asks about.
    pub fn allergens(&self, substance: Option<Substance>) -> &[Pair] {
        match substance {
            Some(Substance::Penicillin) => &self.substances.penicillin,
            Some(Substance::Sulfonamide) => &self.substances.sulfonamide,
            Some(Substance::Aspirin) => &self.substances.aspirin,
            Some(Substance::Latex) => &self.substances.latex,
            Some(Substance::Contrast) => &self.substances.contrast,
            None => &self.substances.others,
        }
    }

    /// Notes that speak for a finding.
    pub fn notes(&self, kind: FindingKind) -> &[Pair] {
        match kind {
            FindingKind::Pneumothorax => &self.notes.pneumothorax,
            FindingKind::Opacity => &self.notes.opacity,
            FindingKind::Effusion => &self.notes.effusion,
            FindingKind::Cardiomegaly => &self.notes.cardiomegaly,
            FindingKind::Line => &self.notes.line,
        }
    }

    /// Notes that speak for none, some of them naming one.
    pub fn other_notes(&self, decoys: bool) -> &[Pair] {
        if decoys { &self.notes.decoy } else { &self.notes.neutral }
    }
}

impl TestText {
    pub fn can_lie(&self, lies: Lies) -> bool {
        match lies {
            Lies::Below => !self.low.is_empty(),
            Lies::Within => true,
            Lies::Above => !self.high.is_empty(),
        }
    }

    /// A value as a laboratory writes it. Where none lies so, one within the range.
    pub fn value(&self, lies: Lies, random: &mut Random) -> String {
        let bound = |at: usize| self.range[at].as_ref().and_then(|n| n.to_string().parse::<f32>().ok());
        let usual = self.usual.unwrap_or([bound(0).unwrap_or(0.0), bound(1).unwrap_or(1.0)]);
        let from = match (lies, self.low.as_slice(), self.high.as_slice()) {
            (Lies::Below, [low, high], _) | (Lies::Above, _, [low, high]) => [*low, *high],
            _ => usual,
        };
        format!("{:.*}", self.decimals, random.between(from[0], from[1]))
    }
}

/// One of a list that is not empty.
pub fn one<'a, T>(list: &'a [T], random: &mut Random) -> Option<&'a T> {
    list.get(random.below(list.len()))
}
