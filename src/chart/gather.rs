//! The first half of an answer: prefetch and fetch into a [`Chart`]. The access token dies here.

use std::{borrow::Cow, collections::BTreeMap};

use tokio::time::Instant;

use super::{
    Asked, Chart, Evidence, EvidenceId, Examined, Fact, Gap, Origin, Reading, Role, Subject,
    collect::{Answers, ask, unasked},
    facts::Stated,
    films::{Films, incomparable, picture},
    named::Named,
    relevance,
    understood::{Understood, understood},
};
use crate::{
    caller::{AllowedBase, Caller},
    capacity::Processor,
    cds_hooks::HookRequest,
    egress::{Base, Egress},
    error::{Error, Result},
    fhir::{self, Client, Date, Raw, Reference, lenient},
    imaging::{self, Identity, Image},
    progress::{Progress, Stage},
    service::Service,
};

/// Base of references where no EHR is named. It cannot be contacted.
const UNNAMED: &str = "https://ehr-without-a-name.invalid/fhir";

/// Whether it stands for an EHR that nobody named.
pub fn is_unnamed(base: &Base) -> bool {
    base.named().as_str() == UNNAMED
}

/// Gaps named one by one; beyond these they are counted.
const MAX_GAPS: usize = 200;

/// What gathering may draw on.
pub struct Sources<'a> {
    pub service: &'a Service,
    pub request: &'a HookRequest,
    pub caller: &'a Caller,
    pub ehrs: &'a Egress,
    pub archives: &'a Egress,
    pub processor: &'a Processor,
    pub decoder: &'a imaging::Decoder,
    pub upstream: &'a fhir::Limits,
    pub imaging: &'a imaging::Limits,
    /// Side in pixels of the picture the model takes.
    pub picture_side: u32,
    pub now: Date,
    /// When searching the EHR ends; what is not there by then is a gap.
    pub search_by: Instant,
    /// When reading films ends.
    pub fetch_by: Instant,
    /// When the answer is due.
    pub answer_by: Instant,
    pub progress: &'a Progress,
}

/// Everything known about the request's patient, and the films the order is about where there is one.
///
/// Errors: `Invalid` for a server that is not the caller's, `MissingData` where a required key cannot be had.
pub async fn gather(sources: Sources<'_>, asked: Option<Asked>) -> Result<Chart> {
    let Sources { service, request, caller, .. } = sources;
    let allowed = ehr(request, caller)?;
    let base = &allowed.fhir;
    let token = request.authorization.as_ref().map(|a| &a.token);
    // A server is asked only where the request names it, and a search that hangs leaves time for the films.
    let named = request.fhir_server.is_some();
    let films_client = named.then(|| {
        let (ehrs, processor, limits) = (sources.ehrs.clone(), sources.processor.clone(), sources.upstream.clone());
        Client::new(ehrs, processor, base.clone(), token.cloned(), limits, sources.fetch_by)
    });
    // One count of calls and bytes for the whole request.
    let client = films_client.as_ref().map(|client| client.until(sources.search_by));
    let at_once = service.prefetch.iter().filter(|template| !template.on_demand);
    let answers = ask(service, at_once, request, base, client.as_ref()).await;
    let (patient_id, own) = (request.context.patient_id.clone(), base.clone());
    let for_rules = !service.checks.is_empty();
    let (length, read) = (answers.bytes(), move || understood(answers, &patient_id, &own, for_rules));
    let Understood { patient, known, named, mut stated, mut examined, mut gaps } =
        sources.processor.work(length, sources.answer_by, read).await??;
    gaps.extend(unasked(service, request));

    let moment = asked.as_ref().and_then(|a| a.order.authored_on.clone()).unwrap_or_else(|| sources.now.clone());
    let mut reading: Option<Reading> = None;
    if let Some(asked) = asked {
        sources.progress.enter(Stage::Films);
        gaps.extend(asked.gaps);
        if asked.others > 0 {
            let why =
                format!("{} further imaging order(s) were signed together with it and not read for", asked.others);
            gaps.push(Gap { what: "orders".into(), why });
        }
        let films = Films {
            client: films_client.as_ref(),
            access: imaging::Access {
                egress: sources.archives,
                processor: sources.processor,
                decoder: sources.decoder,
                base: &allowed,
                token,
                limits: sources.imaging,
                deadline: sources.fetch_by,
            },
            identity: Identity::of(&patient, &allowed.patient_id_systems, &sources.now),
            side: sources.picture_side,
            moment: &moment,
            service,
            request,
            pictures_by: sources.search_by + (sources.fetch_by - sources.search_by) / 2,
            studies_complete: complete(&examined, "studies"),
            reports_complete: complete(&examined, "reports"),
        };
        let read = films.read(asked.order, asked.others, known).await;
        gaps.extend(read.gaps);
        examined.extend(read.examined);
        stated.extend(read.pictures);
        reading = Some(read.reading);
    }

    let absolute = |text: &String| Reference::parse(text).map(|r| r.absolute(base));
    let (source_base, reference) = subject(request, caller)?;
    let whole = Whole { source_base, reference, patient, named, stated, examined, gaps, reading };
    let chart = whole.chart(service, &sources.now);
    let encounter = request.context.encounter_id.as_ref().and_then(|id| absolute(&format!("Encounter/{id}")));
    Ok(Chart { requester: request.context.user_id.as_ref().and_then(absolute), encounter, ..chart })
}

/// What is at hand of a patient when nothing is asked of anybody: the pure part of [`gather`].
pub struct AtHand<'a> {
    pub service: &'a Service,
    pub base: &'a Base,
    pub patient_id: &'a str,
    pub resources: Vec<Raw>,
    pub current: Option<Image>,
    pub earlier: Option<Image>,
    pub reading: Option<Reading>,
    pub now: &'a Date,
}

impl AtHand<'_> {
    /// Errors: `MissingData` where the patient is not among the resources.
    pub fn chart(self) -> Result<Chart> {
        let answers = Answers::at_hand(self.service, self.resources);
        let Understood { patient, named, mut stated, examined, gaps, .. } =
            understood(answers, self.patient_id, self.base, !self.service.checks.is_empty())?;
        let compared =
            |earlier: &Image| self.current.as_ref().is_some_and(|film| incomparable(earlier, film).is_none());
        let earlier = self.earlier.filter(compared).map(|film| (Role::Prior, film));
        let films = self.current.map(|film| (Role::Current, film)).into_iter().chain(earlier);
        stated.extend(films.map(|(role, film)| picture(role, film, Origin::Fetched)));
        let reference = Reference { base: "", resource_type: "Patient", id: self.patient_id }.absolute(self.base);
        let source_base = bare(self.base.as_str()).to_owned();
        let whole = Whole { source_base, reference, patient, named, stated, examined, gaps, reading: self.reading };
        Ok(whole.chart(self.service, self.now))
    }
}

/// Everything that was had, not in order yet.
struct Whole {
    source_base: String,
    reference: String,
    patient: lenient::Patient,
    named: BTreeMap<String, Named>,
    stated: Vec<Stated>,
    examined: Vec<Examined>,
    gaps: Vec<Gap>,
    reading: Option<Reading>,
}

impl Whole {
    /// Numbers the facts, most relevant first.
    fn chart(mut self, service: &Service, now: &Date) -> Chart {
        let taken = self.stated.iter().find_map(|s| match &s.fact {
            Fact::Image { role: Role::Current, image } => image.date.clone(),
            _ => None,
        });
        let ordered = self.reading.as_ref().and_then(|reading| reading.order.authored_on.clone());
        let moment = taken.or(ordered).unwrap_or_else(|| now.clone());
        relevance::sort(&mut self.stated, service, &moment);
        let evidence = self.stated.into_iter().zip(1..).map(|(s, number)| Evidence {
            id: EvidenceId(number),
            reference: s.source.reference,
            date: s.when.date,
            misdated: s.when.misdated,
            fact: s.fact,
            origin: s.source.origin,
        });
        if self.gaps.len() > MAX_GAPS {
            let why = format!("{} more of these kinds, not listed", self.gaps.len() - MAX_GAPS);
            self.gaps.truncate(MAX_GAPS);
            self.gaps.push(Gap { what: "further gaps".into(), why });
        }
        let born = self.patient.birth_date.as_deref().and_then(Date::parse);
        Chart {
            source_base: self.source_base,
            subject: Subject {
                reference: self.reference,
                sex: self.patient.gender.filter(|g| matches!(g.as_str(), "male" | "female" | "other" | "unknown")),
                age_band: born.and_then(|born| born.age_band(now)),
            },
            requester: None,
            encounter: None,
            evidence: evidence.collect(),
            gaps: self.gaps,
            examined: self.examined,
            reading: self.reading,
            named: self.named,
        }
    }
}

/// Whether everything under a key was searched by us to the last page, and all of it could be used.
fn complete(examined: &[Examined], key: &str) -> bool {
    examined.iter().any(|e| e.what == key && e.complete && e.unusable == 0)
}

/// The EHR of the request. A server the caller may not name is refused before anything is contacted.
///
/// Where none is named and none is configured, the request can only be answered from what it brings along, and the
/// references in it are kept apart from every real EHR's.
pub fn ehr<'a>(request: &HookRequest, caller: &'a Caller) -> Result<Cow<'a, AllowedBase>> {
    match (&request.fhir_server, caller.allowed_bases.as_slice()) {
        (Some(named), bases) => {
            bases.iter().find(|b| bare(b.fhir.as_str()) == bare(named.as_str())).map(Cow::Borrowed).ok_or_else(|| {
                Error::invalid("this FHIR server is not one the caller may name; it has to be configured under [[ehr]]")
                    .at("fhirServer")
            })
        }
        (None, [only]) => Ok(Cow::Borrowed(only)),
        (None, []) => {
            let fhir = UNNAMED.parse().map_err(|e| Error::fault("no URL").because(e))?;
            let (dicomweb, patient_id_systems) = (vec![], vec![]);
            Ok(Cow::Owned(AllowedBase {
                fhir,
                dicomweb,
                patient_id_systems,
                dicomweb_takes_token: false,
                suggestions: false,
            }))
        }
        (None, _) => {
            Err(Error::invalid("fhirServer is needed to know which EHR the request speaks of").at("fhirServer"))
        }
    }
}

fn bare(base: &str) -> &str {
    base.strip_suffix('/').unwrap_or(base)
}

/// Base of the EHR and absolute reference of the patient a request is about.
pub fn subject(request: &HookRequest, caller: &Caller) -> Result<(String, String)> {
    let base = &ehr(request, caller)?.fhir;
    let patient = Reference { base: "", resource_type: "Patient", id: &request.context.patient_id };
    Ok((bare(base.as_str()).to_owned(), patient.absolute(base)))
}
