//! Discovery and the call of a service. <https://cds-hooks.hl7.org/2.0/#discovery>

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Path, Request, State},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use tracing::Span;

use super::{
    extract::{Arrival, Bodies},
    language, log,
    openapi::{Any, Hook},
};
use crate::{
    app::App,
    caller::Caller,
    cds_hooks::{self, HookRequest},
    error::{Error, Result},
    fhir::FHIR_JSON,
    guidance::{self, Call},
    service::{Discovery, Service, discovery},
};

/// The services offered.
#[utoipa::path(
    get,
    path = "/cds-services",
    tag = "CDS Hooks",
    responses((status = OK, description = "What is offered, and which data to prefetch.", body = Discovery), Any)
)]
pub async fn discover(State(app): State<Arc<App>>) -> Result<Response> {
    let body = serde_json::to_string(&discovery(offered(&app)))
        .map_err(|e| Error::fault("discovery could not be written").because(e))?;
    Ok(json(body))
}

/// Calls a service: a hook has fired.
#[utoipa::path(
    post,
    path = "/cds-services/{id}",
    tag = "CDS Hooks",
    params(
        ("id" = String, Path, description = "The id of a service that `GET /cds-services` lists.", example = "chart-summary"),
        ("Accept-Language" = Option<String>, Header, description = "`en` or `ko`, with their qualities; English where neither is named."),
    ),
    request_body(
        content((HookRequest = "application/json"), (HookRequest = FHIR_JSON)),
        description = "In UTF-8, not compressed.",
    ),
    responses(
        (
            status = OK,
            description = "Cards; none where the service has nothing to say.",
            body = cds_hooks::Response,
            headers(("Content-Language" = String, description = "The language of the cards, `en` or `ko`.")),
        ),
        Any,
        Hook,
    )
)]
pub async fn call(
    State(app): State<Arc<App>>,
    caller: Caller,
    Extension(arrival): Extension<Arrival>,
    Extension(bodies): Extension<Bodies>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response> {
    let of_id: Vec<&Service> = offered(&app).filter(|service| service.id == id).collect();
    // A body for nobody is not read.
    if of_id.is_empty() {
        return Err(Error::not_found("no service of that id; GET /cds-services lists what is offered"));
    }
    Span::current().record("service", &id).record("tenant", &caller.tenant);
    let Arrival { received, request_id } = arrival;
    let language = language::preferred(request.headers());
    let deadline = of_id.iter().map(|service| received + service.deadline()).min().unwrap_or(received);
    let body = bodies.json(request, deadline).await?;
    let length = body.bytes.len();
    let kept = of_id.iter().any(|service| service.task.is_some());
    let read = move || (HookRequest::parse(&body.bytes, kept), body.share);
    // The share is kept: what was read from a body takes no less memory than the body did.
    let (hook, _share) = app.processor.work(length, deadline, read).await?;
    let hook = Arc::new(hook?);
    Span::current().record("hook_instance", log::hashed(&hook.hook_instance));
    if !hook.deviations.is_empty() {
        tracing::info!(deviations = hook.deviations.join("; "), "the request leaves the standard");
    }
    let service = of_id.into_iter().find(|service| service.hook == hook.hook).ok_or_else(|| {
        Error::invalid("this service is not offered for the hook named; GET /cds-services lists what is offered")
            .at("hook")
    })?;
    let call = Call { service, request: &hook, caller: &caller, request_id: &request_id, received, language };
    let mut response = guidance::respond(&app, call).await.map(json)?;
    response.headers_mut().insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(language.word()));
    Ok(response)
}

fn offered(app: &App) -> impl Iterator<Item = &Service> {
    app.services.0.iter().filter(|service| service.offered(app.intended_use.as_deref()))
}

fn json(body: String) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}
