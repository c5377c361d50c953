//! URLs and EHRs as they are written in the file.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de::Error};
use url::Url;

use crate::{caller::AllowedBase, egress::Base};

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
    #[serde(default)]
    suggestions: bool,
    /// Base as named above to base as reached.
    #[serde(default)]
    reachable: BTreeMap<String, String>,
}

pub fn url<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Url>, D::Error> {
    parse("public_base", &String::deserialize(from)?).map(Some)
}

pub fn ehrs<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<AllowedBase>, D::Error> {
    let written: Vec<Ehr> = Vec::deserialize(from)?;
    let base = |ehr: Ehr| {
        let moved = ehr.reachable.iter().map(|(name, at)| Ok((parse("reachable", name)?, parse("reachable", at)?)));
        let mut moved = moved.collect::<Result<Vec<(Url, Url)>, D::Error>>()?;
        let mut base = |named: Url| {
            let bare = |url: &Url| url.as_str().trim_end_matches('/').to_owned();
            match moved.iter().position(|(name, _)| bare(name) == bare(&named)) {
                Some(at) => Base::new(named, moved.swap_remove(at).1),
                None => named.into(),
            }
        };
        let fhir = base(parse("fhir", &ehr.fhir)?);
        let dicomweb =
            ehr.dicomweb.iter().map(|text| parse("dicomweb", text).map(&mut base)).collect::<Result<_, _>>()?;
        if !moved.is_empty() {
            return Err(D::Error::custom("reachable may name the block's fhir and dicomweb bases only, each once"));
        }
        Ok(AllowedBase {
            fhir,
            dicomweb,
            patient_id_systems: ehr.patient_id_systems,
            dicomweb_takes_token: ehr.dicomweb_takes_token,
            suggestions: ehr.suggestions,
        })
    };
    written.into_iter().map(base).collect()
}

fn parse<E: Error>(key: &str, text: &str) -> Result<Url, E> {
    Url::parse(text).map_err(|e| E::custom(format!("{key} is no absolute URL: {e}")))
}
