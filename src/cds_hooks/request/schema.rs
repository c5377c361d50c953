//! The form of a hook request, as the OpenAPI document shows it: what [`HookRequest::parse`] takes.
//! <https://json-schema.org/draft/2020-12>

use std::borrow::Cow;

use serde_json::json;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        ArrayBuilder, Object, ObjectBuilder, OneOfBuilder, RefOr, Schema, SchemaFormat, Type,
        schema::{AdditionalProperties, SchemaType},
    },
};

use super::{HOOKS, HookRequest, LONGEST_TOKEN};
use crate::cds_hooks::prefetch::MAX_KEYS;

const EXTENSION: &str = "A service that answers questions reads the member curbside-question, a code its usageRequirements list; \
    another is refused. Of the rest only com.epic.cdshooks.request.fhir-version is read.";

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
        ("selections", json!([])),
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
        .property("extension", anything().description(Some(EXTENSION)))
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
    let context = match needs.contains(&"selections") {
        true => context.property("selections", ArrayBuilder::new().items(string())),
        false => context,
    };
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

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// What the OpenAPI document says of a request, and what is read of one, are the same.
    #[test]
    fn the_form_shown_is_the_form_read() {
        let shown = serde_json::to_value(<HookRequest as utoipa::PartialSchema>::schema()).unwrap();
        let validator = jsonschema::draft202012::options().should_validate_formats(true).build(&shown).unwrap();
        let agreed = |request: &Value, fit: bool, what: &str| {
            assert_eq!(validator.is_valid(request), fit, "shown: {what}");
            assert_eq!(HookRequest::parse(request.to_string().as_bytes(), true).is_ok(), fit, "read: {what}");
        };
        for (branch, (hook, needs)) in shown["oneOf"].as_array().unwrap().iter().zip(HOOKS) {
            let example = &branch["examples"][0];
            assert_eq!(example["hook"], hook);
            agreed(example, true, hook);
            for member in ["hook", "hookInstance", "context"] {
                let mut less = example.clone();
                less.as_object_mut().unwrap().remove(member);
                agreed(&less, false, member);
            }
            for member in ["userId", "patientId", "encounterId", "selections", "draftOrders"] {
                let mut less = example.clone();
                less["context"].as_object_mut().unwrap().remove(member);
                agreed(&less, member != "patientId" && !needs.contains(&member), &format!("{hook} {member}"));
            }
        }
        let example = &shown["oneOf"][0]["examples"][0];
        let token = |member: &str, value: Value| {
            let mut authorization = json!({"access_token": "t", "token_type": "Bearer"});
            authorization[member] = value;
            json!({"fhirServer": "https://ehr.example/fhir", "fhirAuthorization": authorization})
        };
        let cases = [
            (json!({"hookInstance": "one"}), false),
            (json!({"hookInstance": null}), false),
            (json!({"fhirServer": "https://ehr.example/fhir"}), true),
            (json!({"fhirServer": "ftp://ehr.example/fhir"}), false),
            (json!({"fhirServer": "https://ehr.example/fhir?x"}), false),
            (json!({"fhirServer": 1}), false),
            (json!({"fhirServer": null, "fhirAuthorization": null, "prefetch": null, "extension": 1}), true),
            (json!({"fhirServer": ""}), true),
            (token("scope", json!("patient/*.rs")), true),
            (token("expires_in", json!("300")), true),
            (token("expires_in", json!(300)), true),
            (token("expires_in", json!([])), false),
            (token("token_type", json!("bearer")), true),
            (token("token_type", json!("Basic")), false),
            (token("access_token", json!("")), false),
            (token("access_token", json!("a b")), false),
            (token("patient", json!("Patient/1288992")), true),
            (token("patient", json!("a/b")), false),
            (token("patient", json!("")), true),
            (json!({"prefetch": []}), false),
            (json!({"prefetch": {"any": 1}}), true),
            (
                json!({"prefetch": (0..101).map(|n| (n.to_string(), Value::Null)).collect::<serde_json::Map<_, _>>()}),
                false,
            ),
        ];
        for (members, fit) in cases {
            let mut request = example.clone();
            request.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
            agreed(&request, fit, &members.to_string());
        }
        for (member, value, fit) in [
            ("patientId", json!("Patient/1288992"), true),
            ("patientId", json!("Group/1288992"), false),
            ("patientId", json!("../x"), false),
            ("patientId", json!("a".repeat(129)), false),
            ("userId", json!(""), false),
            ("userId", json!("nobody"), true),
            ("encounterId", json!(""), true),
            ("encounterId", json!("a b"), false),
            ("draftOrders", json!({"resourceType": "Patient"}), false),
            ("draftOrders", json!(null), true),
        ] {
            let mut request = example.clone();
            request["context"][member] = value;
            agreed(&request, fit, &request.to_string());
        }
    }
}
