//! The DICOMweb side: WADO-RS retrieval of files as they are, never transcoded.
//! <https://dicom.nema.org/medical/dicom/current/output/html/part18.html#sect_10.4>

use std::{io, sync::Arc};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use futures::{StreamExt, stream};
use uuid::Uuid;

use super::folder::{Contents, Film, Folder};

const EXPLICIT_VR_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1";

/// The films of all folders.
pub struct Pacs(Vec<Film>);

impl Pacs {
    pub fn new(folders: &[Folder]) -> Pacs {
        Pacs(folders.iter().flat_map(|folder| folder.films.iter().cloned()).collect())
    }

    fn answer(&self, accept: &str, chosen: impl Fn(&Film) -> bool) -> Response {
        let films: Vec<&Film> = self.0.iter().filter(|film| chosen(film)).collect();
        if films.is_empty() {
            return StatusCode::NOT_FOUND.into_response();
        }
        if !films.iter().all(|film| accepts(accept, &film.transfer_syntax)) {
            return StatusCode::NOT_ACCEPTABLE.into_response();
        }
        multipart(films.into_iter().map(|film| (film.transfer_syntax.clone(), film.contents.clone())).collect())
    }
}

pub fn routes(pacs: Arc<Pacs>) -> Router {
    Router::new()
        .route("/dicomweb/studies/{study}", get(study))
        .route("/dicomweb/studies/{study}/series/{series}", get(series))
        .route("/dicomweb/studies/{study}/series/{series}/instances/{instance}", get(instance))
        .with_state(pacs)
}

async fn study(State(pacs): State<Arc<Pacs>>, Path(study): Path<String>, headers: HeaderMap) -> Response {
    pacs.answer(&accept(&headers), |film| film.study_uid == study)
}

async fn series(
    State(pacs): State<Arc<Pacs>>,
    Path((study, series)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    pacs.answer(&accept(&headers), |film| film.study_uid == study && film.series_uid == series)
}

async fn instance(
    State(pacs): State<Arc<Pacs>>,
    Path((study, series, instance)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    pacs.answer(&accept(&headers), |film| {
        film.study_uid == study && film.series_uid == series && film.instance_uid == instance
    })
}

fn accept(headers: &HeaderMap) -> String {
    let values: Vec<&str> = headers.get_all(header::ACCEPT).iter().filter_map(|v| v.to_str().ok()).collect();
    values.join(",")
}

/// Whether a file stored so may be sent. Without a transfer syntax the standard means Explicit VR Little Endian
/// (PS3.18 8.7.3.5), and this PACS has no transcoder.
fn accepts(accept: &str, stored: &str) -> bool {
    if accept.trim().is_empty() {
        return stored == EXPLICIT_VR_LITTLE_ENDIAN;
    }
    accept.split(',').any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let parameters: Vec<(String, &str)> = parts
            .filter_map(|p| p.split_once('='))
            .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().trim_matches('"')))
            .collect();
        let parameter = |name: &str| parameters.iter().find(|(n, _)| n == name).map(|(_, value)| *value);
        let dicom = parameter("type").is_none_or(|t| t.eq_ignore_ascii_case("application/dicom"));
        let syntax = parameter("transfer-syntax").unwrap_or(EXPLICIT_VR_LITTLE_ENDIAN);
        dicom
            && matches!(kind.as_str(), "multipart/related" | "multipart/*" | "*/*")
            && (syntax == "*" || syntax == stored)
    })
}

/// One part a file, each read only when its turn comes.
fn multipart(files: Vec<(String, Contents)>) -> Response {
    let boundary = Uuid::new_v4().simple().to_string();
    let kind = format!("multipart/related; type=\"application/dicom\"; boundary={boundary}");
    let end = format!("\r\n--{boundary}--\r\n");
    let parts = stream::iter(files).then(move |(syntax, contents)| {
        let head = format!("\r\n--{boundary}\r\nContent-Type: application/dicom; transfer-syntax={syntax}\r\n\r\n");
        async move {
            let mut part = head.into_bytes();
            part.extend(contents.bytes().await?);
            Ok::<_, io::Error>(Bytes::from(part))
        }
    });
    let body = parts.chain(stream::once(async move { Ok(Bytes::from(end)) }));
    ([(header::CONTENT_TYPE, kind)], Body::from_stream(body)).into_response()
}
