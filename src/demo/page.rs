//! The demonstration's page at `/`, and the JSON it is made of under `/demo`. Hooks it sends to the real services.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Extension, Json, Router,
    extract::{Path, Query, State},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use rust_embed::Embed;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use uuid::Uuid;

use super::{
    Hospital, film,
    outage::{Outage, Outages, Server},
};
use crate::{
    app::App,
    engine::Health,
    error::{Error, Result},
    http,
    service::Service,
    store::Action,
    task::{Question, TaskKind},
    web,
};

/// Sent with the page: scripts, styles and pictures of our own and nothing else, and nothing of them inline.
// INVARIANT: the_page_runs_nothing_but_its_own_modules
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'";

#[derive(Embed)]
#[folder = "src/demo/www"]
struct Files;

struct Page {
    hospital: Arc<Hospital>,
    app: Arc<App>,
    outages: Outages,
    /// The patient the page opens with.
    first: String,
}

/// The page over a hospital, with `first` chosen.
pub fn routes(hospital: Arc<Hospital>, app: Arc<App>, first: String) -> Router {
    Router::new()
        .route("/", get(|| async { file("index.html") }))
        .route("/demo/{file}", get(|Path(name): Path<String>| async move { file(&name) }))
        .route("/demo/state", get(state))
        .route("/demo/faults", post(fail))
        .route("/demo/patients", get(patients))
        .route("/demo/questions", get(questions))
        .route("/demo/patients/{name}", get(patient))
        .route("/demo/patients/{name}/request", post(request))
        .route("/demo/films/{instance}", get(film_header))
        .route("/demo/films/{instance}/pixels", get(film_pixels))
        .route("/demo/reports/{id}", get(report))
        .with_state(Arc::new(Page { hospital, app, outages: Outages::default(), first }))
}

fn file(name: &str) -> Result<Response> {
    let kind = match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("LICENSE") => "text/plain; charset=utf-8",
        _ => return Err(Error::not_found("there is no such file")),
    };
    let found = Files::get(name).ok_or_else(|| Error::not_found("there is no such file"))?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY)),
    ];
    Ok((headers, found.data.into_owned()).into_response())
}

/// Those with a story, in its order, and the one the demonstration was started with.
async fn patients(State(page): State<Arc<Page>>) -> Json<Value> {
    let mut told: Vec<_> = page
        .hospital
        .patients
        .iter()
        .filter(|folder| folder.request.is_some() && (folder.story.is_some() || folder.name == page.first))
        .collect();
    told.sort_by_key(|folder| folder.story.as_ref().map_or(u32::MAX, |story| story.place));
    let patients = told.iter().map(|folder| {
        let story = folder.story.as_ref();
        json!({
            "name": folder.name,
            "title": story.map_or(folder.name.as_str(), |story| story.title.as_str()),
            "about": story.map_or("", |story| story.about.as_str()),
        })
    });
    Json(json!({ "first": page.first, "patients": patients.collect::<Vec<_>>() }))
}

/// By service, the codes of the questions that it answers.
async fn questions(State(page): State<Arc<Page>>) -> Json<BTreeMap<String, Vec<String>>> {
    let asking = page.app.services.0.iter().filter(|service| service.task == Some(TaskKind::Question));
    let codes = |service: &Service| {
        Question::all_about(service.reads_images()).iter().map(|question| question.code()).collect()
    };
    Json(asking.map(|service| (service.id.clone(), codes(service))).collect())
}

async fn patient(State(page): State<Arc<Page>>, Path(name): Path<String>) -> Result<Json<Value>> {
    let Hospital { ehr, fhir_base, .. } = &*page.hospital;
    let sent = page.hospital.patient(&name).and_then(|patient| patient.request.as_ref()).ok_or_else(nobody)?;
    let id = sent.pointer("/context/patientId").and_then(Value::as_str).unwrap_or_default();
    let orders = sent.pointer("/context/draftOrders/entry").and_then(Value::as_array);
    let orders: Vec<&Value> = orders.into_iter().flatten().map(|entry| &entry["resource"]).collect();
    Ok(Json(json!({ "name": name, "resources": ehr.chart(id), "orders": orders, "fhir": fhir_base.as_str() })))
}

#[derive(Deserialize)]
struct Wanted {
    hook: String,
    #[serde(default)]
    question: Option<String>,
}

/// The request the EHR sends when that hook fires for the patient, with a token that opens this patient's data.
async fn request(
    State(page): State<Arc<Page>>,
    Path(name): Path<String>,
    Json(wanted): Json<Wanted>,
) -> Result<Json<Value>> {
    let mut request = page.hospital.authorized_request(&name).ok_or_else(nobody)?;
    request["hook"] = json!(wanted.hook);
    match wanted.hook.as_str() {
        "order-sign" => {}
        "order-select" => {
            let entries = request.pointer("/context/draftOrders/entry").and_then(Value::as_array);
            let text = |resource: &Value, name: &str| resource[name].as_str().unwrap_or_default().to_owned();
            let selections: Vec<String> = entries
                .into_iter()
                .flatten()
                .map(|entry| &entry["resource"])
                .map(|order| format!("{}/{}", text(order, "resourceType"), text(order, "id")))
                .collect();
            request["context"]["selections"] = json!(selections);
        }
        // Any other hook of ours is about the patient alone.
        _ => {
            if let Some(context) = request["context"].as_object_mut() {
                context.retain(|name, _| name == "userId" || name == "patientId" || name == "encounterId");
            }
        }
    }
    if let Some(question) = wanted.question {
        request["extension"] = json!({ "curbside-question": question });
    }
    Ok(Json(request))
}

#[derive(Deserialize)]
struct Followed {
    call: Option<Uuid>,
}

/// How the engine is, how far the call is that the page waits for, and what fails.
async fn state(State(page): State<Arc<Page>>, Query(followed): Query<Followed>) -> Json<Value> {
    Json(now(&page, followed.call))
}

fn now(page: &Page, call: Option<Uuid>) -> Value {
    let engine = &page.app.engine;
    let (status, says) = match engine.health() {
        Health::Loading { phase } => ("loading", phase),
        Health::Ready => ("ready", String::new()),
        Health::Degraded { reason } => ("degraded", reason),
        Health::Dead { reason } => ("broken", reason),
        Health::Absent => ("absent", String::new()),
    };
    let (taken, places) = engine.taken();
    let model = engine.info().map(|info| json!({ "name": info.name, "scope": info.scope.map(|scope| scope.sources) }));
    let call = call.and_then(|call| page.app.calls.find(call));
    let milliseconds = |span: std::time::Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let call = call.map(|progress| {
        let at = progress.at();
        json!({
            "elapsed_ms": milliseconds(progress.elapsed()),
            "stage": at.map(|(stage, _)| stage),
            "stage_ms": at.map(|(_, span)| milliseconds(span)),
        })
    });
    json!({
        "engine": { "status": status, "says": says, "taken": taken, "places": places, "model": model, "restarts": engine.counts().restarts },
        "call": call,
        "faults": page.outages.now(engine),
    })
}

async fn fail(State(page): State<Arc<Page>>, Json(outage): Json<Outage>) -> Json<Value> {
    page.outages.set(outage, &page.hospital.faults, &page.app.engine);
    Json(now(&page, None))
}

async fn film_header(State(page): State<Arc<Page>>, Path(instance): Path<String>) -> Result<Json<Value>> {
    shown(&page, &instance, film::header).await.map(Json)
}

async fn film_pixels(State(page): State<Arc<Page>>, Path(instance): Path<String>) -> Result<Response> {
    let pixels = shown(&page, &instance, film::pixels).await?;
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))], pixels).into_response())
}

/// Reads a film, unless the PACS is made to fail.
async fn shown<T: Send + 'static>(page: &Page, instance: &str, read: fn(&[u8]) -> Result<T>) -> Result<T> {
    if page.outages.now(&page.app.engine).pacs != Server::Works {
        return Err(Error::upstream("the PACS does not answer: this demonstration lets it fail"));
    }
    let no_film = || Error::not_found("no file of the PACS holds that film");
    let contents = page.hospital.archive.film(instance).ok_or_else(no_film)?;
    let file = contents.bytes().await.map_err(|e| no_film().because(e))?;
    let read = spawn_blocking(move || read(&file)).await;
    read.map_err(|e| Error::fault("reading a film broke off").because(e))?
}

/// What the report's own page is rendered from.
// INVARIANT: a_report_on_the_demonstrations_page_is_in_the_audit_trail
async fn report(
    State(page): State<Arc<Page>>,
    Extension(arrival): Extension<http::Arrival>,
    Path(id): Path<Uuid>,
) -> Result<Json<Value>> {
    let Page { app, .. } = &*page;
    let found = app.store.page(&app.caller, &id.to_string()).await;
    let patient = found.as_ref().ok().map(|report| report.patient.clone());
    let read = (Action::Read, format!("DiagnosticReport/{id}"));
    http::audited(app, &app.caller, arrival, read, patient, &found).await?;
    web::report_data(&found?.json).map(Json)
}

fn nobody() -> Error {
    Error::not_found("there is no such patient")
}
