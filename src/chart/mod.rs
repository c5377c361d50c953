//! The Chart: everything fetched for one request, every fact with an evidence id, every failure named. Nothing is thought here.

mod allergies;
mod attachments;
mod collect;
mod facts;
mod films;
mod gather;
mod kind;
mod named;
mod order;
mod relevance;
#[cfg(test)]
pub mod sample;
mod understood;
mod values;
mod words;

pub use allergies::{denies, rules_out, without_tolerated};
pub use gather::{AtHand, Sources, ehr, gather, subject};
pub use named::Named;
pub use order::{Asked, Order, StudyName, asked, is_withdrawn, order, ordered_for};
pub use words::{FLAGGED, Printed, flag, joined, plain};

use std::{collections::BTreeMap, fmt};

use compact_str::CompactString as Text;
use serde::{Deserialize, Serialize};

use crate::{fhir::Date, imaging::Image};

/// Days between a note or a value and a film within which the one may speak for the moment of the other.
pub const FRESH_DAYS: i64 = 30;

/// Everything known about one patient for one request. Serialisable; pictures by content hash.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Chart {
    /// FHIR base of the EHR the facts come from; every reference in here is absolute under it.
    pub source_base: String,
    pub subject: Subject,
    /// Who asked; absolute reference, as is `encounter`.
    pub requester: Option<String>,
    pub encounter: Option<String>,
    /// Numbered once, most relevant first, pictures before everything else.
    pub evidence: Vec<Evidence>,
    /// What was looked for and could not be had, or was had and could not be used.
    pub gaps: Vec<Gap>,
    pub examined: Vec<Examined>,
    /// Present when an imaging order is answered.
    pub reading: Option<Reading>,
    /// By reference, what allergies, studies and orders name in codes and words: for rules, never for a model. Empty for a service
    /// without checks.
    #[serde(default)]
    pub named: BTreeMap<String, Named>,
}

impl Chart {
    pub fn evidence(&self, id: EvidenceId) -> Option<&Evidence> {
        self.evidence.iter().find(|e| e.id == id)
    }

    /// The current or the prior film, with its evidence id.
    pub fn film(&self, wanted: Role) -> Option<(EvidenceId, &Image)> {
        self.evidence.iter().find_map(|e| match &e.fact {
            Fact::Image { role, image } if *role == wanted => Some((e.id, &**image)),
            _ => None,
        })
    }

    pub fn examined(&self, key: &str) -> Option<&Examined> {
        self.examined.iter().find(|e| e.what == key)
    }
}

/// The patient as a prompt may know them, and the reference the report needs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Subject {
    /// Absolute reference.
    pub reference: String,
    pub sex: Option<String>,
    /// Such as `60-69`; never the exact age or birth date.
    pub age_band: Option<String>,
}

/// `E7`: printed in the prompt, allowed by the answer's grammar, checked in `ground`, shown on the card, a Provenance entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EvidenceId(pub u32);

impl fmt::Display for EvidenceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "E{}", self.0)
    }
}

impl From<EvidenceId> for String {
    fn from(id: EvidenceId) -> String {
        id.to_string()
    }
}

impl TryFrom<String> for EvidenceId {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let digits = text.strip_prefix('E').filter(|d| !d.is_empty() && d.len() <= 6 && !d.starts_with('0'));
        let digits = digits.filter(|d| d.bytes().all(|b| b.is_ascii_digit()));
        digits.and_then(|d| d.parse().ok()).map(EvidenceId).ok_or("not an evidence id")
    }
}

/// One fact and the resource or DICOM instance that states it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Evidence {
    pub id: EvidenceId,
    /// Absolute URL of the resource; `urn:oid:<uid>` of a DICOM instance.
    pub reference: String,
    pub date: Option<Date>,
    /// A date is given that is none, such as 30 February.
    #[serde(default)]
    pub misdated: bool,
    pub fact: Fact,
    /// How the fact was had.
    pub origin: Origin,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    Prefetch,
    Fetched,
}

/// What a piece of evidence says, in short typed form. All text is the EHR's and untrusted.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fact {
    Image {
        role: Role,
        image: Box<Image>,
    },
    Measurement(Measurement),
    Note {
        text: String,
        #[serde(default)]
        preliminary: bool,
    },
    Medication {
        text: String,
        dosage: Option<String>,
    },
    /// `unconfirmed`: in which way it is not confirmed, such as `provisional`.
    Problem {
        text: String,
        status: String,
        #[serde(default)]
        unconfirmed: Option<String>,
    },
    /// `none_known`: a statement that there is no such allergy.
    Allergy {
        text: String,
        criticality: Option<String>,
        reactions: Vec<String>,
        #[serde(default)]
        none_known: bool,
        #[serde(default)]
        unconfirmed: Option<String>,
    },
    Study {
        text: String,
        modality: Option<String>,
    },
    Report {
        text: String,
        status: String,
        conclusion: Option<String>,
    },
    /// An order that is open.
    Order {
        text: String,
        status: String,
    },
}

/// Which of the two films a picture is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Current,
    Prior,
}

/// The last value of one test.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measurement {
    pub text: Text,
    /// LOINC codes of the test.
    pub loinc: Vec<Text>,
    pub vital: bool,
    /// As received, comparator included; decimals keep their text.
    pub value: Text,
    pub unit: Option<Text>,
    /// UCUM code of the unit, where the EHR gave one.
    pub ucum: Option<Text>,
    /// Systolic and diastolic where the value is a blood pressure panel.
    pub components: Option<(Text, Text)>,
    /// The EHR's interpretation, or ours from its reference range.
    pub flag: Option<Text>,
    /// The value before the last, in the same unit.
    pub before: Option<Box<Before>>,
    /// The bounds of normal values, where the EHR gives one range for everybody.
    #[serde(default)]
    pub range: Range,
    /// Not verified yet by who measured it.
    #[serde(default)]
    pub preliminary: bool,
}

/// An earlier value of a test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    /// As received.
    pub value: Text,
    pub date: Option<Date>,
    pub preliminary: bool,
    /// How the last value stands to it; `None` where the two cannot be compared.
    pub trend: Option<Trend>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trend {
    Up,
    Down,
    Unchanged,
}

/// Bounds as received; decimals keep their text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    pub low: Option<Text>,
    pub high: Option<Text>,
}

/// Something looked for and not had. `what` names it as a reader knows it, `why` is one clause without patient data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    pub what: String,
    pub why: String,
}

/// A fact that was kept from the model, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotShown {
    pub evidence: EvidenceId,
    pub why: String,
}

/// What of a chart stands in a prompt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Ids in the prompt, in its order: the only ones the answer may cite.
    pub shown: Vec<EvidenceId>,
    pub not_shown: Vec<NotShown>,
    /// How often untrusted text held something that could have been a control token.
    pub neutralised: usize,
}

/// One kind of data that was looked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Examined {
    /// The prefetch key, such as `allergies`.
    pub what: String,
    /// Resources of this patient received.
    pub resources: usize,
    /// Resources received that could not be used; each is a gap.
    #[serde(default)]
    pub unusable: usize,
    /// Resources rightly left out: resolved, stopped, without a value.
    #[serde(default)]
    pub left_out: usize,
    pub origin: Origin,
    /// We searched the EHR ourselves and saw the last page: only then may absence be stated.
    pub complete: bool,
}

/// The order answered, and the study read for it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reading {
    pub order: Order,
    /// Imaging orders of the same request that were not read.
    pub other_orders: usize,
    pub study: Option<StudyRead>,
    pub prior: Option<StudyRead>,
    /// Why there is no current film to read; then there is no model call.
    pub no_film: Option<String>,
}

/// A study, or a record with a picture outside DICOM, as the card names it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StudyRead {
    /// Absolute reference of the ImagingStudy, Media or DocumentReference.
    pub reference: String,
    /// Only an ImagingStudy has one.
    pub study_uid: Option<String>,
    pub date: Option<Date>,
    pub description: Option<String>,
    pub choice: Choice,
    /// Whether the EHR's reports were read to the last page, so that a report on it would have been seen.
    #[serde(default)]
    pub reports_checked: bool,
}

/// Why this study or picture was read and no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// The order names it.
    Named,
    /// The newest one that fits the order.
    Newest,
    /// It does not say what it shows, and there is no other.
    Only,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_evidence_id_is_its_text_and_no_other_text_is_one(number in 1u32..1_000_000, text in "\\PC{0,10}|E?[0-9+ -]{0,10}|E[0-9]{0,7}") {
            let id = EvidenceId(number);
            prop_assert_eq!(EvidenceId::try_from(id.to_string()), Ok(id));
            if let Ok(id) = EvidenceId::try_from(text.clone()) {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }
}
