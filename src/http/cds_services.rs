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
    let body = serde_json::to_string(&discovery(offered(&app)))
        .map_err(|e| Error::fault("discovery could not be written").because(e))?;
    Ok(json(body))
}

/// `POST /cds-services/{id}`: 200 with cards, or an outcome.
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
    let deadline = of_id.iter().map(|service| received + service.deadline()).min().unwrap_or(received);
    let body = bodies.json(request, deadline).await?;
    let length = body.bytes.len();
    let read = move || (HookRequest::parse(&body.bytes), body.share);
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
    let call = Call { service, request: &hook, caller: &caller, request_id: &request_id, received };
    guidance::respond(&app, call).await.map(json)
}

fn offered(app: &App) -> impl Iterator<Item = &Service> {
    app.services.0.iter().filter(|service| service.offered(app.intended_use.as_deref()))
}

fn json(body: String) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}
