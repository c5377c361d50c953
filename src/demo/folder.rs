//! What is served of one patient: resources, the request, and films. A fixture folder is read at start, its films when asked for.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use dicom_object::{OpenFileOptions, Tag};
use serde_json::Value;
use url::Url;

use crate::error::{Error, Result};

const STUDY_INSTANCE_UID: Tag = Tag(0x0020, 0x000D);
const SERIES_INSTANCE_UID: Tag = Tag(0x0020, 0x000E);
const SOP_INSTANCE_UID: Tag = Tag(0x0008, 0x0018);
const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);

/// One patient's fixtures.
pub struct Folder {
    pub name: String,
    pub resources: Vec<Value>,
    /// The CDS Hooks request the EHR would send.
    pub request: Option<Value>,
    pub films: Vec<Film>,
}

/// One DICOM file.
#[derive(Clone)]
pub struct Film {
    pub study_uid: String,
    pub series_uid: String,
    pub instance_uid: String,
    pub transfer_syntax: String,
    pub contents: Contents,
}

/// Where the bytes of a film come from when it is asked for.
#[derive(Clone)]
pub enum Contents {
    /// A file that stays on disk.
    File(PathBuf),
    /// One that is made, the same each time.
    Made(Arc<dyn Fn() -> Result<Vec<u8>> + Send + Sync>),
}

impl Contents {
    pub(super) async fn bytes(self) -> io::Result<Vec<u8>> {
        match self {
            Contents::File(path) => tokio::fs::read(path).await,
            Contents::Made(make) => {
                tokio::task::spawn_blocking(move || make()).await.map_err(io::Error::other)?.map_err(io::Error::other)
            }
        }
    }
}

impl Folder {
    /// Errors are one sentence that names the file.
    pub fn read(path: &Path, fhir: &Url, dicomweb: &Url) -> Result<Folder> {
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default().to_owned();
        let bundle = json(&path.join("fhir.json"), fhir, dicomweb)?;
        let entries = bundle.get("entry").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let resources = entries.iter().filter_map(|entry| entry.get("resource")).cloned().collect();
        let request = path.join("request.json");
        let request = if request.is_file() { Some(json(&request, fhir, dicomweb)?) } else { None };
        let images = path.join("images");
        let films = if images.is_dir() { films(&images)? } else { Vec::new() };
        Ok(Folder { name, resources, request, films })
    }
}

fn json(path: &Path, fhir: &Url, dicomweb: &Url) -> Result<Value> {
    let text = std::fs::read_to_string(path).map_err(|e| unreadable(path).because(e))?;
    let text = text.replace("{{fhir}}", fhir.as_str()).replace("{{dicomweb}}", dicomweb.as_str());
    serde_json::from_str(&text).map_err(|e| Error::invalid(format!("{} is not JSON", path.display())).because(e))
}

fn films(folder: &Path) -> Result<Vec<Film>> {
    let entries = std::fs::read_dir(folder).map_err(|e| unreadable(folder).because(e))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == "dcm"));
    paths.sort();
    paths.into_iter().map(film).collect()
}

fn film(path: PathBuf) -> Result<Film> {
    let broken = || Error::invalid(format!("{} is not a readable DICOM file", path.display()));
    let object = OpenFileOptions::new().read_until(PIXEL_DATA).open_file(&path).map_err(|e| broken().because(e))?;
    let uid =
        |tag| object.element(tag).ok().and_then(|e| e.to_str().ok()).map(|text| trimmed(&text)).ok_or_else(broken);
    let (study_uid, series_uid) = (uid(STUDY_INSTANCE_UID)?, uid(SERIES_INSTANCE_UID)?);
    let (instance_uid, transfer_syntax) = (uid(SOP_INSTANCE_UID)?, trimmed(object.meta().transfer_syntax()));
    Ok(Film { study_uid, series_uid, instance_uid, transfer_syntax, contents: Contents::File(path) })
}

/// UIDs are padded to even length with a NUL, by some writers with a space.
fn trimmed(uid: &str) -> String {
    uid.trim_end_matches(['\0', ' ']).to_owned()
}

fn unreadable(path: &Path) -> Error {
    Error::invalid(format!("{} cannot be read", path.display()))
}
