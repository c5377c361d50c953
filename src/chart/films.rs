//! Which study is read for an order, which film of it, and what it is compared with.

use std::collections::HashSet;

use chrono::TimeDelta;
use futures::future::join_all;

use super::{
    Fact, Gap, Order, Origin, Reading, Role, StudyName, StudyRead,
    facts::{self, Source, Stated},
};
use crate::{
    egress::Base,
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
    pub fn report(&mut self, report: &lenient::DiagnosticReport, base: &Base) {
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
    /// Whether all of the EHR's studies and reports were seen; else what is said of them is said of those received.
    pub studies_complete: bool,
    pub reports_complete: bool,
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
        let prior = match self.choose_prior(&current, &known) {
            Ok(prior) => prior,
            Err(why) => {
                read.gaps.push(Gap { what: "prior study".into(), why });
                None
            }
        };
        let named = !read.reading.order.names.is_empty();
        let (current_films, prior_films) = tokio::join!(self.pixels(&current, &known), async {
            match &prior {
                Some(prior) => Some(self.pixels(prior, &known).await),
                None => None,
            }
        });
        read.reading.study = Some(self.described(&current, &current_films, named));
        read.gaps.extend(told(&current_films, "current study"));
        let Some(film) = current_films.images.into_iter().next() else {
            let why = current_films.dropped.into_iter().next().map_or("it names no film".into(), |d| d.reason);
            read.reading.no_film = Some(format!("no film of the study could be read: {why}"));
            return read;
        };
        if let (Some(prior), Some(films)) = (prior, prior_films) {
            read.gaps.extend(told(&films, "prior study"));
            let about = self.described(&prior, &films, false);
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
        let silent = known.studies.iter().filter(|(_, study)| sites(study).next().is_none()).count();
        if silent > 0 {
            let why = format!("{silent} do not state which part of the body they show, and were not considered");
            read.gaps.push(Gap { what: "studies".into(), why });
        }
        if newest.is_none() {
            let part = body_part.to_lowercase();
            let days = applies.window_days;
            // INVARIANT: what_was_not_searched_to_the_end_is_not_called_absent
            read.reading.no_film = Some(match (self.studies_complete, self.reports_complete) {
                (true, true) => format!(
                    "there is no unreported {modality} study of the {part} from the {days} days before the order"
                ),
                (false, _) => format!(
                    "the studies received hold no unreported {modality} study of the {part} from the {days} days before the order, and there may be others"
                ),
                (true, false) => format!(
                    "there is no {modality} study of the {part} from the {days} days before the order that is known to be unreported"
                ),
            });
        } else if !self.reports_complete {
            let why = "they could not all be read, so the study may have been reported already".into();
            read.gaps.push(Gap { what: "reports".into(), why });
        }
        newest
    }

    /// The study an order names: among those received, else read from the EHR.
    async fn named(&self, name: &StudyName, known: &mut Known) -> Result<Study, String> {
        let matches = |(reference, study): &&Study| match name {
            StudyName::Id(id) => Reference::parse(reference).is_some_and(|r| r.id == id),
            StudyName::Uid(named) => imaging::study_uid(study) == Some(named),
            StudyName::Elsewhere => false,
        };
        if let Some(study) = known.studies.iter().find(matches) {
            return Ok(study.clone());
        }
        let client = self.client.ok_or("the EHR did not send it")?;
        let raw = match name {
            StudyName::Id(id) => client.read("ImagingStudy", id).await.map_err(|e| e.message)?,
            StudyName::Uid(_) if self.studies_complete => {
                return Err("the patient's studies hold none with that UID".into());
            }
            StudyName::Uid(_) => {
                return Err("the studies received hold none with that UID, and there may be others".into());
            }
            StudyName::Elsewhere => return Err("it lies on another server, which is not contacted".into()),
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

    /// The newest study of the current one's kind that started before it, or why none was looked for.
    fn choose_prior(&self, current: &Study, known: &Known) -> Result<Option<Study>, String> {
        let modalities = facts::modalities(&current.1);
        let modality = modalities.iter().find(|m| projection(m)).or(modalities.first());
        let body_part = BODY_SITES.iter().map(|(part, _)| *part);
        let body_part = body_part.into_iter().find(|part| sites(&current.1).any(|site| shows(part, site)));
        let (Some(modality), Some(body_part), Some(before)) = (modality, body_part, started(&current.1)) else {
            let why = "none was looked for: the current study does not state its modality, body part or date";
            return Err(why.into());
        };
        let earlier = known.studies.iter().filter(|(reference, study)| {
            *reference != current.0
                && same_kind(study, modality, body_part)
                && started(study).is_some_and(|s| s < before)
        });
        Ok(earlier.max_by(|a, b| started(&a.1).cmp(&started(&b.1)).then_with(|| b.0.cmp(&a.0))).cloned())
    }

    fn in_window(&self, study: &lenient::ImagingStudy, applies: &Applies) -> bool {
        let begin = self.moment.instant() - TimeDelta::days(i64::from(applies.window_days));
        started(study).is_some_and(|s| s.instant() >= begin && s.instant() <= self.moment.latest())
    }

    fn described(&self, (reference, study): &Study, films: &imaging::Study, named_by_order: bool) -> StudyRead {
        StudyRead {
            reference: reference.clone(),
            study_uid: films.study_uid.clone().unwrap_or_default(),
            date: films.images.first().and_then(|i| i.date.clone()).or_else(|| started(study)),
            description: study.description.clone(),
            named_by_order,
            reports_checked: self.reports_complete,
        }
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

/// CR and DX are one kind of picture.
fn projection(modality: &str) -> bool {
    matches!(modality, "CR" | "DX")
}

/// What a study says of the parts it shows: codes and words.
fn sites(study: &lenient::ImagingStudy) -> impl Iterator<Item = &str> {
    let said = study.series.iter().filter_map(|s| s.body_site.as_ref());
    said.flat_map(|c| [c.code.as_deref(), c.display.as_deref()]).flatten()
}

fn shows(body_part: &str, site: &str) -> bool {
    let known = BODY_SITES.iter().find(|(part, _)| *part == body_part);
    known.is_some_and(|(_, sites)| sites.iter().any(|known| site.eq_ignore_ascii_case(known)))
}

/// Whether a study is of that modality and says that it shows that body part.
fn same_kind(study: &lenient::ImagingStudy, modality: &str, body_part: &str) -> bool {
    let modalities = facts::modalities(study);
    modalities.iter().any(|m| m == modality || (projection(m) && projection(modality)))
        && sites(study).any(|site| shows(body_part, site))
}

/// Every film that was not shown, by instance and reason, and what has to be said with those that were.
fn told(films: &imaging::Study, which: &str) -> Vec<Gap> {
    let named = |uid: Option<&str>| uid.map_or(which.to_owned(), |uid| format!("{which}, film {uid}"));
    let dropped = films.dropped.iter().map(|d| Gap { what: named(d.instance_uid.as_deref()), why: d.reason.clone() });
    let beside = films.images.iter().skip(1).map(|i| Gap {
        what: named(Some(&i.instance_uid)),
        why: "one film of a study is read, and this is not the one".into(),
    });
    let doubted = films.doubted.iter().map(|d| Gap { what: named(Some(&d.instance_uid)), why: d.doubt.to_owned() });
    dropped.chain(beside).chain(doubted).collect()
}

fn picture(role: Role, image: Image) -> Stated {
    Stated {
        source: Source { reference: format!("urn:oid:{}", image.instance_uid), origin: Origin::Fetched },
        date: image.date.clone(),
        fact: Fact::Image { role, image: Box::new(image) },
    }
}
