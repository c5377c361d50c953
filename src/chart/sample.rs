//! Charts for the tests of what is made of one: of the prompt, and of what is kept of an answer.

use std::sync::Arc;

use serde_json::json;

use super::{Chart, Evidence, EvidenceId, Fact, Measurement, Origin, Range, Subject};
use crate::{fhir::Date, imaging::Image};

/// Facts as E1, E2 and so on, each with its date; one that is empty is none.
pub fn chart<'a>(facts: impl IntoIterator<Item = (&'a str, Fact)>) -> Chart {
    let evidence = facts.into_iter().zip(1..).map(|((date, fact), number)| Evidence {
        id: EvidenceId(number),
        reference: format!("https://ehr.example/fhir/Observation/{number}"),
        date: Date::parse(date),
        misdated: false,
        fact,
        origin: Origin::Fetched,
    });
    Chart {
        source_base: "https://ehr.example/fhir".into(),
        subject: Subject { reference: "https://ehr.example/fhir/Patient/1".into(), sex: None, age_band: None },
        requester: None,
        encounter: None,
        evidence: evidence.collect(),
        gaps: vec![],
        examined: vec![],
        reading: None,
        named: Default::default(),
    }
}

/// A frontal chest film of the sort the bundled model reads.
pub fn film(view: &str, date: &str) -> Box<Image> {
    let image = json!({
        "source": { "dicom": { "study_uid": "1.2", "series_uid": "1.3", "instance_uid": "1.4", "sop_class_uid": "1.5",
            "transfer_syntax": "1.2.840.10008.1.2.1" } },
        "modality": "DX", "body_part": "CHEST", "view": view, "manufacturer": "curbside phantom", "date": date, "rows": 2,
        "columns": 2, "lossy": false, "retrieved": "instance", "burned_in": "NO", "sha256": "00",
    });
    let mut image: Image = serde_json::from_value(image).unwrap();
    image.pixels = Arc::new(image::RgbImage::new(2, 2));
    Box::new(image)
}

pub fn note(text: &str) -> Fact {
    Fact::Note { text: text.into(), preliminary: false }
}

/// A final value without code, range or flag.
pub fn measurement(text: &str, value: &str, unit: &str) -> Measurement {
    Measurement {
        text: text.into(),
        loinc: vec![],
        vital: false,
        value: value.into(),
        unit: Some(unit.into()),
        ucum: None,
        components: None,
        flag: None,
        before: None,
        range: Range::default(),
        preliminary: false,
    }
}

pub fn penicillin_allergy() -> Fact {
    Fact::Allergy {
        text: "Penicillin".into(),
        criticality: None,
        reactions: vec![],
        none_known: false,
        unconfirmed: None,
    }
}
