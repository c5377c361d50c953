//! Pictures outside DICOM: in a Media, which says what it shows, or in a DocumentReference, which does not.

use super::{
    Choice, Examined, Gap, Origin, Role, StudyRead,
    collect::{Admitted, Collected, Refusal, admit, ask, collect},
    facts::{MISDATED, When},
    films::{Films, FilmsRead, Known, picture},
    gather::is_unnamed,
    kind::{self, BODY_PARTS, VIEWS},
    words::short,
};
use crate::{
    cds_hooks::State,
    fhir::{Client, Date, Raw, Reference, lenient},
    imaging::{self, Attached, Described},
    service::Applies,
};

/// Documents named by one order that are looked at; letters are named there too.
const MAX_DOCUMENTS: usize = 4;

/// A record with a picture in it.
pub struct Picture {
    /// Absolute reference of the record.
    reference: String,
    content: lenient::Attachment,
    described: Described,
    /// When the picture was taken, or at the least recorded.
    date: Option<Date>,
    description: Option<String>,
    origin: Origin,
}

/// The pictures the EHR has outside its archive.
#[derive(Default)]
struct Pictures {
    media: Vec<Picture>,
    documents: Vec<Picture>,
}

impl Films<'_> {
    /// The Media an order names.
    pub async fn named_media(&self, id: &str, read: &mut FilmsRead) -> Result<Picture, String> {
        let sent = self.sent("Media", id, read);
        let Some(answer) = had(sent, self.client, "Media", id).await else {
            // What was sent instead, and cannot be used, is told.
            self.pictures(read).await;
            return Err("the EHR did not send it".into());
        };
        let (raw, origin) = answer?;
        let (_, id, raw) = self.admitted(raw)?;
        media(&lenient::read(&raw)?, self.reference("Media", &id), origin)
    }

    /// The first picture among the documents an order names. Most are letters: those are no business of ours.
    pub async fn named_document(&self, ids: &[String], read: &mut FilmsRead) -> Option<Picture> {
        let client = self.client.map(|client| client.until(self.pictures_by));
        let looked_at = ids.iter().take(MAX_DOCUMENTS);
        let sent: Vec<_> = looked_at.map(|id| self.sent("DocumentReference", id, read)).collect();
        let asked = sent.into_iter().zip(ids).map(|(sent, id)| had(sent, client.as_ref(), "DocumentReference", id));
        let answers = futures::future::join_all(asked).await;
        if answers.iter().any(Option::is_none) {
            let why = "the order names some that were not looked at for pictures: no FHIR server was named".into();
            read.gaps.push(Gap { what: "documents".into(), why });
        }
        let mut found = Vec::new();
        for (id, answer) in ids.iter().zip(answers) {
            let Some(answer) = answer else { continue };
            let reference = self.reference("DocumentReference", id);
            let understood = answer.and_then(|(raw, origin)| {
                let (_, _, raw) = self.admitted(raw)?;
                document(&lenient::read(&raw)?, reference, origin)
            });
            match understood {
                Ok(picture) => found.extend(picture),
                Err(why) => read.gaps.push(Gap { what: format!("DocumentReference/{id}"), why }),
            }
        }
        let beyond = ids.len().saturating_sub(MAX_DOCUMENTS);
        if beyond > 0 {
            let why = format!("the order names {beyond} more, which were not looked at for pictures");
            read.gaps.push(Gap { what: "documents".into(), why });
        }
        let mut found = found.into_iter();
        let first = found.next();
        for other in found {
            let why = "one picture is read for an order, and this is not the one".into();
            read.gaps.push(Gap { what: short(&other.reference), why });
        }
        first
    }

    /// For an order that names nothing and that no study fits: the newest Media that does, else the only picture there is.
    pub async fn unnamed_picture(
        &self,
        applies: &Applies,
        [modality, body_part]: [&str; 2],
        known: &Known,
        read: &mut FilmsRead,
    ) -> Option<(Picture, Choice)> {
        let Pictures { media, mut documents } = self.pictures(read).await;
        let (silent, stated): (Vec<_>, Vec<_>) = media.into_iter().partition(|p| p.described.body_part.is_none());
        if !silent.is_empty() {
            let why = format!(
                "{} do not state one part of the body that is known here, and were not considered",
                silent.len()
            );
            read.gaps.push(Gap { what: "media".into(), why });
        }
        let fits = |p: &Picture| {
            p.described.body_part.as_deref() == Some(body_part)
                && p.described.modality.as_deref().is_some_and(|m| kind::same_modality(m, modality))
                && self.in_window(p.date.as_ref(), applies)
                && !known.is_reported(&p.reference)
        };
        let newest = stated
            .into_iter()
            .filter(fits)
            .max_by(|a, b| a.date.cmp(&b.date).then_with(|| b.reference.cmp(&a.reference)));
        if let Some(picture) = newest {
            return Some((picture, Choice::Newest));
        }
        documents.retain(|p| self.in_window(p.date.as_ref(), applies));
        match documents.len() {
            0 => None,
            1 => documents.pop().map(|picture| (picture, Choice::Only)),
            several => {
                let why = format!("{several} hold pictures and do not say what they show, so none was read");
                read.gaps.push(Gap { what: "documents".into(), why });
                None
            }
        }
    }

    /// Has, checks and decodes the picture of a record; it is read alone.
    pub async fn read_picture(&self, picture_of: Picture, choice: Choice, read: &mut FilmsRead) {
        let Picture { reference, content, described, date, description, origin } = picture_of;
        let name = short(&reference);
        read.reading.study = Some(StudyRead {
            reference: reference.clone(),
            study_uid: None,
            date,
            description,
            choice,
            reports_checked: self.reports_complete,
        });
        let attached = Attached { reference: &reference, content: &content, described };
        match imaging::read_attachment(&self.access, self.client, self.patient_id(), attached, self.side).await {
            Ok(image) => {
                let why = "none was looked for: a picture kept in a record is read alone".into();
                read.gaps.push(Gap { what: "prior study".into(), why });
                read.pictures.push(picture(Role::Current, image, origin));
            }
            Err(why) => {
                read.reading.no_film = Some(format!("the picture of {name} could not be read: {why}"));
                read.gaps.push(Gap { what: name, why });
            }
        }
    }

    /// What the keys hold that are asked for only now, with every failure told.
    async fn pictures(&self, read: &mut FilmsRead) -> Pictures {
        let client = self.client.map(|client| client.until(self.pictures_by));
        let keys = self.service.prefetch.iter().filter(|template| template.on_demand);
        let mut pictures = Pictures::default();
        let base = &self.access.base.fhir;
        let answers = ask(self.service, keys, self.request, base, client.as_ref()).await;
        let (patient_id, own) = (self.patient_id().to_owned(), base.clone());
        let (length, sort) = (answers.bytes(), move || collect(answers, &patient_id, &own));
        let Collected { resources, mut examined, gaps } =
            match self.access.processor.work(length, self.access.deadline, sort).await.and_then(|sorted| sorted) {
                Ok(collected) => collected,
                Err(error) => {
                    read.gaps.push(Gap { what: "pictures".into(), why: error.message });
                    return pictures;
                }
            };
        read.gaps.extend(gaps);
        for resource in resources {
            let reference = resource.reference(&self.access.base.fhir);
            let used = match resource.head.resource_type.as_str() {
                "Media" => lenient::read(&resource.raw)
                    .and_then(|record| media(&record, reference, resource.origin))
                    .map(|picture| pictures.media.push(picture))
                    .map(|()| true),
                "DocumentReference" => lenient::read(&resource.raw)
                    .and_then(|record| document(&record, reference, resource.origin))
                    .map(|picture| picture.map(|picture| pictures.documents.push(picture)).is_some()),
                _ => Ok(false),
            };
            if let Ok(true) = used {
                continue;
            }
            for at in resource.asked {
                let counts: &mut Examined = &mut examined[at];
                *if used.is_ok() { &mut counts.left_out } else { &mut counts.unusable } += 1;
            }
            if let Err(why) = used {
                read.gaps.push(Gap { what: format!("{}/{}", resource.head.resource_type, resource.id), why });
            }
        }
        read.examined.extend(examined);
        pictures
    }

    /// The resource of that name as the EHR sent it, under whichever key.
    fn sent(&self, resource_type: &str, id: &str, read: &mut FilmsRead) -> Option<Raw> {
        let is = |raw: &Raw| {
            lenient::resource_type(raw).is_some_and(|named| named == resource_type)
                && lenient::read::<lenient::Head>(raw).is_ok_and(|head| head.id.as_deref() == Some(id))
        };
        let resources = self.request.prefetch.entries.iter().flat_map(|(_, state)| match state {
            State::Resource(raw) => vec![raw],
            State::Bundle(split) => split.of(Some(&self.access.base.fhir).filter(|base| !is_unnamed(base))).0,
            State::Null | State::Failed(_) => vec![],
        });
        let mut sent = resources.filter(|raw| is(raw));
        let first = sent.next()?;
        if sent.any(|other| other.get() != first.get()) {
            let why = "it came twice with different contents; the first was used".into();
            read.gaps.push(Gap { what: format!("{resource_type}/{id}"), why });
        }
        Some(first.clone())
    }

    /// The resource, if it is this patient's and means what it says.
    pub fn admitted(&self, raw: Raw) -> Result<Admitted, String> {
        // INVARIANT: a_picture_of_another_patient_is_dropped_and_named
        admit(raw, self.patient_id(), &self.access.base.fhir).map_err(|refusal| match refusal {
            Refusal::Foreign => "it is not this patient's".into(),
            Refusal::NotPatientData => "it is not a record with a picture".into(),
            Refusal::Unusable(_, why) => why,
        })
    }

    fn reference(&self, resource_type: &str, id: &str) -> String {
        Reference { base: "", resource_type, id }.absolute(&self.access.base.fhir)
    }
}

/// What was sent, else what the server answers. `None`: it was not sent, and no server can be asked.
async fn had(
    sent: Option<Raw>,
    client: Option<&Client>,
    resource_type: &str,
    id: &str,
) -> Option<Result<(Raw, Origin), String>> {
    // INVARIANT: a_named_picture_that_was_sent_is_used_and_not_asked_for
    if let Some(raw) = sent {
        return Some(Ok((raw, Origin::Prefetch)));
    }
    let read = client?.read(resource_type, id).await;
    Some(read.map(|raw| (raw, Origin::Fetched)).map_err(|error| error.message))
}

fn media(resource: &lenient::Media, reference: String, origin: Origin) -> Result<Picture, String> {
    match resource.status.as_deref() {
        Some("completed") => {}
        Some("entered-in-error") => return Err("it was entered in error, so it was not used".into()),
        _ => return Err("it is not completed, so it was not used".into()),
    }
    let moving = resource.form.as_ref().is_some_and(|form| form.code("video") || form.code("audio"));
    let several = resource.frames.as_ref().is_some_and(|frames| frames.as_u64() != Some(1));
    if moving || several || resource.duration.is_some() {
        return Err("it is a recording and not one picture, so it was not used".into());
    }
    let content = resource.content.clone().ok_or("it holds no picture")?;
    let start = resource.created_period.as_ref().and_then(|period| period.start.as_deref());
    let date = dated([resource.created_date_time.as_deref(), start])?;
    let shaped = |name: &String| name.chars().count() <= 64 && !name.chars().any(char::is_control);
    let described = Described {
        modality: kind::modality(resource.modality.as_ref()),
        body_part: kind::named(BODY_PARTS, resource.body_site.as_ref()),
        view: kind::named(VIEWS, resource.view.as_ref()),
        manufacturer: resource.device_name.clone().filter(shaped),
        date: date.clone(),
    };
    let description = content.title.clone();
    Ok(Picture { reference, content, described, date, description, origin })
}

/// The first picture of a document; `None` where it holds none, as letters do.
fn document(
    resource: &lenient::DocumentReference,
    reference: String,
    origin: Origin,
) -> Result<Option<Picture>, String> {
    let pictured = |content: &&lenient::Attachment| {
        content.content_type.as_deref().is_some_and(|t| t.trim_start().to_ascii_lowercase().starts_with("image/"))
    };
    let contents = resource.content.iter().filter_map(|content| content.attachment.as_ref());
    let Some(content) = contents.into_iter().find(pictured) else { return Ok(None) };
    let withdrawn = [resource.status.as_deref(), resource.doc_status.as_deref()].contains(&Some("entered-in-error"));
    if withdrawn {
        return Err("it was entered in error, so it was not used".into());
    }
    if resource.status.as_deref() != Some("current") {
        return Err("it is not current, so it was not used".into());
    }
    let date = dated([content.creation.as_deref(), resource.date.as_deref()])?;
    let description = resource.description.clone().or_else(|| content.title.clone());
    let described = Described::default();
    Ok(Some(Picture { reference, content: content.clone(), described, date, description, origin }))
}

/// When a picture was taken. By an impossible date it cannot be told which picture is the newest.
fn dated(given: [Option<&str>; 2]) -> Result<Option<Date>, String> {
    match When::first(given) {
        When { misdated: true, .. } => Err(format!("{MISDATED}, so it was not used")),
        When { date, .. } => Ok(date),
    }
}
