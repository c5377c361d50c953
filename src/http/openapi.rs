//! `GET /openapi.json`: what the routes have in common; each handler describes the rest of itself.
//! <https://spec.openapis.org/oas/v3.1.1>

#[cfg(test)]
pub(super) mod tests;

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use axum::{
    Extension,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use url::Url;
use utoipa::{
    IntoResponses, PartialSchema, ToSchema,
    openapi::{
        ComponentsBuilder, ContentBuilder, Header, InfoBuilder, LicenseBuilder, Object, ObjectBuilder, OpenApi,
        OpenApiBuilder, Ref, RefOr, ResponseBuilder, Schema, Server, Type, header::HeaderBuilder, response,
    },
};

use super::reply::status;
use crate::{
    error::{Error, Kind, Result},
    fhir::{FHIR_JSON, SYSTEM, issue_code},
};

/// The head of the document, and what its operations refer to.
pub fn head(public_base: &Url) -> OpenApi {
    let mut components = ComponentsBuilder::new().schema("OperationOutcome", outcome());
    for kind in Kind::ALL {
        components = components.response(name(kind), refusal(kind));
    }
    let info = InfoBuilder::new()
        .title("curbside")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Clinical decision support that reads pictures: CDS Hooks 2.0, and the drafts it made as FHIR R4 and as pages. \
             Not a medical device; AI results are drafts. Every GET answers HEAD too; any other method than those listed \
             is answered with 405 and `Allow`. A head that is no HTTP, or is too large (more than 100 headers or some 64 kB), \
             is answered by the HTTP layer itself: 400, 414 or 431 without a body. A client that closes its sending side \
             before it has its answer counts as gone, and mostly gets none.",
        ))
        .license(Some(LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build()));
    OpenApiBuilder::new()
        .info(info)
        .servers(Some([Server::new(public_base.as_str().trim_end_matches('/'))]))
        .components(Some(components.build()))
        .build()
}

/// This description.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "Server",
    responses((status = OK, description = "An OpenAPI 3.1 document.", body = serde_json::Value), Any)
)]
pub async fn openapi(Extension(document): Extension<Arc<OpenApi>>) -> Result<Response> {
    let body = document.to_json().map_err(|e| Error::fault("the OpenAPI document could not be written").because(e))?;
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response())
}

/// A FHIR R4 resource.
pub struct Resource;

impl ToSchema for Resource {
    fn name() -> Cow<'static, str> {
        "Resource".into()
    }
}

impl PartialSchema for Resource {
    fn schema() -> RefOr<Schema> {
        let definition = "A FHIR R4 resource: https://hl7.org/fhir/R4/resourcelist.html";
        ObjectBuilder::new()
            .description(Some(definition))
            .property("resourceType", Object::with_type(Type::String))
            .required("resourceType")
            .into()
    }
}

/// Declares types that stand in `responses(...)` for the kinds of refusal an operation may answer with.
macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident: $($kind:ident)+;)+) => {$(
        $(#[$doc])*
        pub struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<response::Response>> {
                let kinds = [$(Kind::$kind),+];
                let refer = |kind| Ref::from_response_name(name(kind)).into();
                kinds.into_iter().map(|kind| (status(kind).as_str().to_owned(), refer(kind))).collect()
            }
        }
    )+};
}

refusals! {
    /// What any request may be refused for.
    Any: Invalid Forbidden Fault;
    /// The path names what may not be there.
    Named: NotFound;
    /// The client says in which form it wants the resource.
    Negotiated: NotAcceptable;
    /// What is answered is read from the store, and goes into the audit trail first.
    Stored: Busy;
    /// A hook is answered within its deadline, by an engine with a queue.
    Hook: NotFound MissingData TooLarge UnsupportedMedia Unprocessable Busy Timeout;
}

fn name(kind: Kind) -> String {
    format!("{kind:?}")
}

fn refusal(kind: Kind) -> response::Response {
    let outcome = ContentBuilder::new().schema(Some(Ref::from_schema_name("OperationOutcome"))).build();
    let mut refusal = ResponseBuilder::new().description(meaning(kind)).content(FHIR_JSON, outcome);
    if matches!(kind, Kind::Busy | Kind::Quota) {
        refusal = refusal.header("Retry-After", retry_after());
    }
    if kind == Kind::MethodNotAllowed {
        refusal = refusal.header("Allow", Header::default());
    }
    refusal.build()
}

fn retry_after() -> Header {
    let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(3600));
    HeaderBuilder::new().schema(seconds).description(Some("Seconds after which to ask again.")).build()
}

fn meaning(kind: Kind) -> &'static str {
    match kind {
        Kind::Invalid => "The request cannot be read, or asks for what is not supported; `expression` names the place.",
        Kind::Unauthenticated => "It is not known who asks.",
        Kind::Forbidden => "The server is not known by the name it was asked under, or the caller may not do this.",
        Kind::NotFound => "There is nothing of that name.",
        Kind::MethodNotAllowed => "The path does not answer to that method.",
        Kind::NotAcceptable => "The answer cannot be had in the form asked for.",
        Kind::EditConflict => "Another change came first.",
        Kind::Gone => "It was there and is no more.",
        Kind::VersionMismatch => "The version named is not the current one.",
        Kind::TooLarge => "The body is larger than the limit.",
        Kind::UnsupportedMedia => "The body is compressed, or is not of a media type that is read.",
        Kind::Unprocessable => "The request can be read and is not carried out.",
        Kind::Quota => "The caller has used up its share.",
        Kind::Busy => "Nothing was done; the same request may be answered later.",
        Kind::Upstream => "The EHR or the archive failed.",
        Kind::Timeout => "The answer was not ready before the deadline; nothing was stored.",
        Kind::Fault => "The server failed on its own account; the failure has been logged.",
        Kind::MissingData => "Required data could be had neither from the request nor from the EHR.",
    }
}

/// The body of every refusal. <https://hl7.org/fhir/R4/operationoutcome.html>
fn outcome() -> Object {
    let string = || ObjectBuilder::new().schema_type(Type::String);
    let mut codes: Vec<&str> = Kind::ALL.map(issue_code).into();
    codes.sort_unstable();
    codes.dedup();
    let coding = ObjectBuilder::new()
        .property("system", string().enum_values(Some([SYSTEM])))
        .property("code", string())
        .required("system")
        .required("code");
    let details = ObjectBuilder::new().property("coding", coding.to_array_builder()).required("coding");
    let issue = ObjectBuilder::new()
        .property("severity", string().enum_values(Some(["error"])))
        .property("code", string().enum_values(Some(codes)))
        .property("details", details)
        .property("diagnostics", string().description(Some("What to do about it; never what stood in the request.")))
        .property("expression", string().to_array_builder())
        .required("severity")
        .required("code")
        .required("details")
        .required("diagnostics");
    ObjectBuilder::new()
        .property("resourceType", string().enum_values(Some(["OperationOutcome"])))
        .property("issue", issue.to_array_builder().min_items(Some(1)))
        .required("resourceType")
        .required("issue")
        .build()
}
