//! Which study is read for an order, which film of it, and what it is compared with.

use std::collections::HashSet;

use chrono::TimeDelta;
use futures::future::join_all;
use url::Url;

use super::{
    Fact, Gap, Order, Origin, Reading, Role, StudyName, StudyRead,
    facts::{self, Source, Stated},
};
use crate::{
    fhir::{Client, Date, Reference, lenient},
    imaging::{self, Dropped, Identity, Image},
    service::{Applies, Service},
};

/// Body sites of an ImagingStudy that stand for a DICOM Body Part Examined. SNOMED CT codes as read in charts, never emitted.
const BODY_SITES: [(&str, &[&str]); 2] =
    [("CHEST", &["51185008", "CHEST", "THORAX"]), ("HEAD", &["69536005", "HEAD", "SKULL", "BRAIN"])];

/// The patient's imaging as the EHR tells of it.
#[derive(Default)]
pub struct Known {
    pub studies: Vec<(String, lenient::ImagingStudy)>,
    pub endpoints: Vec<lenient::Endpoint>,
    /// Absolute references of studies that have a signed report.
    reported: HashSet<String>,
}

impl Known {
    pub fn report(&mut self, report: &lenient::DiagnosticReport, base: &Url) {
        if matches!(report.status.as_deref(), Some("final" | "amended" | "corrected" | "appended")) {
            let studies =
                report.imaging_study.iter().filter_map(|s| s.reference.as_deref()).filter_map(Reference::parse);
            self.reported.extend(studies.map(|s| s.absolute(base)));
        }
    }
}

/// Reads the films of one order.
pub struct Films<'a> {
    pub client: Option<&'a Client>,
    pub access: imaging::Access<'a>,
    pub identity: Identity,
    pub side: u32,
    /// When the order was written; the window of studies ends here.
    pub moment: &'a Date,
    pub service: &'a Service,
    pub patient_id: &'a str,
}

pub struct FilmsRead {
    pub reading: Reading,
    pub pictures: Vec<Stated>,
    pub gaps: Vec<Gap>,
}

type Study = (String, lenient::ImagingStudy);

impl Films<'_> {
    /// The current film and, where there is one, an earlier film of the same kind. A film that cannot be had is a named gap.
    pub async fn read(&self, order: Order, other_orders: usize, mut known: Known) -> FilmsRead {
        let mut read = FilmsRead {
            reading: Reading { order, other_orders, study: None, prior: None, no_film: None },
            pictures: Vec::new(),
            gaps: Vec::new(),
        };
        let Some(current) = self.choose_current(&mut read, &mut known).await else { return read };
        let prior = self.choose_prior(&current, &known);
        let named = !read.reading.order.names.is_empty();
        let (current_films, prior_films) = tokio::join!(self.pixels(&current, &known), async {
            match &prior {
                Some(prior) => Some(self.pixels(prior, &known).await),
                None => None,
            }
        });
        read.reading.study = Some(described(&current, &current_films, named));
        read.gaps.extend(told(&current_films, "current study"));
        let Some(film) = current_films.images.into_iter().next() else {
            let why = current_films.dropped.into_iter().next().map_or("it names no film".into(), |d| d.reason);
            read.reading.no_film = Some(format!("no film of the study could be read: {why}"));
            return read;
        };
        if let (Some(prior), Some(films)) = (prior, prior_films) {
            read.gaps.extend(told(&films, "prior study"));
            let about = described(&prior, &films, false);
            match films.images.into_iter().next() {
                Some(earlier) if earlier.date.is_some() && earlier.date < film.date => {
                    read.reading.prior = Some(about);
                    read.pictures.push(picture(Role::Prior, earlier));
                }
                Some(_) => read.gaps.push(Gap {
                    what: "prior study".into(),
                    why: "its Study Date is not before the current film's, so the two are not compared".into(),
                }),
                None => {}
            }
        }
        read.pictures.push(picture(Role::Current, film));
        read
    }

    async fn choose_current(&self, read: &mut FilmsRead, known: &mut Known) -> Option<Study> {
        let order = &read.reading.order;
        if let Some((first, rest)) = order.names.split_first() {
            if !rest.is_empty() {
                let why = format!("the order names {} further stud(ies), which were not read", rest.len());
                read.gaps.push(Gap { what: "studies".into(), why });
            }
            return match self.named(first, known).await {
                Ok(study) => Some(study),
                Err(why) => {
                    read.reading.no_film = Some(format!("the study the order names could not be had: {why}"));
                    None
                }
            };
        }
        let (Some(applies), Some(modality), Some(body_part)) =
            (&self.service.applies, &order.modality, &order.body_part)
        else {
            read.reading.no_film = Some(
                "the order names no study, and its code does not say which modality and body part to look for".into(),
            );
            return None;
        };
        let newest = known.studies.iter().filter(|(reference, study)| {
            same_kind(study, modality, body_part)
                && !known.reported.contains(reference)
                && self.in_window(study, applies)
        });
        let newest = newest.max_by(|a, b| started(&a.1).cmp(&started(&b.1)).then_with(|| b.0.cmp(&a.0))).cloned();
        if newest.is_none() {
            read.reading.no_film = Some(format!(
                "there is no unreported {modality} study of the {} from the {} days before the order",
                body_part.to_lowercase(),
                applies.window_days
            ));
        }
        newest
    }

    /// The study an order names: among those received, else read from the EHR.
    async fn named(&self, name: &StudyName, known: &mut Known) -> Result<Study, String> {
        let matches = |(reference, study): &&Study| match name {
            StudyName::Id(id) => Reference::parse(reference).is_some_and(|r| r.id == id),
            StudyName::Uid(named) => imaging::study_uid(study) == Some(named),
        };
        if let Some(study) = known.studies.iter().find(matches) {
            return Ok(study.clone());
        }
        let client = self.client.ok_or("the EHR did not send it")?;
        let raw = match name {
            StudyName::Id(id) => client.read("ImagingStudy", id).await.map_err(|e| e.message)?,
            StudyName::Uid(_) => return Err("the patient's studies hold none with that UID".into()),
        };
        let head: lenient::Head = lenient::read(&raw)?;
        let subject = head.subject.as_ref().and_then(|s| s.reference.as_deref()).and_then(Reference::parse);
        if !subject.is_some_and(|s| s.is(client.base(), "Patient", self.patient_id)) {
            return Err("it is not this patient's".into());
        }
        let study: lenient::ImagingStudy = lenient::read(&raw)?;
        if !head.modifier_extension.is_empty()
            || matches!(study.status.as_deref(), Some("entered-in-error" | "cancelled"))
        {
            return Err("it is withdrawn or changed in a way we do not know".into());
        }
        let id = study.id.as_deref().unwrap_or_default();
        let reference = Reference { base: "", resource_type: "ImagingStudy", id }.absolute(client.base());
        known.studies.push((reference.clone(), study.clone()));
        Ok((reference, study))
    }

    /// The newest study of the current one's modality and body part that started before it.
    fn choose_prior(&self, current: &Study, known: &Known) -> Option<Study> {
        let modality = facts::modalities(&current.1).into_iter().next()?;
        let body_part = BODY_SITES.iter().map(|(part, _)| *part).find(|part| same_kind(&current.1, &modality, part))?;
        let before = started(&current.1)?;
        let earlier = known.studies.iter().filter(|(reference, study)| {
            *reference != current.0
                && same_kind(study, &modality, body_part)
                && started(study).is_some_and(|s| s < before)
        });
        earlier.max_by(|a, b| started(&a.1).cmp(&started(&b.1)).then_with(|| b.0.cmp(&a.0))).cloned()
    }

    fn in_window(&self, study: &lenient::ImagingStudy, applies: &Applies) -> bool {
        let begin = self.moment.instant() - TimeDelta::days(i64::from(applies.window_days));
        started(study).is_some_and(|s| s.instant() >= begin && s.instant() <= self.moment.instant())
    }

    async fn pixels(&self, study: &Study, known: &Known) -> imaging::Study {
        let references = study.1.endpoint.iter().chain(study.1.series.iter().flat_map(|s| s.endpoint.iter()));
        let wanted: HashSet<&str> =
            references.filter_map(|r| r.reference.as_deref()).filter(|r| !r.starts_with('#')).collect();
        let standalone = wanted.into_iter().filter_map(Reference::parse).filter(|r| r.resource_type == "Endpoint");
        let mut endpoints = known.endpoints.clone();
        let mut unread = Vec::new();
        if let Some(client) = self.client {
            let lacking = standalone.filter(|r| !known.endpoints.iter().any(|e| e.id.as_deref() == Some(r.id)));
            let lacking = lacking.filter(|r| r.is(client.base(), "Endpoint", r.id));
            for raw in join_all(lacking.map(|r| client.read("Endpoint", r.id))).await {
                match raw.map_err(|e| e.message).and_then(|raw| lenient::read(&raw)) {
                    Ok(endpoint) => endpoints.push(endpoint),
                    Err(why) => unread
                        .push(Dropped { instance_uid: None, reason: format!("its Endpoint could not be read: {why}") }),
                }
            }
        }
        let mut films = imaging::read_study(&self.access, &study.1, &endpoints, &self.identity, self.side).await;
        unread.append(&mut films.dropped);
        imaging::Study { dropped: unread, ..films }
    }
}

fn started(study: &lenient::ImagingStudy) -> Option<Date> {
    study.started.as_deref().and_then(Date::parse)
}

/// Whether a study is of that modality (CR and DX are one) and says that it shows that body part.
fn same_kind(study: &lenient::ImagingStudy, modality: &str, body_part: &str) -> bool {
    let projection = |m: &str| matches!(m, "CR" | "DX");
    let modality_fits =
        facts::modalities(study).iter().any(|m| m == modality || (projection(m) && projection(modality)));
    let sites = BODY_SITES.iter().find(|(part, _)| *part == body_part).map_or(&[][..], |(_, sites)| sites);
    let said = study
        .series
        .iter()
        .filter_map(|s| s.body_site.as_ref())
        .flat_map(|c| [c.code.as_deref(), c.display.as_deref()]);
    let site_fits = said.flatten().any(|given| sites.iter().any(|site| given.eq_ignore_ascii_case(site)));
    modality_fits && site_fits
}

fn described((reference, study): &Study, films: &imaging::Study, named_by_order: bool) -> StudyRead {
    StudyRead {
        reference: reference.clone(),
        study_uid: films.study_uid.clone().unwrap_or_default(),
        date: films.images.first().and_then(|i| i.date.clone()).or_else(|| started(study)),
        description: study.description.clone(),
        named_by_order,
    }
}

/// Every film that was not shown, by instance and reason.
fn told(films: &imaging::Study, which: &str) -> Vec<Gap> {
    let named = |uid: Option<&str>| uid.map_or(which.to_owned(), |uid| format!("{which}, film {uid}"));
    let dropped = films.dropped.iter().map(|d| Gap { what: named(d.instance_uid.as_deref()), why: d.reason.clone() });
    let beside = films.images.iter().skip(1).map(|i| Gap {
        what: named(Some(&i.instance_uid)),
        why: "one film of a study is read, and this is not the one".into(),
    });
    dropped.chain(beside).collect()
}

fn picture(role: Role, image: Image) -> Stated {
    Stated {
        source: Source { reference: format!("urn:oid:{}", image.instance_uid), origin: Origin::Fetched },
        date: image.date.clone(),
        fact: Fact::Image { role, image: Box::new(image) },
    }
}
