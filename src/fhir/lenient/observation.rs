//! What was measured or seen. <https://hl7.org/fhir/R4/observation.html>

use compact_str::CompactString as Text;
use serde::{Deserialize, de::IgnoredAny};

use super::{Concept, Decimal, Many, Period, Quantity};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Observation {
    pub id: Option<Text>,
    pub status: Option<Text>,
    #[serde(default)]
    pub category: Many<Concept>,
    pub code: Option<Concept>,
    /// What it is about, where that is not the patient.
    #[serde(default)]
    pub focus: Many<IgnoredAny>,
    pub effective_date_time: Option<Text>,
    pub effective_instant: Option<Text>,
    pub effective_period: Option<Period>,
    pub issued: Option<Text>,
    pub value_quantity: Option<Quantity>,
    pub value_codeable_concept: Option<Concept>,
    pub value_string: Option<Text>,
    pub value_integer: Option<Decimal>,
    pub value_boolean: Option<bool>,
    pub data_absent_reason: Option<Concept>,
    #[serde(default)]
    pub interpretation: Many<Concept>,
    #[serde(default)]
    pub reference_range: Many<ReferenceRange>,
    #[serde(default)]
    pub component: Many<Component>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Component {
    pub code: Option<Concept>,
    pub value_quantity: Option<Quantity>,
    pub data_absent_reason: Option<Concept>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReferenceRange {
    /// Of which values; absent: of normal ones.
    #[serde(rename = "type")]
    pub meaning: Option<Concept>,
    pub low: Option<Quantity>,
    pub high: Option<Quantity>,
    #[serde(default)]
    pub applies_to: Many<Concept>,
    pub age: Option<IgnoredAny>,
}
