//! A hospital in one process: the embedded EHR and PACS, and the server itself on a port of its own.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use curbside::{
    app::{App, Clock, Settings},
    caller::{AllowedBase, Caller},
    demo::{self, Demo},
    engine::{Answers, Engine, ModelInfo, Prompt, Scope, Step},
    fhir, http, imaging, store,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{
    mpsc::{self, UnboundedReceiver},
    oneshot,
};
use url::Url;

use crate::documented::{self, Document};

pub const TOKEN_FREE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// `fixtures/` of the clone.
pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

pub fn patient(name: &str) -> PathBuf {
    fixtures().join("patients").join(name)
}

/// All case folders, in order.
pub fn cases() -> Vec<PathBuf> {
    let folders = std::fs::read_dir(fixtures().join("cases")).expect("fixtures/cases").flatten().map(|e| e.path());
    let folders: BTreeSet<PathBuf> = folders.filter(|p| p.join("request.json").is_file()).collect();
    folders.into_iter().collect()
}

pub fn read_json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).expect("a fixture")).expect("JSON")
}

/// A model that can read the made-up films, as the scripted engine states it.
pub fn scripted_model() -> ModelInfo {
    let scope: Scope = serde_json::from_value(read_json(&fixtures().join("model/curbside.json"))).expect("a scope");
    ModelInfo {
        revision: "00".repeat(32),
        weights_sha256: scope.weights_sha256.clone(),
        context: 1024,
        image_size: 224,
        tokens_per_image: 64,
        scope: Some(scope),
        ..ModelInfo::scripted()
    }
}

/// A model that gives every call this answer, and what it is asked.
pub fn recording(answer: &'static str) -> (Engine, UnboundedReceiver<Prompt>) {
    let (record, asked) = mpsc::unbounded_channel();
    let answers = move |prompt: &Prompt| {
        record.send(prompt.clone()).ok();
        answer.to_owned()
    };
    (Engine::scripted(scripted_model(), vec![Step::Answer(Answers(Arc::new(answers)))]), asked)
}

pub type Site = Box<dyn FnOnce(&Demo) -> AllowedBase>;

/// What may differ between one hospital and the next.
pub struct Plan {
    pub folders: Vec<PathBuf>,
    /// An EHR and archive that run already, instead of those of the folders.
    pub ehr: Option<Demo>,
    pub engine: Engine,
    pub intended_use: Option<&'static str>,
    /// Services laid over the built-in ones.
    pub services: Option<PathBuf>,
    /// Database folder; absent: a new one that ends with the hospital.
    pub data: Option<PathBuf>,
    /// Limits on what is asked of the EHR and of its archive.
    pub upstream: fhir::Limits,
    pub imaging: imaging::Limits,
    /// How the embedded EHR and archive are named and reached, where that is not at their own addresses.
    pub site: Option<Site>,
    /// EHRs the caller may name beside the embedded one.
    pub more_bases: Vec<AllowedBase>,
    pub clock: Clock,
    /// The patient that the demonstration's page opens with; without one there is no such page.
    pub page: Option<&'static str>,
    /// Temporary folders that must last as long as the hospital.
    pub kept: Vec<TempDir>,
}

impl Plan {
    pub fn new(folders: Vec<PathBuf>, engine: Engine) -> Plan {
        let clock: Clock = Arc::new(|| "2025-11-20T12:00:00Z".parse::<DateTime<Utc>>().expect("a time"));
        Plan {
            folders,
            ehr: None,
            engine,
            intended_use: Some("research"),
            services: None,
            data: None,
            upstream: Default::default(),
            imaging: Default::default(),
            site: None,
            more_bases: vec![],
            clock,
            page: None,
            kept: vec![],
        }
    }

    /// The services with another deadline than their own.
    pub fn with_deadline(mut self, milliseconds: u64) -> Plan {
        let services = TempDir::new().expect("a folder");
        let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("cds-hooks/services");
        for entry in std::fs::read_dir(built_in).expect("a folder").flatten() {
            let mut service = read_json(&entry.path().join("service.json"));
            service["deadline_ms"] = json!(milliseconds);
            let folder = services.path().join(entry.file_name());
            std::fs::create_dir(&folder).expect("a folder");
            std::fs::write(folder.join("service.json"), service.to_string()).expect("a file");
        }
        self.services = Some(services.path().to_owned());
        self.kept.push(services);
        self
    }

    pub async fn open(self) -> Hospital {
        let ehr = match self.ehr {
            Some(ehr) => ehr,
            None => demo::start(&self.folders, TOKEN_FREE, TOKEN_FREE).await.expect("the embedded EHR"),
        };
        let own = TempDir::new().expect("a folder");
        let mut kept = self.kept;
        let data = self.data.unwrap_or_else(|| own.path().to_owned());
        let limits = http::Config::default();
        let server = http::server::bind(TOKEN_FREE, &limits).expect("a free port");
        let url = Url::parse(&format!("http://{}", server.address())).expect("a URL");
        let site = self.site.unwrap_or_else(|| Box::new(Demo::allowed_base));
        let mut allowed_bases = vec![site(&ehr)];
        allowed_bases.extend(self.more_bases);
        let settings = Settings {
            caller: Caller { tenant: "local".into(), client: "local".into(), allowed_bases },
            intended_use: self.intended_use.map(str::to_owned),
            public_base: url.clone(),
            services: self.services,
            rules: None,
            engine: Default::default(),
            store: store::Config { path: data.join("curbside.db") },
            upstream: self.upstream,
            imaging: self.imaging,
            program: env!("CARGO_BIN_EXE_curbside").into(),
            report: Default::default(),
        };
        let app = Arc::new(App::with(settings, self.engine, self.clock).await.expect("the application"));
        let (stop, stopped) = oneshot::channel::<()>();
        let page = self.page.map(|first| Box::new(ehr.page(first)) as http::Site);
        let routes = http::router(app.clone(), &limits, page);
        let serving = tokio::spawn(server.serve(routes, async {
            stopped.await.ok();
        }));
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client");
        kept.push(own);
        let document = answer(client.get(url.join("/openapi.json").expect("a path"))).await;
        let document = Document::new(document.json());
        Hospital { ehr, app, url, client, document, stop: Some(stop), serving, _kept: kept }
    }
}

pub struct Hospital {
    pub ehr: Demo,
    pub app: Arc<App>,
    pub url: Url,
    pub client: reqwest::Client,
    /// What the server says of itself; `get` and `post` hold its answers to it.
    document: Document,
    stop: Option<oneshot::Sender<()>>,
    serving: tokio::task::JoinHandle<curbside::error::Result<()>>,
    _kept: Vec<TempDir>,
}

/// One answer over HTTP.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Answer {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    /// The cards of a 200 answer.
    #[track_caller]
    pub fn cards(&self) -> Vec<Value> {
        assert_eq!(self.status, 200, "{}", self.text);
        self.json()["cards"].as_array().expect("cards").clone()
    }

    #[track_caller]
    pub fn only_card(&self) -> Value {
        let cards = self.cards();
        assert_eq!(cards.len(), 1, "{}", self.text);
        cards[0].clone()
    }

    /// The error's OperationOutcome: code, diagnostics and place.
    #[track_caller]
    pub fn outcome(&self) -> (String, String, String) {
        let body = self.json();
        assert_eq!(body["resourceType"], "OperationOutcome", "{}", self.text);
        let issue = &body["issue"][0];
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        (text(&issue["code"]), text(&issue["diagnostics"]), text(&issue["expression"][0]))
    }
}

impl Hospital {
    pub async fn get(&self, path: &str) -> Answer {
        let url = self.url.join(path).expect("a path");
        self.documented("GET", &url, answer(self.client.get(url.clone())).await)
    }

    pub async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        let url = self.url.join(path).expect("a path");
        let request = self.client.post(url.clone()).header("content-type", "application/json");
        self.documented("POST", &url, answer(request.body(body)).await)
    }

    #[track_caller]
    fn documented(&self, method: &str, url: &Url, answer: Answer) -> Answer {
        let header =
            |name: &str| answer.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into());
        let told = documented::Answer { status: answer.status, header: &header, body: answer.text.as_bytes() };
        self.document.check(method, url.path(), &told);
        answer
    }

    /// Calls any service, in a language of the test's choice.
    pub async fn call(&self, service: &str, request: &Value, accept_language: Option<&str>) -> Answer {
        let url = self.url.join(&format!("/cds-services/{service}")).expect("a path");
        let mut call = self.client.post(url.clone()).header("content-type", "application/json");
        if let Some(accepted) = accept_language {
            call = call.header("accept-language", accepted);
        }
        self.documented("POST", &url, answer(call.body(request.to_string())).await)
    }

    pub async fn sign(&self, request: &Value) -> Answer {
        self.post("/cds-services/imaging-draft-report", request.to_string()).await
    }

    /// Signs the order of a fixture folder, with a token of its own.
    pub async fn sign_order_of(&self, name: &str) -> Answer {
        let request = self.ehr.authorized_request(name).expect("the folder's request");
        self.sign(&request).await
    }

    /// Opens the chart of a fixture folder's patient.
    pub async fn view_chart_of(&self, name: &str) -> Answer {
        let request = self.view_request(name);
        self.view(&request).await
    }

    pub async fn view(&self, request: &Value) -> Answer {
        self.post("/cds-services/chart-summary", request.to_string()).await
    }

    pub fn view_request(&self, name: &str) -> Value {
        let mut request = self.ehr.authorized_request(name).expect("the folder's request");
        request["hook"] = json!("patient-view");
        request["context"].as_object_mut().expect("a context").remove("draftOrders");
        request
    }

    /// The stored page of the report a card links to.
    pub async fn page(&self, card: &Value) -> Value {
        let url = card["links"][0]["url"].as_str().unwrap_or_else(|| panic!("a link: {card}"));
        let id = url.rsplit('/').next().expect("an id");
        serde_json::from_str(&self.app.store.page(&self.app.caller, id).await.expect("a page").json).expect("JSON")
    }

    pub async fn reports(&self) -> u64 {
        self.get("/fhir/DiagnosticReport?_count=0").await.json()["total"].as_u64().expect("a total")
    }

    /// Stops the server and waits until it is gone.
    pub async fn close(mut self) {
        if let Some(stop) = self.stop.take() {
            stop.send(()).ok();
        }
        self.serving.await.expect("the server's task").expect("a clean stop");
        self.app.store.close().await;
        self.ehr.shutdown().await;
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.expect("an answer");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer { status, headers, text: response.text().await.expect("a body") }
}

/// A copy of a fixture folder that a test may change.
pub fn copy_of(folder: &Path) -> TempDir {
    let copy = TempDir::new().expect("a folder");
    for part in ["", "images"] {
        let (from, to) = (folder.join(part), copy.path().join(part));
        if from.is_dir() {
            std::fs::create_dir_all(&to).expect("a folder");
            for entry in std::fs::read_dir(from).expect("a folder").flatten().filter(|e| e.path().is_file()) {
                std::fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
            }
        }
    }
    copy
}

/// A copy of a fixture folder with other resources.
pub fn record_of(folder: &Path, change: impl FnOnce(&mut Vec<Value>)) -> TempDir {
    let copy = copy_of(folder);
    let path = copy.path().join("fhir.json");
    let mut bundle = read_json(&path);
    let entries = bundle["entry"].as_array().expect("entries");
    let mut resources: Vec<Value> = entries.iter().map(|e| e["resource"].clone()).collect();
    change(&mut resources);
    bundle["entry"] = resources.into_iter().map(|resource| json!({ "resource": resource })).collect();
    std::fs::write(&path, bundle.to_string()).expect("a file");
    copy
}
