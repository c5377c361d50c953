//! Every route, and what every answer has in common.

use std::{any::Any, sync::Arc};

use axum::{
    Extension, Router,
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::{from_fn, from_fn_with_state, map_response},
    response::{IntoResponse, Response},
};
use tower_http::catch_panic::CatchPanicLayer;
use url::Url;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Config, cds_services, extract::Bodies, fhir_rest, health, host, leftover, log, openapi, pages};
use crate::{
    app::App,
    error::{Error, Kind},
};

/// Pages in place of the start page.
pub type Site = Box<dyn FnOnce(Arc<App>) -> Router + Send>;

/// The whole HTTP interface; `site` takes the place of the start page, within the limits, headers and log of all routes.
pub fn router(app: Arc<App>, config: &Config, site: Option<Site>) -> Router {
    let described = if site.is_some() { interfaces(&app.public_base) } else { routes(&app.public_base) };
    let (routes, document) = described.split_for_parts();
    let routes = routes.layer(Extension(Arc::new(document))).with_state(app.clone());
    let routes = match site {
        None => routes,
        Some(site) => routes.merge(site(app.clone())),
    };
    wrapped(routes.layer(from_fn_with_state(app, host::named)), config)
}

/// Every route. What it does and may answer is said beside its handler, and served as it is said.
// INVARIANT: no_route_is_without_its_description
pub(super) fn routes(public_base: &Url) -> OpenApiRouter<Arc<App>> {
    interfaces(public_base).routes(routes!(pages::start))
}

/// Every route but the start page.
fn interfaces(public_base: &Url) -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(openapi::head(public_base))
        .routes(routes!(pages::style))
        .routes(routes!(pages::report))
        .routes(routes!(pages::picture))
        .routes(routes!(cds_services::discover))
        .routes(routes!(cds_services::call))
        .routes(routes!(fhir_rest::metadata))
        .routes(routes!(fhir_rest::search))
        .routes(routes!(fhir_rest::read))
        .routes(routes!(health::livez))
        .routes(routes!(health::readyz))
        .routes(routes!(openapi::openapi))
}

/// Around the routes, from the inside: panics caught, every refusal an outcome, safe headers, bodies read
/// to their end, the log line.
pub(super) fn wrapped(routes: Router, config: &Config) -> Router {
    routes
        .layer(CatchPanicLayer::custom(panicked))
        .layer(map_response(outcome))
        .layer(map_response(safe))
        .layer(from_fn_with_state(config.clone(), leftover::thrown_away))
        .layer(from_fn(log::record))
        .layer(Extension(Bodies::new(config)))
}

/// What the panic said stays where it is: it may hold data. The panic hook has logged its place.
fn panicked(_: Box<dyn Any + Send>) -> Response {
    Error::fault("a handler panicked").into_response()
}

/// Gives the refusals that axum makes itself, which are empty or plain text, the body all others have.
async fn outcome(response: Response) -> Response {
    let status = response.status();
    let written = |kind: &HeaderValue| !kind.as_bytes().starts_with(b"text/plain");
    let refused = status.is_client_error() || status.is_server_error();
    // A 401 tells nothing but that it is one.
    if !refused
        || status == StatusCode::UNAUTHORIZED
        || response.headers().get(header::CONTENT_TYPE).is_some_and(written)
    {
        return response;
    }
    let error = match status {
        StatusCode::NOT_FOUND => Error::not_found("there is nothing at this path"),
        StatusCode::METHOD_NOT_ALLOWED => {
            Error::new(Kind::MethodNotAllowed, "this path does not answer to that method; see Allow")
        }
        StatusCode::PAYLOAD_TOO_LARGE => Error::too_large("the body is larger than the limit"),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            Error::new(Kind::UnsupportedMedia, "the body is of a type that is not read")
        }
        _ if status.is_client_error() => Error::invalid("the request could not be read"),
        _ => Error::fault("answered without an outcome"),
    };
    let mut with_outcome = error.into_response();
    *with_outcome.status_mut() = status;
    if let Some(allow) = response.headers().get(header::ALLOW) {
        with_outcome.headers_mut().insert(header::ALLOW, allow.clone());
    }
    with_outcome
}

/// Nothing is kept by anything between us and the caller, unless the handler said otherwise; nothing is sniffed or embedded.
async fn safe(mut response: Response) -> Response {
    const SAFE: [(HeaderName, HeaderValue); 4] = [
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        // A page on another site can neither show our pictures nor measure them.
        (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    ];
    for (name, value) in SAFE {
        response.headers_mut().entry(name).or_insert(value);
    }
    response
}
