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
    Config,
    extract::{Arrival, json_body},
    log,
};
use crate::{
    app::App,
    caller::Caller,
    cds_hooks::HookRequest,
    error::{Error, Result},
    guidance::{self, Call},
    service::{Service, discovery},
};

/// `GET /cds-services`: what is offered; 200.
pub async fn discover(State(app): State<Arc<App>>) -> Result<Response> {
    let offered = app.services.0.iter().filter(|service| offered(&app, service));
    let body = serde_json::to_string(&discovery(offered))
        .map_err(|e| Error::fault("discovery could not be written").because(e))?;
    Ok(json(body))
}

/// `POST /cds-services/{id}`: 200 with cards, or an outcome.
pub async fn call(
    State(app): State<Arc<App>>,
    caller: Caller,
    Extension(arrival): Extension<Arrival>,
    Extension(limits): Extension<Config>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response> {
    // A body for nobody is not read.
    if !app.services.0.iter().any(|service| service.id == id && offered(&app, service)) {
        return Err(unknown());
    }
    Span::current().record("service", &id).record("tenant", &caller.tenant);
    let hook = HookRequest::parse(&json_body(request, &limits).await?)?;
    Span::current().record("hook_instance", log::hashed(&hook.hook_instance));
    if !hook.deviations.is_empty() {
        tracing::info!(deviations = hook.deviations.join("; "), "the request leaves the standard");
    }
    let service = app.services.find(&id, &hook.hook)?;
    if !offered(&app, service) {
        return Err(unknown());
    }
    let Arrival { received, request_id } = &arrival;
    let call = Call { service, request: &hook, caller: &caller, request_id, received: *received };
    guidance::respond(&app, call).await.map(json)
}

fn offered(app: &App, service: &Service) -> bool {
    service.offered(app.intended_use.as_deref())
}

fn unknown() -> Error {
    Error::not_found("no service of that id; GET /cds-services lists what is offered")
}

fn json(body: String) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}
