//! Records that hold a picture or name one. <https://hl7.org/fhir/R4/datatypes.html#Attachment>

use serde::Deserialize;
use serde_json::Number;

use super::{Concept, Many, Period, Ref};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Media {
    pub id: Option<String>,
    pub status: Option<String>,
    /// `image`, `video` or `audio`.
    #[serde(rename = "type")]
    pub form: Option<Concept>,
    pub modality: Option<Concept>,
    pub view: Option<Concept>,
    pub body_site: Option<Concept>,
    pub device_name: Option<String>,
    pub created_date_time: Option<String>,
    pub created_period: Option<Period>,
    /// How many pictures follow one another.
    pub frames: Option<Number>,
    /// In seconds.
    pub duration: Option<Number>,
    pub content: Option<Attachment>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DocumentReference {
    pub id: Option<String>,
    pub status: Option<String>,
    pub doc_status: Option<String>,
    pub date: Option<String>,
    pub description: Option<String>,
    #[serde(default)]
    pub content: Many<DocumentContent>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct DocumentContent {
    pub attachment: Option<Attachment>,
}

/// `data` and `hash` are base64 as sent, `hash` of a SHA-1.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attachment {
    pub content_type: Option<String>,
    pub data: Option<String>,
    pub url: Option<String>,
    pub size: Option<Number>,
    pub hash: Option<String>,
    pub title: Option<String>,
    pub creation: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Binary {
    pub resource_type: Option<String>,
    pub id: Option<String>,
    pub content_type: Option<String>,
    pub security_context: Option<Ref>,
    pub data: Option<String>,
}
