//! The server in a process of its own, so that it can be killed, overloaded, besieged and told to stop.
//!
//! The process is this test binary again, running [`server`]; the EHR and the archive stay in the test's own process, as a
//! hospital's do when curbside is restarted.

mod kill;
mod overload;
mod slow;
mod stop;

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::Write as _,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use axum::{
    extract::Request,
    middleware::{Next, from_fn},
};
use chrono::{DateTime, Utc};
use curbside::{
    app::App,
    config::Config,
    demo::{self, Demo},
    engine::{Engine, Step},
    http,
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};

use crate::harness::{TOKEN_FREE, fixtures, read_json, scripted_model};

/// Ends a test that would hang; no test measures it.
const GUARD: Duration = Duration::from_secs(120);
const FOLDER: &str = "LOAD_FOLDER";
const PATIENT: &str = "c01";
const ANSWER: &str = r#"{"findings":[],"urgency":"routine"}"#;
const REQUEST_ID: &str = "x-request-id";

/// What the process serves: in its folder, one file each.
const CONFIG: &str = "curbside.toml";
const DATABASE: &str = "curbside.db";
/// Milliseconds the engine takes for an answer.
const PACE: &str = "pace";
/// The id of each request whose head was read.
const SEEN: &str = "seen";
const LOG: &str = "log";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the server of the tests beside it, in a process of its own"]
async fn server() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let config = Config::load(Some(&folder.join(CONFIG)), &[], &[]).unwrap();
    let bound = http::server::bind(config.listen, &config.http).unwrap();
    let pace = fs::read_to_string(folder.join(PACE)).unwrap().parse().unwrap();
    let steps = vec![Step::Delay(Duration::from_millis(pace)), Step::Text(ANSWER.into())];
    let mut settings = config.settings().unwrap();
    settings.program = env!("CARGO_BIN_EXE_curbside").into();
    let now = Arc::new(|| "2025-11-20T12:00:00Z".parse::<DateTime<Utc>>().unwrap());
    let app = Arc::new(App::with(settings, Engine::scripted(scripted_model(), steps), now).await.unwrap());
    let seen = Arc::new(OpenOptions::new().create(true).append(true).open(folder.join(SEEN)).unwrap());
    let note = from_fn(move |request: Request, next: Next| {
        if let Some(id) = request.headers().get(REQUEST_ID) {
            (&*seen).write_all(&[id.as_bytes(), b"\n"].concat()).unwrap();
        }
        next.run(request)
    });
    let mut terminate = signal(SignalKind::terminate()).unwrap();
    let asked = async move { terminate.recv().await.unwrap_or_default() };
    bound.serve(http::router(app.clone(), &config.http, None).layer(note), asked).await.unwrap();
    app.store.close().await;
}

/// The EHR, the archive, and the folder of a server that can be started again and again.
struct Site {
    ehr: Demo,
    folder: TempDir,
    http: String,
}

impl Site {
    /// `http` is that section of the configuration.
    async fn new(pace: u64, http: &str) -> Site {
        let patient = fixtures().join("cases").join(PATIENT);
        let ehr = demo::start(&[patient], TOKEN_FREE, TOKEN_FREE).await.expect("the embedded EHR");
        let site = Site { ehr, folder: TempDir::new().expect("a folder"), http: http.to_owned() };
        fs::write(site.folder.path().join(PACE), pace.to_string()).unwrap();
        site.set_deadline(60_000);
        site
    }

    /// Milliseconds a caller waits: far from what is tested here, on a machine that does other work too.
    fn set_deadline(&self, milliseconds: u64) {
        for id in ["imaging-draft-report", "chart-summary"] {
            let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("cds-hooks/services").join(id);
            let mut service = read_json(&built_in.join("service.json"));
            service["deadline_ms"] = milliseconds.into();
            let folder = self.folder.path().join("services").join(id);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("service.json"), service.to_string()).unwrap();
        }
    }

    fn configuration(&self, port: u16) -> String {
        let base = self.ehr.allowed_base();
        format!(
            "listen = \"127.0.0.1:{port}\"\npublic_base = \"http://127.0.0.1\"\nintended_use = \"research\"\nservices = {:?}\n\
             [[ehr]]\nfhir = \"{}\"\ndicomweb = [\"{}\"]\npatient_id_systems = {:?}\n\
             [store]\npath = {:?}\n[http]\n{}\n",
            self.folder.path().join("services"),
            self.ehr.fhir_base,
            self.ehr.dicomweb_base,
            base.patient_id_systems,
            self.database(),
            self.http
        )
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join(DATABASE)
    }

    /// Starts the server and returns before it answers.
    fn spawn(&self) -> Server {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["load::server", "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
        command.env(FOLDER, self.folder.path());
        self.run(command)
    }

    fn run(&self, mut command: Command) -> Server {
        let free = TcpListener::bind(TOKEN_FREE).unwrap().local_addr().unwrap();
        fs::write(self.folder.path().join(CONFIG), self.configuration(free.port())).unwrap();
        let log = OpenOptions::new().create(true).append(true).open(self.folder.path().join(LOG)).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().expect("this binary, or the program");
        Server { child, url: format!("http://{free}"), client: client(), started: Instant::now() }
    }

    /// Starts the server and waits until it says that it is ready; also how long that took.
    async fn start(&self) -> (Server, Duration) {
        let taken = || self.log().matches("taken by another process").count();
        loop {
            let before = taken();
            let mut server = self.spawn();
            if let Some(took) = server.ready().await {
                return (server, took);
            }
            // Somebody else may have got the port; anything else is its own fault.
            assert_eq!(taken(), before + 1, "{}", self.log());
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join(LOG)).unwrap_or_default()
    }

    /// Ids of the requests whose head was read.
    fn seen(&self) -> Vec<String> {
        let lines = fs::read_to_string(self.folder.path().join(SEEN)).unwrap_or_default();
        lines.lines().map(str::to_owned).collect()
    }

    /// A new order of the patient.
    fn order(&self) -> Value {
        self.ehr.authorized_request(PATIENT).expect("the folder's request")
    }
}

/// A running server, which ends with this.
struct Server {
    child: Child,
    url: String,
    client: reqwest::Client,
    started: Instant,
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().timeout(GUARD).build().expect("a client")
}

/// A whole answer.
#[derive(Clone, Debug, PartialEq)]
struct Answer {
    status: u16,
    retry_after: Option<String>,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    /// The id of the drafted report; each order here gets one.
    fn report(&self) -> String {
        let card = &self.json()["cards"][0];
        let url = card["links"][0]["url"].as_str().unwrap_or_else(|| panic!("a draft: {card}"));
        url.rsplit('/').next().expect("an id").to_owned()
    }

    /// Whether it is a refusal that says when to come back.
    fn asks_to_retry(&self) -> bool {
        self.status == 503
            && self.retry_after.as_ref().is_some_and(|seconds| seconds.parse::<u64>().is_ok())
            && self.json()["resourceType"] == "OperationOutcome"
            && self.json()["issue"][0]["code"] == "throttled"
    }
}

impl Server {
    async fn ready(&mut self) -> Option<Duration> {
        let mut ended = None;
        while ended.is_none() && self.started.elapsed() < GUARD {
            if self.get("/readyz").await.is_some_and(|answer| answer.status == 200) {
                return Some(self.started.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
            ended = self.child.try_wait().unwrap();
        }
        None
    }

    async fn get(&self, path: &str) -> Option<Answer> {
        whole(self.client.get(format!("{}{path}", self.url))).await
    }

    /// `None`: no whole answer came back.
    async fn sign(&self, order: &Value, request_id: &str) -> Option<Answer> {
        call(&self.client, &self.url, "imaging-draft-report", order, request_id).await
    }

    async fn report(&self, id: &str, request_id: &str) -> Option<Answer> {
        let url = format!("{}/fhir/DiagnosticReport/{id}", self.url);
        whole(self.client.get(url).header(REQUEST_ID, request_id)).await
    }

    async fn reports(&self) -> usize {
        let answer = self.get("/fhir/DiagnosticReport?_count=0").await.expect("an answer");
        usize::try_from(answer.json()["total"].as_u64().expect("a total")).unwrap()
    }

    /// As a power cut of the process: it can do nothing about it.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn ask_to_stop(&self) {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    async fn ended(&mut self) -> ExitStatus {
        let asked = Instant::now();
        while asked.elapsed() < GUARD {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        panic!("it does not end");
    }

    /// KiB it holds.
    fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    fn sockets(&self) -> usize {
        let descriptors = fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().flatten();
        let sockets = descriptors.filter_map(|entry| fs::read_link(entry.path()).ok());
        sockets.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn call(client: &reqwest::Client, url: &str, service: &str, hook: &Value, request_id: &str) -> Option<Answer> {
    let request = client.post(format!("{url}/cds-services/{service}")).header(REQUEST_ID, request_id);
    whole(request.header("content-type", "application/json").body(hook.to_string())).await
}

async fn whole(request: reqwest::RequestBuilder) -> Option<Answer> {
    let response = request.send().await.ok()?;
    let header = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
    let (status, retry_after) = (response.status().as_u16(), header.map(str::to_owned));
    Some(Answer { status, retry_after, text: response.text().await.ok()? })
}

/// Another one each time, printed so that a run can be told of.
fn seed() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    now.as_nanos() as u64
}

fn id() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// Number, median, 99th percentile and maximum, in milliseconds.
fn spread(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |part: f64| {
        let index = ((times.len() as f64 * part).ceil() as usize).clamp(1, times.len().max(1)) - 1;
        times.get(index).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    };
    format!("n {}, p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms", times.len(), at(0.5), at(0.99), at(1.0))
}

/// How often each came.
fn tally<T: Ord>(of: impl Iterator<Item = T>) -> BTreeMap<T, usize> {
    let mut counts = BTreeMap::new();
    for one in of {
        *counts.entry(one).or_default() += 1;
    }
    counts
}

/// A copy of the database as it lies there, to look at without touching it.
fn snapshot(database: &Path) -> TempDir {
    let copy = TempDir::new().expect("a folder");
    for suffix in ["", "-wal"] {
        let from = PathBuf::from(format!("{}{suffix}", database.display()));
        if from.exists() {
            fs::copy(&from, copy.path().join(format!("{DATABASE}{suffix}"))).expect("a copy");
        }
    }
    copy
}
