//! What a service answers: cards. <https://cds-hooks.hl7.org/2.0/#cds-service-response>

use serde::Serialize;
use uuid::Uuid;

use crate::fhir::Coding;

/// The body of a 200 answer; `cards` may be empty, never absent.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Response {
    pub cards: Vec<Card>,
}

/// One card. `detail` is GitHub Flavored Markdown that we wrote; text from a model or a chart stands in it escaped.
#[derive(Clone, Debug, Serialize)]
pub struct Card {
    pub uuid: Uuid,
    /// At most 139 UTF-16 units.
    pub summary: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    pub indicator: Indicator,
    pub source: Source,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Indicator {
    Info,
    Warning,
    Critical,
}

#[derive(Clone, Debug, Serialize)]
pub struct Source {
    pub label: String,
    pub topic: Coding,
}

/// A link of configured origin; never written by a model.
#[derive(Clone, Debug, Serialize)]
pub struct Link {
    pub label: String,
    pub url: String,
    #[serde(rename = "type")]
    pub kind: LinkType,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkType {
    Absolute,
}
