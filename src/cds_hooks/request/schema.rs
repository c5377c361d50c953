//! The form of a hook request, as the OpenAPI document shows it: what [`HookRequest::parse`] takes.
//! <https://json-schema.org/draft/2020-12>

use std::borrow::Cow;

use serde_json::json;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Object, ObjectBuilder, OneOfBuilder, RefOr, Schema, SchemaFormat, Type,
        schema::{AdditionalProperties, SchemaType},
    },
};

use super::{HOOKS, HookRequest, LONGEST_TOKEN};
use crate::cds_hooks::prefetch::MAX_KEYS;

impl ToSchema for HookRequest {
    fn name() -> Cow<'static, str> {
        "HookRequest".into()
    }
}

impl PartialSchema for HookRequest {
    fn schema() -> RefOr<Schema> {
        HOOKS.iter().fold(OneOfBuilder::new(), |any, (hook, needs)| any.item(request(hook, needs))).into()
    }
}

/// A request of one hook, whose context must have the members that it `needs`.
fn request(hook: &str, needs: &[&str]) -> Object {
    let fhir_server = "Of an EHR of the configuration; required beside fhirAuthorization.";
    let mut example = json!({
        "hook": hook,
        "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "context": { "patientId": "1288992" },
        "prefetch": { "patient": { "resourceType": "Patient", "id": "1288992", "gender": "female" } },
    });
    for (member, value) in [
        ("userId", json!("Practitioner/example")),
        ("encounterId", json!("456")),
        ("draftOrders", json!({ "resourceType": "Bundle", "type": "collection", "entry": [] })),
    ] {
        if needs.contains(&member) {
            example["context"][member] = value;
        }
    }
    object(&["hook", "hookInstance", "context"])
        .property("hook", string().enum_values(Some([hook])))
        .property("hookInstance", string().format(Some(SchemaFormat::Custom("uuid".into()))))
        .property(
            "fhirServer",
            absent(Type::String).pattern(Some("^$|^https?://[^?#@]+$")).description(Some(fhir_server)),
        )
        .property("fhirAuthorization", authorization())
        .property("context", context(needs))
        .property("prefetch", prefetch())
        .property("extension", anything())
        .examples([example])
        .build()
}

fn context(needs: &[&str]) -> ObjectBuilder {
    let orders = if needs.contains(&"draftOrders") { object(&[]) } else { absent(Type::Object) };
    let bundle = string().enum_values(Some(["Bundle"]));
    let orders = orders.property("resourceType", bundle).property("entry", anything()).required("resourceType");
    let context = object(&["patientId"])
        .property("userId", text(needs.contains(&"userId")))
        .property("patientId", id("Patient", true))
        .property("encounterId", id("Encounter", needs.contains(&"encounterId")))
        .property("draftOrders", orders);
    needs.iter().fold(context, |context, member| context.required(*member))
}

fn authorization() -> ObjectBuilder {
    let visible = format!("^[!-~]{{1,{LONGEST_TOKEN}}}$");
    let seconds = SchemaType::from_iter([Type::Number, Type::String, Type::Null]);
    absent(Type::Object)
        .required("access_token")
        .required("token_type")
        .property("access_token", string().pattern(Some(visible)))
        .property("token_type", string().pattern(Some("^[Bb][Ee][Aa][Rr][Ee][Rr]$")))
        .property("expires_in", ObjectBuilder::new().schema_type(seconds).description(Some("Seconds.")))
        .property("scope", absent(Type::String))
        .property("subject", anything())
        .property("patient", id("Patient", false).description(Some("The same as context.patientId.")))
}

fn prefetch() -> ObjectBuilder {
    let resource = "A resource, the Bundle of a search, or null. What is none of them is told on the card.";
    let value = anything().description(Some(resource));
    absent(Type::Object)
        .max_properties(Some(MAX_KEYS))
        .additional_properties(Some(AdditionalProperties::RefOr(value.into())))
}

fn object(required: &[&str]) -> ObjectBuilder {
    required.iter().fold(ObjectBuilder::new(), |object, member| object.required(*member))
}

fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// A member that may be left out; `null` says the same.
fn absent(of: Type) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::from_iter([of, Type::Null]))
}

/// An empty string is absent.
fn text(required: bool) -> ObjectBuilder {
    if required { string().min_length(Some(1)) } else { absent(Type::String) }
}

fn id(of: &str, required: bool) -> ObjectBuilder {
    let pattern = format!("^({of}/)?[A-Za-z0-9\\-._]{{1,128}}$");
    let absence = if required { pattern } else { format!("^$|{pattern}") };
    let form = if required { string() } else { absent(Type::String) };
    form.pattern(Some(absence))
}

fn anything() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::AnyValue)
}
