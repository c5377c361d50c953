//! What a service answers: cards. <https://cds-hooks.hl7.org/2.0/#cds-service-response>

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::fhir::Coding;

/// The body of a 200 answer; `cards` may be empty, never absent.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[schema(as = HookResponse)]
pub struct Response {
    pub cards: Vec<Card>,
}

/// One card. `detail` is GitHub Flavored Markdown that we wrote; text from a model or a chart stands in it escaped.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Card {
    #[schema(value_type = String, format = "uuid")]
    pub uuid: Uuid,
    /// At most 139 UTF-16 units.
    #[schema(max_length = 139)]
    pub summary: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(required = false)]
    pub detail: String,
    pub indicator: Indicator,
    pub source: Source,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub links: Vec<Link>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub suggestions: Vec<Suggestion>,
    /// Present beside suggestions.
    #[serde(rename = "selectionBehavior", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub selection_behavior: Option<SelectionBehavior>,
    /// Each with a display.
    #[serde(rename = "overrideReasons", skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub override_reasons: Vec<Coding>,
}

/// What a reader may have done at one click. Its one action is carried out by the client.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Suggestion {
    pub label: String,
    #[schema(value_type = String, format = "uuid")]
    pub uuid: Uuid,
    pub actions: Vec<Action>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Action {
    #[serde(rename = "type")]
    pub kind: ActionType,
    pub description: String,
    /// `Type/id` of a resource of the request.
    #[serde(rename = "resourceId")]
    pub resource_id: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ActionType {
    Delete,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SelectionBehavior {
    Any,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Indicator {
    Info,
    Warning,
    Critical,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Source {
    pub label: String,
    pub topic: Coding,
}

/// A link of configured origin; never written by a model.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Link {
    pub label: String,
    #[schema(format = "uri")]
    pub url: String,
    #[serde(rename = "type")]
    pub kind: LinkType,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LinkType {
    Absolute,
}
