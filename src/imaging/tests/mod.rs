//! Reading films and studies, each made as wrong as a test wants it.

mod archive;
mod encoded;
mod file;
mod hostile;
mod ladder;
mod reading;

use self::file::*;
use crate::{
    fhir::Date,
    imaging::{Decoder, Failure, Film, Identity, Wanted},
};

pub fn wanted(side: u32) -> Wanted {
    Wanted {
        study_uid: STUDY.into(),
        series_uid: SERIES.into(),
        instance_uid: INSTANCE.into(),
        patient: patient(),
        side,
        retrieved: "test",
    }
}

pub fn now() -> Date {
    Date::parse("2025-11-20T12:00:00Z").unwrap()
}

/// The record of the patient that films name.
pub fn patient() -> Identity {
    let record = serde_json::json!({"identifier": [{"system": "urn:mrn", "value": PATIENT}]});
    Identity::of(&serde_json::from_value(record).unwrap(), &["urn:mrn".into()], &now())
}

pub async fn decode(bytes: Vec<u8>, side: u32) -> Result<Film, Failure> {
    Decoder::on_a_thread().film(bytes.into(), wanted(side)).await
}
