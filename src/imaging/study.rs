//! One ImagingStudy read: every instance it lists becomes a picture or is named with the reason.

use serde::Deserialize;
use tokio::time::Instant;
use url::Url;

use super::{Decoder, Film, Identity, Image, Wanted, endpoint::route, selection::candidates, uid, wado::Archive};
use crate::{
    caller::AllowedBase,
    capacity::Processor,
    egress::{AccessToken, Egress},
    error::{Error, Result},
    fhir::lenient::{Endpoint, ImagingStudy},
};

/// The way to one EHR's archives, for one request.
pub struct Access<'a> {
    pub egress: &'a Egress,
    pub processor: &'a Processor,
    pub decoder: &'a Decoder,
    pub base: &'a AllowedBase,
    pub token: Option<&'a AccessToken>,
    pub limits: &'a Limits,
    pub deadline: Instant,
}

/// How much of a study is read: the configuration's section `imaging`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// One film, as it comes from the archive.
    pub max_instance_bytes: usize,
    /// A whole study, where an archive gives no single film. Held in memory while its films are decoded.
    pub max_study_bytes: usize,
    /// Films and studies of all requests together, each held until it is decoded. Further ones wait.
    pub max_held_bytes: usize,
    /// Films beyond are named and not read.
    pub max_films_per_study: usize,
    /// Decoding one file, in seconds: of the clock and of the processor.
    pub max_decode_seconds: u64,
    /// Decoding one file: address space of the process that does it.
    pub max_decode_bytes: u64,
}

/// With less the process that decodes may not even start.
const LEAST_DECODE_BYTES: u64 = 512 << 20;

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_instance_bytes: 128 << 20,
            max_study_bytes: 256 << 20,
            // Two of the largest films are decoded while a third one arrives.
            max_held_bytes: 384 << 20,
            max_films_per_study: 4,
            max_decode_seconds: 5,
            max_decode_bytes: 1 << 30,
        }
    }
}

impl Limits {
    /// A limit of zero would read nothing and say so on every card.
    pub fn check(&self) -> Result<()> {
        if self.max_instance_bytes == 0 || self.max_study_bytes == 0 || self.max_films_per_study == 0 {
            return Err(Error::invalid("the limits of imaging must be above zero"));
        }
        if self.max_held_bytes < self.max_instance_bytes.max(self.max_study_bytes) {
            let least = "imaging.max_instance_bytes and imaging.max_study_bytes";
            return Err(Error::invalid(format!("imaging.max_held_bytes must be at least {least}")));
        }
        if !(1..=3600).contains(&self.max_decode_seconds) {
            return Err(Error::invalid("imaging.max_decode_seconds must be 1 to 3600"));
        }
        if self.max_decode_bytes < LEAST_DECODE_BYTES {
            return Err(Error::invalid(format!("imaging.max_decode_bytes must be at least {LEAST_DECODE_BYTES}")));
        }
        Ok(())
    }
}

/// What a study gave.
#[derive(Debug)]
pub struct Study {
    /// `None`: the study has no valid DICOM identifier, and nothing was read.
    pub study_uid: Option<String>,
    /// Frontal views first, then by instance number.
    pub images: Vec<Image>,
    pub dropped: Vec<Dropped>,
    pub doubted: Vec<Doubted>,
}

/// An instance that did not become a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    pub instance_uid: Option<String>,
    /// One clause a clinician understands. No patient data, no address.
    pub reason: String,
}

/// An instance that became a picture, and what has to be said with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubted {
    pub instance_uid: String,
    /// One clause, without a word from the file.
    pub doubt: &'static str,
}

impl Dropped {
    pub(super) fn new(instance_uid: Option<&str>, reason: impl Into<String>) -> Dropped {
        Dropped { instance_uid: instance_uid.map(str::to_owned), reason: reason.into() }
    }
}

/// The Study Instance UID an ImagingStudy states.
pub fn study_uid(study: &ImagingStudy) -> Option<&str> {
    let stated = study.identifier.iter().filter(|i| i.system.as_deref() == Some("urn:dicom:uid"));
    stated.filter_map(|i| i.value.as_deref()).find_map(uid::parse)
}

/// Retrieves, checks and decodes the CR and DX films of `study`; never fails as a whole.
///
/// `endpoints` are the standalone Endpoint resources it refers to; `side` is the model's square picture in pixels.
pub async fn read_study(
    access: &Access<'_>,
    study: &ImagingStudy,
    endpoints: &[Endpoint],
    patient: &Identity,
    side: u32,
) -> Study {
    let (candidates, mut dropped) = candidates(study, access.limits.max_films_per_study);
    let study_uid = study_uid(study);
    let mut archives: Vec<Archive> = Vec::new();
    let (mut films, mut doubted) = (Vec::<Film>::new(), Vec::new());
    for candidate in candidates {
        let outcome = match route(access, study, &study.series[candidate.series], endpoints, study_uid) {
            Err(reason) => Err(reason.to_owned()),
            // The file would be refused anyway; the archive need not be asked.
            Ok(_) if patient.is_empty() => {
                Err("the patient has no identifier of the systems that films are compared by (ehr.patient_id_systems)"
                    .to_owned())
            }
            Ok((url, study_uid, token)) => {
                let wanted = Wanted {
                    study_uid: study_uid.to_owned(),
                    series_uid: candidate.series_uid.to_owned(),
                    instance_uid: candidate.instance_uid.to_owned(),
                    patient: patient.clone(),
                    side,
                    retrieved: "",
                };
                archive(&mut archives, access, url, token).film(wanted).await
            }
        };
        match outcome {
            Ok(film) => {
                let named = |doubt: &&'static str| Doubted { instance_uid: candidate.instance_uid.to_owned(), doubt };
                doubted.extend(film.doubts.iter().map(named));
                films.push(Film { number: film.number.or(candidate.number), ..film });
            }
            Err(reason) => dropped.push(Dropped::new(Some(candidate.instance_uid), reason)),
        }
    }
    let frontal = |view: Option<&str>| matches!(view, Some("AP" | "PA"));
    films.sort_by_key(|film| (!frontal(film.image.view.as_deref()), film.number.unwrap_or(i64::MAX)));
    let images = films.into_iter().map(|film| film.image).collect();
    Study { study_uid: study_uid.map(str::to_owned), images, dropped, doubted }
}

/// The archive met before at this address, which may know which way of asking works, or a new one.
fn archive<'s, 'a>(
    archives: &'s mut Vec<Archive<'a>>,
    access: &'a Access<'a>,
    study: Url,
    token: Option<&'a AccessToken>,
) -> &'s mut Archive<'a> {
    let known = archives.iter().position(|archive| archive.is(&study, token));
    let index = known.unwrap_or_else(|| {
        archives.push(Archive::new(access, study, token));
        archives.len() - 1
    });
    &mut archives[index]
}
