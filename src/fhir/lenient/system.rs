//! Addresses of code systems, which stand in nearly every element of a record.

use std::fmt;

use compact_str::CompactString as Text;
use serde::{
    Deserialize, Deserializer,
    de::{Error, Visitor},
};

/// Frequent ones that are too long for a [`Text`] to hold without memory of its own.
const LONG: [&str; 10] = [
    "http://unitsofmeasure.org",
    "http://terminology.hl7.org/CodeSystem/observation-category",
    "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation",
    "http://www.nlm.nih.gov/research/umls/rxnorm",
    "http://hl7.org/fhir/sid/icd-10-cm",
    "http://terminology.hl7.org/CodeSystem/condition-category",
    "http://terminology.hl7.org/CodeSystem/condition-clinical",
    "http://terminology.hl7.org/CodeSystem/condition-ver-status",
    "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical",
    "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification",
];

/// Any address; a frequent one without a copy.
pub(super) fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Text>, D::Error> {
    Ok(Option::<System>::deserialize(deserializer)?.map(|System(address)| address))
}

struct System(Text);

impl<'de> Deserialize<'de> for System {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SystemVisitor;
        impl Visitor<'_> for SystemVisitor {
            type Value = System;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_str<E: Error>(self, address: &str) -> Result<System, E> {
                let known = LONG.into_iter().find(|known| *known == address);
                Ok(System(known.map_or_else(|| Text::new(address), Text::const_new)))
            }
        }
        deserializer.deserialize_str(SystemVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::lenient::{Code, read};

    #[test]
    fn an_address_is_its_text_and_a_frequent_one_takes_no_memory() {
        let of = |address: &str| {
            let text = format!(r#"{{"system":{address}}}"#);
            read::<Code>(serde_json::from_str(&text).unwrap()).map(|code| code.system)
        };
        for address in LONG.into_iter().chain(["http://loinc.org", "", "http://unitsofmeasure.org/"]) {
            assert_eq!(of(&format!("\"{address}\"")).unwrap().as_deref(), Some(address));
        }
        for known in LONG {
            let address = of(&format!("\"{known}\"")).unwrap().unwrap();
            assert!(known.len() > size_of::<Text>() && !address.is_heap_allocated(), "{known}");
        }
        assert_eq!((of("null"), of("\"\\u0061\"")), (Ok(None), Ok(Some("a".into()))));
        assert_eq!(of("7"), Err("its element system is not readable".into()));
    }
}
