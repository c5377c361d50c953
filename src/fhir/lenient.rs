//! Readers for resources that are not ours: only the members the product uses, and tolerant of what real EHRs send.
//!
//! `null` is absent, unknown members are ignored, an object where an array belongs is an array of one, decimals stay text.

mod attachment;
mod decimal;
mod many;
mod observation;
mod sound;
mod study;
mod system;

pub use attachment::{Attachment, Binary, DocumentContent, DocumentReference, Media};
pub use decimal::Decimal;
pub use many::Many;
pub use observation::{Component, Observation, ReferenceRange};
pub use sound::{TWO_VALUES, open, sound};
pub use study::{Endpoint, Extension, ImagingStudy, Instance, Series};

use compact_str::CompactString as Text;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

use super::Cursor;

/// What every resource is asked first.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Head {
    pub resource_type: Text,
    pub id: Option<Text>,
    #[serde(default)]
    pub meta: Option<Meta>,
    pub subject: Option<Ref>,
    pub patient: Option<Ref>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Meta {
    #[serde(default)]
    pub security: Many<Code>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Code {
    #[serde(default, deserialize_with = "system::address")]
    pub system: Option<Text>,
    pub code: Option<Text>,
    pub display: Option<Text>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Concept {
    #[serde(default)]
    pub coding: Many<Code>,
    pub text: Option<Text>,
}

impl Code {
    fn is(&self, code: &str) -> bool {
        self.code.as_deref().is_some_and(|given| given.trim().eq_ignore_ascii_case(code))
    }
}

impl Concept {
    /// The text, else the first display, else the first code.
    pub fn label(&self) -> Option<&str> {
        let filled = |t: &&str| !t.trim().is_empty();
        self.text
            .as_deref()
            .filter(filled)
            .or_else(|| self.coding.iter().filter_map(|c| c.display.as_deref()).find(filled))
            .or_else(|| self.coding.iter().filter_map(|c| c.code.as_deref()).find(filled))
    }
    pub fn has(&self, system: &str, code: &str) -> bool {
        self.coding.iter().any(|c| c.system.as_deref() == Some(system) && c.code.as_deref() == Some(code))
    }
    pub fn code(&self, code: &str) -> bool {
        self.coding.iter().any(|c| c.is(code))
    }

    /// Whether it is that code of HL7's own: another system's word of the same letters may mean anything.
    pub fn hl7(&self, code: &str) -> bool {
        let hl7 = |system: &str| system.contains("//terminology.hl7.org/") || system.contains("//hl7.org/");
        self.coding.iter().any(|c| c.is(code) && c.system.as_deref().is_none_or(hl7))
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Ref {
    pub reference: Option<Text>,
    #[serde(rename = "type")]
    pub resource_type: Option<Text>,
    pub display: Option<Text>,
    pub identifier: Option<Identifier>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Identifier {
    /// Such as `official` or `old`.
    #[serde(rename = "use")]
    pub purpose: Option<String>,
    pub system: Option<String>,
    pub value: Option<String>,
    /// The organisation that gave it.
    pub assigner: Option<Box<Ref>>,
    /// When it is or was in use.
    pub period: Option<Period>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Period {
    pub start: Option<String>,
    pub end: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Quantity {
    pub value: Option<Decimal>,
    pub comparator: Option<Text>,
    pub unit: Option<Text>,
    #[serde(default, deserialize_with = "system::address")]
    pub system: Option<Text>,
    pub code: Option<Text>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Patient {
    pub id: Option<String>,
    #[serde(default)]
    pub identifier: Many<Identifier>,
    pub active: Option<bool>,
    pub gender: Option<String>,
    pub birth_date: Option<String>,
    #[serde(default)]
    pub link: Many<PatientLink>,
}

/// How another record of a patient stands to this one, such as `replaced-by`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct PatientLink {
    #[serde(rename = "type")]
    pub relation: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    pub id: Option<String>,
    pub code: Option<Concept>,
    pub clinical_status: Option<Concept>,
    pub verification_status: Option<Concept>,
    pub onset_date_time: Option<String>,
    pub onset_period: Option<Period>,
    pub recorded_date: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MedicationRequest {
    pub id: Option<String>,
    pub status: Option<String>,
    pub intent: Option<String>,
    pub do_not_perform: Option<bool>,
    pub medication_codeable_concept: Option<Concept>,
    pub medication_reference: Option<Ref>,
    #[serde(default)]
    pub contained: Many<Medication>,
    pub authored_on: Option<String>,
    #[serde(default)]
    pub dosage_instruction: Many<Dosage>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Medication {
    pub id: Option<String>,
    pub status: Option<String>,
    pub code: Option<Concept>,
    #[serde(default)]
    pub ingredient: Many<Ingredient>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ingredient {
    pub item_codeable_concept: Option<Concept>,
    pub item_reference: Option<Ref>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Dosage {
    pub text: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AllergyIntolerance {
    pub id: Option<String>,
    pub code: Option<Concept>,
    pub clinical_status: Option<Concept>,
    pub verification_status: Option<Concept>,
    /// Of what: texts such as `food` or `medication`. What is none says nothing.
    #[serde(default)]
    pub category: Many<serde_json::Value>,
    pub criticality: Option<String>,
    pub recorded_date: Option<String>,
    #[serde(default)]
    pub reaction: Many<Reaction>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Reaction {
    /// What it was to, where that is more precise than the allergy.
    pub substance: Option<Concept>,
    #[serde(default)]
    pub manifestation: Many<Concept>,
    pub description: Option<Text>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DiagnosticReport {
    pub id: Option<String>,
    pub status: Option<String>,
    #[serde(default)]
    pub category: Many<Concept>,
    pub code: Option<Concept>,
    pub effective_date_time: Option<String>,
    pub effective_period: Option<Period>,
    pub issued: Option<String>,
    pub conclusion: Option<String>,
    #[serde(default)]
    pub imaging_study: Many<Ref>,
    #[serde(default)]
    pub media: Many<ReportMedia>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct ReportMedia {
    pub link: Option<Ref>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceRequest {
    pub id: Option<String>,
    pub status: Option<String>,
    pub intent: Option<String>,
    pub do_not_perform: Option<bool>,
    #[serde(default)]
    pub identifier: Many<Identifier>,
    #[serde(default)]
    pub category: Many<Concept>,
    pub code: Option<Concept>,
    #[serde(default)]
    pub body_site: Many<Concept>,
    #[serde(default)]
    pub reason_code: Many<Concept>,
    pub authored_on: Option<String>,
    pub subject: Option<Ref>,
    #[serde(default)]
    pub supporting_info: Many<Ref>,
}

/// The type of a resource, read no further than to its member `resourceType`, which nearly always comes first.
pub fn resource_type(raw: &RawValue) -> Option<String> {
    let [resource_type] = members(raw, ["resourceType"]);
    serde_json::from_str(resource_type?.get()).ok()
}

/// The first member of each name, of an object that is read no further than to the last of them.
pub fn members<'a, const N: usize>(raw: &'a RawValue, names: [&str; N]) -> [Option<&'a RawValue>; N] {
    let mut found = [None; N];
    // What comes after them is not taken, and says nothing.
    Cursor::new(raw.get()).object(|name, at| {
        match names.iter().position(|wanted| name == wanted) {
            Some(which) if found[which].is_none() => found[which] = Some(at.value()?),
            _ => drop(at.value::<IgnoredAny>()?),
        }
        found.iter().any(Option::is_none).then_some(())
    });
    found
}

/// Reads one resource; the error names the element, never what stood there.
pub fn read<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Result<T, String> {
    serde_json::from_str(raw.get()).or_else(|_| {
        let mut json = serde_json::Deserializer::from_str(raw.get());
        serde_path_to_error::deserialize(&mut json).map_err(|e| format!("its element {} is not readable", e.path()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse<T: for<'a> Deserialize<'a>>(text: &str) -> Result<T, String> {
        serde_json::from_str::<&RawValue>(text).map_err(|e| e.to_string()).and_then(read)
    }

    #[test]
    fn what_real_ehrs_send_is_read() {
        let observation: Observation = parse(
            r#"{"resourceType":"Observation","id":null,"category":{"coding":{"code":"laboratory"}},"unknown":[1],
                "valueQuantity":{"value":72.50,"unit":"mg/L"},"referenceRange":null}"#,
        )
        .unwrap();
        assert_eq!(observation.category[0].coding[0].code.as_deref(), Some("laboratory"));
        assert_eq!(observation.value_quantity.unwrap().value.unwrap().as_str(), "72.50");
        assert!(observation.reference_range.is_empty());
    }

    #[test]
    fn a_type_is_read_wherever_it_stands() {
        let of = |text: &str| resource_type(serde_json::from_str(text).unwrap());
        for text in [r#"{"resourceType":"Media","id":7}"#, r#" {"a":[{"resourceType":7}],"resourceType":"Media"}"#] {
            assert_eq!(of(text).as_deref(), Some("Media"), "{text}");
        }
        for text in [
            "{}",
            "[]",
            "7",
            r#"["resourceType","Media"]"#,
            r#"{"a":{"resourceType":"Media"}}"#,
            r#"{"resourceType":7}"#,
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn a_member_is_had_as_it_stands_and_the_first_of_two() {
        let of = |text: &str| {
            let [status, id] = members(serde_json::from_str(text).unwrap(), ["status", "id"]);
            assert!(status.is_none_or(|status| status.get() == "\"final\""));
            id.map(|raw| raw.get().to_owned())
        };
        for (text, found) in [
            (r#"{"id":"a"}"#, r#""a""#),
            (r#"{"subject":{"id":"b"},"\u0069d":7.50,"id":"a"}"#, "7.50"),
            (r#"{"x":[{"id":1}],"id":null}"#, "null"),
            (r#"{"id":"a","status":"final","id":"b"}"#, r#""a""#),
            (r#"{"status":"final","x":"id","id":"a","status":7}"#, r#""a""#),
            (r#"{"id":"a","\ud800":1,"status":"draft"}"#, r#""a""#),
            (&format!(r#"{{"x":{}{},"id":"a"}}"#, "[".repeat(100_000), "]".repeat(100_000)), r#""a""#),
        ] {
            assert_eq!(of(text).as_deref(), Some(found), "{text}");
        }
        for text in ["{}", "[]", "7", r#"["id","a"]"#, r#"{"subject":{"id":"b"}}"#, r#"{"\ud800":1,"id":"a"}"#] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn an_ill_typed_member_is_named_and_not_quoted() {
        let error = parse::<Observation>(r#"{"status":{"secret":"Jane Doe"}}"#).unwrap_err();
        assert_eq!(error, "its element status is not readable");
        let error = parse::<Observation>(r#"{"component":[{},{"code":{"coding":["Jane Doe"]}}]}"#).unwrap_err();
        assert_eq!(error, "its element component[1].code.coding[0] is not readable");
        // What stands in an array instead of by name is complete or refused.
        for text in [r#"{"code":{"coding":[[]]}}"#, r#"{"valueQuantity":[1,"<","mg"]}"#] {
            assert!(parse::<Observation>(text).is_err(), "{text}");
        }
    }
}
