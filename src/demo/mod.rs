//! An embedded EHR and PACS over fixture folders, for the demonstration and for tests; nothing here is meant for patients.
//!
//! A folder holds `fhir.json` (a Bundle of type `collection`), `images/*.dcm`, and perhaps `request.json`, the CDS Hooks
//! request the EHR would send. `{{fhir}}` and `{{dicomweb}}` in either stand for the addresses served here.

mod ehr;
mod faults;
mod film;
mod folder;
mod outage;
mod pacs;
mod page;
mod search;
#[cfg(test)]
mod tests;

pub use faults::{Fault, Faults, Received, Recorder};
pub use folder::{Contents, Film, Folder, Story};

use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
};

use axum::middleware::from_fn;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;
use uuid::Uuid;

use self::{ehr::Ehr, pacs::Pacs};
use crate::{
    app::App,
    caller::AllowedBase,
    error::{Error, Kind, Result},
    http::local,
};

/// A running EHR and PACS; both stop when this is dropped.
pub struct Demo {
    /// Such as `http://127.0.0.1:8081/fhir`.
    pub fhir_base: Url,
    /// Such as `http://127.0.0.1:8082/dicomweb`.
    pub dicomweb_base: Url,
    /// What goes wrong, settable while running.
    pub faults: Faults,
    /// What was asked of either server.
    pub requests: Recorder,
    hospital: Arc<Hospital>,
    stop: CancellationToken,
    servers: Vec<JoinHandle<()>>,
}

/// The patients, and where what is known of them lies.
struct Hospital {
    fhir_base: Url,
    faults: Faults,
    patients: Vec<Sent>,
    ehr: Arc<Ehr>,
    archive: Arc<Pacs>,
}

/// What of a folder is kept beside EHR and PACS.
struct Sent {
    name: String,
    request: Option<Value>,
    story: Option<Story>,
}

/// Serves the folders; port 0 takes any free port. A port that is taken is an error whose source is the `io::Error`.
pub async fn start(folders: &[PathBuf], ehr: SocketAddr, pacs: SocketAddr) -> Result<Demo> {
    let paths = folders.to_vec();
    serve(move |fhir, dicomweb| paths.iter().map(|path| Folder::read(path, fhir, dicomweb)).collect(), ehr, pacs).await
}

/// The same of folders that are made for the addresses served at, of FHIR and of DICOMweb.
pub async fn serve(
    make: impl FnOnce(&Url, &Url) -> Result<Vec<Folder>> + Send + 'static,
    ehr: SocketAddr,
    pacs: SocketAddr,
) -> Result<Demo> {
    let (ehr, fhir_base) = listen(ehr, "fhir")?;
    let (pacs, dicomweb_base) = listen(pacs, "dicomweb")?;
    let bases = (fhir_base.clone(), dicomweb_base.clone());
    let mut folders = tokio::task::spawn_blocking(move || make(&bases.0, &bases.1))
        .await
        .map_err(|e| Error::fault("the fixtures could not be read").because(e))??;
    let (faults, requests, stop) = (Faults::default(), Recorder::default(), CancellationToken::new());
    let sent = |f: &mut Folder| Sent { name: f.name.clone(), request: f.request.take(), story: f.story.take() };
    let patients = folders.iter_mut().map(sent).collect();
    let archive = Arc::new(Pacs::new(&folders));
    let records = Arc::new(Ehr::new(fhir_base.clone(), folders)?);
    let mut servers = Vec::new();
    for (listener, routes) in [(ehr, ehr::routes(records.clone())), (pacs, pacs::routes(archive.clone()))] {
        // INVARIANT: ehr_and_pacs_answer_to_no_foreign_name
        let routes = faults::wrap(routes, faults.clone(), requests.clone(), stop.clone()).layer(from_fn(local));
        let listener = tokio::net::TcpListener::from_std(listener)
            .map_err(|e| Error::fault("a listener was refused").because(e))?;
        let stopped = stop.clone().cancelled_owned();
        servers.push(tokio::spawn(async move {
            if let Err(e) = axum::serve(listener, routes).with_graceful_shutdown(stopped).await {
                tracing::error!(error = %e, "the demonstration's EHR or PACS stopped");
            }
        }));
    }
    let hospital = Hospital { fhir_base: fhir_base.clone(), faults: faults.clone(), patients, ehr: records, archive };
    Ok(Demo { fhir_base, dicomweb_base, faults, requests, hospital: Arc::new(hospital), stop, servers })
}

impl Demo {
    /// The names of the folders served.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.hospital.patients.iter().map(|patient| patient.name.as_str())
    }

    /// The request of a folder as it stands there: no token, and the data stay open to everyone.
    pub fn request(&self, name: &str) -> Option<Value> {
        self.hospital.patient(name)?.request.clone()
    }

    /// The same with a new `hookInstance` and a new access token for its patient. From then on the EHR demands one for
    /// that patient: none or an unknown one is 401, one for another patient 403.
    pub fn authorized_request(&self, name: &str) -> Option<Value> {
        self.hospital.authorized_request(name)
    }

    /// The configuration block under which this EHR and PACS may be asked.
    pub fn allowed_base(&self) -> AllowedBase {
        AllowedBase {
            fhir: self.fhir_base.clone().into(),
            dicomweb: vec![self.dicomweb_base.clone().into()],
            patient_id_systems: self.hospital.ehr.patient_id_systems(),
            dicomweb_takes_token: false,
            suggestions: false,
        }
    }

    /// The demonstration's page over these patients, given the server they are shown with; it opens with `first`.
    pub fn page(&self, first: &str) -> impl FnOnce(Arc<App>) -> axum::Router + Send + 'static {
        let (hospital, first) = (self.hospital.clone(), first.to_owned());
        move |app| page::routes(hospital, app, first)
    }

    /// Stops both servers and waits until they are gone.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        for server in std::mem::take(&mut self.servers) {
            server.await.ok();
        }
    }
}

impl Hospital {
    fn patient(&self, name: &str) -> Option<&Sent> {
        self.patients.iter().find(|patient| patient.name == name)
    }

    fn authorized_request(&self, name: &str) -> Option<Value> {
        let mut request = self.patient(name)?.request.clone()?;
        let patient = request.pointer("/context/patientId")?.as_str()?.to_owned();
        request["hookInstance"] = json!(Uuid::new_v4());
        request["fhirAuthorization"] = json!({
            "access_token": self.ehr.grant(&patient),
            "token_type": "Bearer",
            "expires_in": 300,
            "scope": "patient/*.rs",
            "subject": "curbside",
            "patient": patient,
        });
        Some(request)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn listen(address: SocketAddr, path: &str) -> Result<(TcpListener, Url)> {
    let refused = |e: std::io::Error| {
        Error::new(Kind::EditConflict, format!("{address} cannot be listened on: {}", e.kind())).because(e)
    };
    let listener = TcpListener::bind(address).map_err(refused)?;
    listener.set_nonblocking(true).map_err(refused)?;
    let bound = listener.local_addr().map_err(refused)?;
    let base = Url::parse(&format!("http://{bound}/{path}"))
        .map_err(|e| Error::fault("the address gives no URL").because(e))?;
    Ok((listener, base))
}
