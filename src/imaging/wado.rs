//! One study of one DICOMweb archive. <https://dicom.nema.org/medical/dicom/current/output/chtml/part18/sect_10.4.html>
//!
//! Three ways to ask, best first. `/rendered` is not one of them: an archive's idea of grey is not what the model learnt.

use bytes::Bytes;
use tokio::time::{Instant, sleep_until, timeout_at};
use url::Url;

use super::{Failure, Film, Wanted, header, multipart, study::Access};
use crate::{
    egress::{AccessToken, Get, Reply},
    error::Kind,
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The archive decodes: covers every encoding we lack.
    Transcoded,
    Stored,
    /// The only form every archive must support.
    WholeStudy,
}

impl Step {
    fn name(self) -> &'static str {
        match self {
            Step::Transcoded => "instance, uncompressed by the archive",
            Step::Stored => "instance, as stored",
            Step::WholeStudy => "whole study, as stored",
        }
    }

    fn next(self) -> Option<Step> {
        match self {
            Step::Transcoded => Some(Step::Stored),
            Step::Stored => Some(Step::WholeStudy),
            Step::WholeStudy => None,
        }
    }
}

const TRANSCODED: &str = r#"multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.1"#;
const STORED: &str = r#"multipart/related; type="application/dicom"; transfer-syntax=*"#;

/// Why a step gave no film, and which step may.
struct Missed {
    reason: String,
    /// Something went wrong, rather than that the archive does not know this way of asking.
    telling: bool,
    then: Option<Step>,
}

/// A study at an archive, and what was learnt about the archive so far.
pub(super) struct Archive<'a> {
    access: &'a Access<'a>,
    study: Url,
    token: Option<&'a AccessToken>,
    /// The step that worked last; earlier ones are not tried again.
    step: Step,
    whole: Option<Result<Vec<Bytes>, String>>,
    /// Set once access was refused: nothing more is asked.
    refused: Option<String>,
}

impl<'a> Archive<'a> {
    /// `study` ends in the study's UID. The token, if any, goes with every request.
    pub fn new(access: &'a Access<'a>, study: Url, token: Option<&'a AccessToken>) -> Archive<'a> {
        Archive { access, study, token, step: Step::Transcoded, whole: None, refused: None }
    }

    pub fn is(&self, study: &Url, token: Option<&AccessToken>) -> bool {
        self.study == *study && self.token.is_some() == token.is_some()
    }

    /// Retrieves and decodes one film, stepping down where a way of asking does not work. The error is a clause for a person.
    pub async fn film(&mut self, mut wanted: Wanted) -> Result<Film, String> {
        let mut step = self.step;
        // INVARIANT: the_first_telling_reason_is_told
        let mut first_telling = None;
        loop {
            if let Some(reason) = &self.refused {
                return Err(first_telling.unwrap_or_else(|| reason.clone()));
            }
            wanted.retrieved = step.name();
            let missed = match self.fetch(step, &wanted).await {
                Ok(file) => match self.decoded(file, &wanted).await {
                    // What is stored is the same file in the whole study.
                    Err(failure) if failure.is_of_the_encoding() && step == Step::Transcoded => {
                        Missed { reason: failure.reason().into(), telling: true, then: step.next() }
                    }
                    outcome => {
                        self.step = step;
                        return outcome.map_err(|failure| failure.reason().to_owned());
                    }
                },
                Err(missed) => missed,
            };
            if missed.telling {
                first_telling.get_or_insert_with(|| missed.reason.clone());
            }
            step = missed.then.ok_or_else(|| first_telling.clone().unwrap_or(missed.reason))?;
        }
    }

    async fn decoded(&self, file: Bytes, wanted: &Wanted) -> Result<Film, Failure> {
        let film = self.access.decoder.film(file, wanted.clone());
        timeout_at(self.access.deadline, film).await.unwrap_or(Err(Failure::Late))
    }

    async fn fetch(&mut self, step: Step, wanted: &Wanted) -> Result<Bytes, Missed> {
        let named = |file: &&Bytes| header::instance_of(file).as_deref() == Some(&wanted.instance_uid);
        if step != Step::WholeStudy {
            let accept = if step == Step::Transcoded { TRANSCODED } else { STORED };
            let url = below(&self.study, &["series", &wanted.series_uid, "instances", &wanted.instance_uid]);
            let files = self.files(url, accept, self.access.limits.max_instance_bytes, step).await?;
            // A file without that name is still looked at, so that its owner or study can be the reason.
            let file = files.iter().find(named).or(files.first()).cloned();
            let nothing = Missed { reason: "the archive sent nothing".into(), telling: true, then: step.next() };
            return file.ok_or(nothing);
        }
        if self.whole.is_none() {
            let files = self.files(Some(self.study.clone()), STORED, self.access.limits.max_study_bytes, step).await;
            self.whole = Some(files.map_err(|missed| missed.reason));
        }
        let file = match self.whole.as_ref() {
            Some(Ok(files)) => files.iter().find(named).cloned().ok_or("the archive did not send it".to_owned()),
            Some(Err(reason)) => Err(reason.clone()),
            None => Err("the archive sent nothing".to_owned()),
        };
        file.map_err(|reason| Missed { reason, telling: false, then: None })
    }

    async fn files(
        &mut self,
        url: Option<Url>,
        accept: &str,
        max_bytes: usize,
        step: Step,
    ) -> Result<Vec<Bytes>, Missed> {
        let stop = |reason: &str| Missed { reason: reason.to_owned(), telling: true, then: None };
        let url = url.ok_or_else(|| stop("the archive's address is not usable"))?;
        let reply = self.get(&url, accept, max_bytes).await.map_err(|reason| stop(&reason))?;
        let then = match reply.status {
            200 => {
                let reason = "the archive's answer is broken".to_owned();
                let broken = || Missed { reason, telling: true, then: step.next() };
                let (access, length) = (self.access, reply.body.len());
                let parts = move || multipart::parts(&reply.content_type, &reply.share.hold(reply.body));
                let parts = access.processor.work(length, access.deadline, parts).await;
                return parts.map_err(|_| stop(Failure::Late.reason()))?.ok_or_else(broken);
            }
            400 | 406 | 415 | 501 => step.next(),
            // What Orthanc without its GDCM plugin says where it is to decode what it cannot.
            500 if step == Step::Transcoded => step.next(),
            // Retrieval of single instances is optional for servers.
            404 if step != Step::WholeStudy => Some(Step::WholeStudy),
            _ => None,
        };
        let reason = refusal(reply.status);
        if matches!(reply.status, 401 | 403 | 410) {
            self.refused = Some(reason.clone());
        }
        Err(Missed { reason, telling: then.is_none(), then })
    }

    /// One request, repeated once where the archive names the time it needs and there is that much.
    async fn get(&self, url: &Url, accept: &str, max_bytes: usize) -> Result<Reply, String> {
        let access = self.access;
        let once = || {
            let allowed = &access.base.dicomweb;
            access.egress.get(Get { url, allowed, accept, token: self.token, max_bytes, deadline: access.deadline })
        };
        let mut reply = once().await;
        if let Ok(Reply { status: 503, retry_after: Some(delay), .. }) = reply {
            match Instant::now().checked_add(delay).filter(|due| *due < access.deadline) {
                Some(due) => {
                    sleep_until(due).await;
                    reply = once().await;
                }
                None => return Err("the archive needs more time than there is (503)".into()),
            }
        }
        reply.map_err(|error| match error.kind {
            Kind::Timeout => "the archive did not answer in time".into(),
            Kind::TooLarge => "it is larger than the limit".into(),
            Kind::Busy => "this server had no room for it beside other films".into(),
            Kind::Forbidden => "the archive's address is not one this server may contact".into(),
            _ => format!("the archive could not be read: {}", error.message),
        })
    }
}

fn refusal(status: u16) -> String {
    let what = match status {
        401 | 403 => "the archive refused access",
        404 => "the archive did not find it",
        410 => "the archive no longer has it",
        400 | 406 | 415 | 501 => "the archive does not offer it in a form that is read here",
        429 | 503 => "the archive is busy",
        300..=399 => "the archive answered with a redirect, which is not followed",
        _ => "the archive failed",
    };
    format!("{what} ({status})")
}

/// `url` with path segments added; a query, which may be what opens a capability URL, stays.
pub(super) fn below(url: &Url, segments: &[&str]) -> Option<Url> {
    let mut url = url.clone();
    url.path_segments_mut().ok()?.pop_if_empty().extend(segments);
    Some(url)
}
