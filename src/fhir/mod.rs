//! FHIR R4, read twice: what is ours strictly through fhirbolt, what is theirs leniently. <https://hl7.org/fhir/R4/>

mod bundle;
mod client;
mod cursor;
mod date;
pub mod lenient;
mod media_type;
mod ours;
mod outcome;
mod reference;
mod search;

pub use bundle::{Raw, Split, split, take};
pub use client::{Client, Found, Limits};
pub use cursor::Cursor;
pub use date::Date;
pub use media_type::{FHIR_JSON, essence, is_json};
pub use ours::{check, normal};
pub use outcome::{SYSTEM, issue_code, outcome};
pub use reference::{Reference, is_id};
pub use search::{query, same_search};

/// A code in a code system.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize, utoipa::ToSchema)]
pub struct Coding {
    pub system: String,
    pub code: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub display: Option<String>,
}
