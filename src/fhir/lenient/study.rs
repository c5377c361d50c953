//! Studies of pictures and where they are kept. <https://hl7.org/fhir/R4/imagingstudy.html>

use serde::Deserialize;
use serde_json::Number;

use super::{Code, Concept, Identifier, Many, Ref};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImagingStudy {
    pub id: Option<String>,
    pub status: Option<String>,
    #[serde(default)]
    pub identifier: Many<Identifier>,
    #[serde(default)]
    pub modality: Many<Code>,
    #[serde(default)]
    pub procedure_code: Many<Concept>,
    pub started: Option<String>,
    pub description: Option<String>,
    #[serde(default)]
    pub endpoint: Many<Ref>,
    #[serde(default)]
    pub contained: Many<Endpoint>,
    #[serde(default)]
    pub series: Many<Series>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Series {
    pub uid: Option<String>,
    pub modality: Option<Code>,
    pub started: Option<String>,
    pub description: Option<String>,
    pub body_site: Option<Code>,
    #[serde(default)]
    pub endpoint: Many<Ref>,
    #[serde(default)]
    pub instance: Many<Instance>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Instance {
    pub uid: Option<String>,
    pub sop_class: Option<Code>,
    pub number: Option<Number>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    pub resource_type: Option<String>,
    pub id: Option<String>,
    pub status: Option<String>,
    pub connection_type: Option<Code>,
    pub address: Option<String>,
    #[serde(default)]
    pub extension: Many<Extension>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Extension {
    pub url: Option<String>,
    pub value_boolean: Option<bool>,
}
