//! Which study or picture is read for an order, which film of it, and what it is compared with.

use std::collections::HashSet;

use chrono::TimeDelta;
use futures::future::join_all;
use tokio::time::Instant;

use super::{
    Choice, Examined, Fact, Gap, Order, Origin, Reading, Role, StudyName, StudyRead,
    attachments::Picture,
    facts::{self, Source, Stated, When},
    kind::{self, BODY_PARTS},
};
use crate::{
    cds_hooks::HookRequest,
    egress::Base,
    fhir::{Client, Date, Reference, lenient},
    imaging::{self, Dropped, Identity, Image, Source as Film},
    service::{Applies, Service},
};

/// The patient's imaging as the EHR tells of it.
#[derive(Default)]
pub struct Known {
    pub studies: Vec<(String, lenient::ImagingStudy)>,
    pub endpoints: Vec<lenient::Endpoint>,
    /// Absolute references of studies and Media that have a signed report.
    reported: HashSet<String>,
}

impl Known {
    pub fn report(&mut self, report: &lenient::DiagnosticReport, base: &Base) {
        if matches!(report.status.as_deref(), Some("final" | "amended" | "corrected" | "appended")) {
            let media = report.media.iter().filter_map(|media| media.link.as_ref());
            let read = report.imaging_study.iter().chain(media).filter_map(|s| s.reference.as_deref());
            self.reported.extend(read.filter_map(Reference::parse).map(|s| s.absolute(base)));
        }
    }

    pub fn is_reported(&self, reference: &str) -> bool {
        self.reported.contains(reference)
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
    pub request: &'a HookRequest,
    /// When searching for pictures outside the archive ends.
    pub pictures_by: Instant,
    /// Whether all of the EHR's studies and reports were seen; else what is said of them is said of those received.
    pub studies_complete: bool,
    pub reports_complete: bool,
}

pub struct FilmsRead {
    pub reading: Reading,
    pub pictures: Vec<Stated>,
    pub gaps: Vec<Gap>,
    /// Keys that were looked at because no study answers the order.
    pub examined: Vec<Examined>,
}

/// What is read for the order.
enum Chosen {
    Study(Study, Choice),
    Picture(Picture, Choice),
}

type Study = (String, lenient::ImagingStudy);

impl Films<'_> {
    /// The current film and, where there is one, an earlier film of the same kind. A film that cannot be had is a named gap.
    pub async fn read(&self, order: Order, other_orders: usize, mut known: Known) -> FilmsRead {
        let mut read = FilmsRead {
            reading: Reading { order, other_orders, study: None, prior: None, no_film: None },
            pictures: Vec::new(),
            gaps: Vec::new(),
            examined: Vec::new(),
        };
        match self.choose_current(&mut read, &mut known).await {
            Some(Chosen::Study(current, choice)) => self.read_study(current, choice, &known, &mut read).await,
            Some(Chosen::Picture(picture, choice)) => self.read_picture(picture, choice, &mut read).await,
            None => {}
        }
        read
    }

    async fn read_study(&self, current: Study, choice: Choice, known: &Known, read: &mut FilmsRead) {
        let prior = match self.choose_prior(&current, known) {
            Ok(prior) => prior,
            Err(why) => {
                read.gaps.push(Gap { what: "prior study".into(), why });
                None
            }
        };
        let (current_films, prior_films) = tokio::join!(self.pixels(&current, known), async {
            match &prior {
                Some(prior) => Some(self.pixels(prior, known).await),
                None => None,
            }
        });
        read.reading.study = Some(self.described(&current, &current_films, choice));
        if ambiguous(&current.1) {
            let why = "its record gives two parts of the body for one series".into();
            read.gaps.push(Gap { what: "current study".into(), why });
        }
        read.gaps.extend(told(&current_films, "current study"));
        let Some(film) = current_films.images.into_iter().next() else {
            let why = current_films.dropped.into_iter().next().map_or("it names no film".into(), |d| d.reason);
            read.reading.no_film = Some(format!("no film of the study could be read: {why}"));
            return;
        };
        if let (Some(prior), Some(films)) = (prior, prior_films) {
            read.gaps.extend(told(&films, "prior study"));
            let about = self.described(&prior, &films, Choice::Newest);
            if let Some(earlier) = films.images.into_iter().next() {
                match incomparable(&earlier, &film) {
                    Some(why) => read.gaps.push(Gap { what: "prior study".into(), why: why.into() }),
                    None => {
                        read.reading.prior = Some(about);
                        read.pictures.push(picture(Role::Prior, earlier, Origin::Fetched));
                    }
                }
            }
        }
        read.pictures.push(picture(Role::Current, film, Origin::Fetched));
    }

    async fn choose_current(&self, read: &mut FilmsRead, known: &mut Known) -> Option<Chosen> {
        let order = read.reading.order.clone();
        // INVARIANT: an_order_that_contradicts_itself_is_not_read_for
        if let Some(why) = order.contradiction {
            read.reading.no_film = Some(format!("the order contradicts itself: {why}"));
            return None;
        }
        if let Some((first, rest)) = order.names.split_first() {
            if !rest.is_empty() {
                let why =
                    format!("the order names {} further stud(ies) or picture(s), which were not read", rest.len());
                read.gaps.push(Gap { what: "studies".into(), why });
            }
            let (noun, found) = match first {
                StudyName::Media(id) => {
                    let picture = self.named_media(id, read).await;
                    ("picture", picture.map(|picture| Chosen::Picture(picture, Choice::Named)))
                }
                StudyName::Unfollowed => ("study or picture", Err("what it gives as its name leads to none".into())),
                name => ("study", self.named(name, known).await.map(|study| Chosen::Study(study, Choice::Named))),
            };
            return found
                .map_err(|why| {
                    read.reading.no_film = Some(format!("the {noun} the order names could not be had: {why}"));
                })
                .ok();
        }
        if let Some(picture) = self.named_document(&order.documents, read).await {
            return Some(Chosen::Picture(picture, Choice::Named));
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
                && self.in_window(started(study).as_ref(), applies)
        });
        let newest = newest.max_by(|a, b| started(&a.1).cmp(&started(&b.1)).then_with(|| b.0.cmp(&a.0))).cloned();
        let those =
            |are: fn(&lenient::ImagingStudy) -> bool| known.studies.iter().filter(|(_, study)| are(study)).count();
        for (count, why) in [
            (those(|study| sites(study).next().is_none()), "do not state which part of the body they show"),
            (those(ambiguous), "give two parts of the body for one series"),
        ] {
            if count > 0 {
                read.gaps.push(Gap { what: "studies".into(), why: format!("{count} {why}, and were not considered") });
            }
        }
        let newest = match newest {
            Some(study) => Some(Chosen::Study(study, Choice::Newest)),
            None => self
                .unnamed_picture(applies, [modality, body_part], known, read)
                .await
                .map(|(picture, choice)| Chosen::Picture(picture, choice)),
        };
        match &newest {
            None => read.reading.no_film = Some(self.nothing_fits(modality, body_part, applies.window_days)),
            Some(chosen) if !self.reports_complete => {
                let noun = if matches!(chosen, Chosen::Study(..)) { "study" } else { "picture" };
                let why = format!("they could not all be read, so the {noun} may have been reported already");
                read.gaps.push(Gap { what: "reports".into(), why });
            }
            Some(_) => {}
        }
        newest
    }

    // INVARIANT: what_was_not_searched_to_the_end_is_not_called_absent
    fn nothing_fits(&self, modality: &str, body_part: &str, days: u32) -> String {
        let part = body_part.to_lowercase();
        match (self.studies_complete, self.reports_complete) {
            (true, true) => {
                format!("there is no unreported {modality} study of the {part} from the {days} days before the order")
            }
            (false, _) => format!(
                "the studies received hold no unreported {modality} study of the {part} from the {days} days before the order, and there may be others"
            ),
            (true, false) => format!(
                "there is no {modality} study of the {part} from the {days} days before the order that is known to be unreported"
            ),
        }
    }

    /// The study an order names: among those received, else read from the EHR.
    async fn named(&self, name: &StudyName, known: &mut Known) -> Result<Study, String> {
        let matches = |(reference, study): &&Study| match name {
            StudyName::Id(id) => Reference::parse(reference).is_some_and(|r| r.id == id),
            StudyName::Uid(named) => imaging::study_uid(study) == Some(named),
            StudyName::Media(_) | StudyName::Elsewhere | StudyName::Unfollowed => false,
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
            StudyName::Media(_) | StudyName::Elsewhere | StudyName::Unfollowed => {
                return Err("it lies on another server, which is not contacted".into());
            }
        };
        let (_, id, raw) = self.admitted(raw)?;
        let study: lenient::ImagingStudy = lenient::read(&raw)?;
        if matches!(study.status.as_deref(), Some("entered-in-error" | "cancelled")) {
            return Err("it is withdrawn".into());
        }
        let reference = Reference { base: "", resource_type: "ImagingStudy", id: &id }.absolute(client.base());
        known.studies.push((reference.clone(), study.clone()));
        Ok((reference, study))
    }

    /// The newest study of the current one's kind that started before it, or why none was looked for.
    fn choose_prior(&self, current: &Study, known: &Known) -> Result<Option<Study>, String> {
        let modalities = facts::modalities(&current.1);
        let modality = modalities.iter().find(|m| kind::projection(m)).or(modalities.first());
        let body_part = sites(&current.1).find_map(|site| kind::named(BODY_PARTS, Some(&site)));
        let (Some(modality), Some(body_part), Some(before)) = (modality, body_part, started(&current.1)) else {
            let why = "none was looked for: the current study does not state its modality, body part or date";
            return Err(why.into());
        };
        let earlier = known.studies.iter().filter(|(reference, study)| {
            *reference != current.0
                && same_kind(study, modality, &body_part)
                && started(study).is_some_and(|s| s < before)
        });
        Ok(earlier.max_by(|a, b| started(&a.1).cmp(&started(&b.1)).then_with(|| b.0.cmp(&a.0))).cloned())
    }

    /// Whether something taken then may be what the order is about.
    pub fn in_window(&self, taken: Option<&Date>, applies: &Applies) -> bool {
        let begin = self.moment.instant() - TimeDelta::days(i64::from(applies.window_days));
        taken.is_some_and(|taken| taken.instant() >= begin && taken.instant() <= self.moment.latest())
    }

    pub fn patient_id(&self) -> &str {
        &self.request.context.patient_id
    }

    fn described(&self, (reference, study): &Study, films: &imaging::Study, choice: Choice) -> StudyRead {
        StudyRead {
            reference: reference.clone(),
            study_uid: films.study_uid.clone(),
            date: films.images.first().and_then(|i| i.date.clone()).or_else(|| started(study)),
            description: study.description.clone(),
            choice,
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
                let admitted = raw.map_err(|e| e.message).and_then(|raw| self.admitted(raw));
                match admitted.and_then(|(_, _, raw)| lenient::read(&raw)) {
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

/// Why an earlier film is not shown beside the current one.
// INVARIANT: an_earlier_film_that_names_somebody_else_is_not_compared
pub fn incomparable(earlier: &Image, current: &Image) -> Option<&'static str> {
    if earlier.date.is_none() || earlier.date >= current.date {
        return Some("its Study Date is not before the current film's, so the two are not compared");
    }
    let why = "its film names another sex or birth date than the record, so the two are not compared";
    earlier.labelled.disagrees.then_some(why)
}

fn started(study: &lenient::ImagingStudy) -> Option<Date> {
    study.started.as_deref().and_then(Date::parse)
}

/// What a study says of the part each series shows.
fn sites(study: &lenient::ImagingStudy) -> impl Iterator<Item = lenient::Concept> {
    let coded = study.series.iter().filter_map(|series| series.body_site.clone());
    coded.map(|code| lenient::Concept { coding: lenient::Many(vec![code]), text: None })
}

/// Whether the code of a series names one part of the body and its words another.
fn ambiguous(study: &lenient::ImagingStudy) -> bool {
    sites(study).any(|site| kind::all_named(BODY_PARTS, Some(&site)).nth(1).is_some())
}

/// Whether a study is of that modality and says that it shows that body part.
fn same_kind(study: &lenient::ImagingStudy, modality: &str, body_part: &str) -> bool {
    let modalities = facts::modalities(study);
    modalities.iter().any(|m| kind::same_modality(m, modality))
        && !ambiguous(study)
        && sites(study).any(|site| kind::named(BODY_PARTS, Some(&site)).as_deref() == Some(body_part))
}

/// Every film that was not shown, by instance and reason, and what has to be said with those that were.
fn told(films: &imaging::Study, which: &str) -> Vec<Gap> {
    let named = |uid: Option<&str>| uid.map_or(which.to_owned(), |uid| format!("{which}, film {uid}"));
    let dropped = films.dropped.iter().map(|d| Gap { what: named(d.instance_uid.as_deref()), why: d.reason.clone() });
    let beside = films.images.iter().skip(1).map(|i| Gap {
        what: named(match &i.source {
            Film::Dicom { instance_uid, .. } => Some(instance_uid),
            Film::Attachment { .. } => None,
        }),
        why: "one film of a study is read, and this is not the one".into(),
    });
    let doubted = films.doubted.iter().map(|d| Gap { what: named(Some(&d.instance_uid)), why: d.doubt.to_owned() });
    dropped.chain(beside).chain(doubted).collect()
}

pub fn picture(role: Role, image: Image, origin: Origin) -> Stated {
    Stated {
        source: Source { reference: image.reference(), origin },
        when: When { date: image.date.clone(), misdated: false },
        fact: Fact::Image { role, image: Box::new(image) },
    }
}
