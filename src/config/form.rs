//! URLs and EHRs as they are written in the file.

use serde::{Deserialize, Deserializer};
use url::Url;

use crate::caller::AllowedBase;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ehr {
    fhir: String,
    #[serde(default)]
    dicomweb: Vec<String>,
    #[serde(default)]
    patient_id_systems: Vec<String>,
    #[serde(default)]
    dicomweb_takes_token: bool,
}

pub fn url<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Url>, D::Error> {
    parse("public_base", &String::deserialize(from)?).map(Some)
}

pub fn ehrs<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<AllowedBase>, D::Error> {
    let written: Vec<Ehr> = Vec::deserialize(from)?;
    let base = |ehr: Ehr| {
        Ok(AllowedBase {
            fhir: parse("fhir", &ehr.fhir)?,
            dicomweb: ehr.dicomweb.iter().map(|text| parse("dicomweb", text)).collect::<Result<_, _>>()?,
            patient_id_systems: ehr.patient_id_systems,
            dicomweb_takes_token: ehr.dicomweb_takes_token,
        })
    };
    written.into_iter().map(base).collect()
}

fn parse<E: serde::de::Error>(key: &str, text: &str) -> Result<Url, E> {
    Url::parse(text).map_err(|e| E::custom(format!("{key} is no absolute URL: {e}")))
}
