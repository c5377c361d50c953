//! Has the resources a service asks for: from prefetch where the EHR sent them, from its FHIR server where it did not.

use std::collections::{HashMap, hash_map::Entry};

use compact_str::CompactString as Text;
use futures::future::join_all;

use super::{Examined, Gap, Origin, gather::is_unnamed};
use crate::{
    cds_hooks::{HookRequest, State, resolve},
    egress::Base,
    error::{Error, Kind, Result},
    fhir::{Client, Raw, Reference, Split, is_id, lenient},
    service::{PrefetchTemplate, Service},
};

/// Types whose absence is dangerous to assume: an empty answer from the EHR is checked against its server.
const SAFETY_TYPES: [&str; 3] = ["AllergyIntolerance", "Condition", "MedicationRequest"];

/// One resource of this patient, read as far as its head.
pub struct Resource {
    pub head: lenient::Head,
    pub id: Text,
    pub raw: Raw,
    pub origin: Origin,
    /// Indices of the keys it came under among [`Collected::examined`].
    pub asked: Vec<usize>,
}

impl Resource {
    /// Absolute reference under the EHR's base.
    pub fn reference(&self, base: &Base) -> String {
        Reference { base: "", resource_type: &self.head.resource_type, id: &self.id }.absolute(base)
    }
}

/// Everything had for one request, before it is understood.
#[derive(Default)]
pub struct Collected {
    pub resources: Vec<Resource>,
    pub examined: Vec<Examined>,
    pub gaps: Vec<Gap>,
}

struct Answer {
    resources: Vec<Raw>,
    origin: Origin,
    complete: bool,
    problems: Vec<String>,
    /// The EHR answered the key, and its answer was that it has nothing to send.
    nothing: bool,
}

impl Answer {
    fn sent(resources: Vec<Raw>, problems: Vec<String>) -> Answer {
        Answer { resources, origin: Origin::Prefetch, complete: false, problems, nothing: false }
    }
}

/// What was had for each key, still as it came.
pub struct Answers(Vec<(PrefetchTemplate, Result<Answer>)>);

impl Answers {
    /// Resources at hand, as a service's first key of their type would have brought them.
    pub fn at_hand(service: &Service, resources: Vec<Raw>) -> Answers {
        let at_once = service.prefetch.iter().filter(|template| !template.on_demand);
        let mut answers: Vec<(PrefetchTemplate, Vec<Raw>)> =
            at_once.map(|template| (template.clone(), Vec::new())).collect();
        for resource in resources {
            let kind = lenient::resource_type(&resource);
            let asks = |template: &PrefetchTemplate| template.query.split(['?', '/']).next() == kind.as_deref();
            if let Some((_, brought)) = answers.iter_mut().find(|(template, _)| asks(template)) {
                brought.push(resource);
            }
        }
        Answers(answers.into_iter().map(|(template, brought)| (template, Ok(Answer::sent(brought, vec![])))).collect())
    }

    pub fn bytes(&self) -> usize {
        let resources = self.0.iter().filter_map(|(_, answer)| answer.as_ref().ok()).flat_map(|a| &a.resources);
        resources.map(|raw| raw.get().len()).sum()
    }
}

/// Asks for these keys of the service in parallel.
pub async fn ask<'a>(
    service: &Service,
    templates: impl Iterator<Item = &'a PrefetchTemplate>,
    request: &HookRequest,
    base: &Base,
    client: Option<&Client>,
) -> Answers {
    let asked = templates.map(|template| async {
        let answer = answer(service, template, request, base, client).await;
        (template.clone(), answer)
    });
    Answers(join_all(asked).await)
}

/// Sorts out whose and what each resource is.
///
/// A required key that can be had neither from the request nor from the EHR is `MissingData` naming the key. One that the
/// EHR answered with nothing (`null`, an empty Bundle) is answered: a gap (CDS Hooks asks 412 only for what cannot be had).
pub fn collect(answers: Answers, patient_id: &str, base: &Base) -> Result<Collected> {
    let mut collected = Collected::default();
    let mut seen: HashMap<Text, usize> = HashMap::new();
    for (template, answer) in answers.0 {
        let answer = match answer {
            Ok(answer) => answer,
            // The lack is ours, and passes.
            Err(error) if template.required && error.kind == Kind::Busy => return Err(error),
            Err(error) if template.required => {
                let message = format!("{}: required data could not be had: {error}", template.key);
                return Err(Error::missing_data(message).at(format!("prefetch.{}", template.key)).because(error));
            }
            Err(error) => {
                collected.gaps.push(Gap { what: template.key.clone(), why: error.message });
                continue;
            }
        };
        collected.gaps.extend(answer.problems.into_iter().map(|why| Gap { what: template.key.clone(), why }));
        let answered = answer.nothing;
        let kind = template.query.split(['?', '/']).next().unwrap_or_default();
        let (mut count, mut foreign, mut unusable, mut stray, mut repeated) = (0, 0, 0, 0, 0);
        let asked = collected.examined.len();
        collected.resources.reserve(answer.resources.len());
        for raw in answer.resources {
            match admit(raw, patient_id, base) {
                // Orders are looked at only where they are asked for.
                Ok((head, ..)) if head.resource_type == "ServiceRequest" && kind != "ServiceRequest" => stray += 1,
                Ok((head, id, raw)) => {
                    // INVARIANT: resources_of_another_kind_prove_nothing
                    let counted = if head.resource_type == kind { &mut count } else { &mut stray };
                    match seen.entry(head.resource_type.clone() + "/" + &id) {
                        Entry::Vacant(first) => {
                            first.insert(collected.resources.len());
                            *counted += 1;
                            let asked = vec![asked];
                            collected.resources.push(Resource { head, id, raw, origin: answer.origin, asked });
                        }
                        Entry::Occupied(first) if collected.resources[*first.get()].raw.get() == raw.get() => {
                            // INVARIANT: what_cannot_be_used_counts_under_every_key_it_came_under
                            let under = &mut collected.resources[*first.get()].asked;
                            if under.contains(&asked) {
                                repeated += 1;
                            } else {
                                *counted += 1;
                                under.push(asked);
                            }
                        }
                        Entry::Occupied(first) => {
                            unusable += 1;
                            let why = "it came twice with different contents; the first was used".into();
                            collected.gaps.push(Gap { what: first.key().to_string(), why });
                        }
                    }
                }
                Err(Refusal::Foreign) => foreign += 1,
                Err(Refusal::NotPatientData) => stray += 1,
                Err(Refusal::Unusable(what, why)) => {
                    unusable += 1;
                    collected.gaps.push(Gap { what, why });
                }
            }
        }
        if count == 0 && stray > 0 {
            let why = "it was answered with resources of another kind".into();
            collected.gaps.push(Gap { what: template.key.clone(), why });
        }
        if foreign > 0 {
            // INVARIANT: another_patients_resources_are_dropped_and_told
            let why = format!("{foreign} resource(s) of another patient were received and not used");
            collected.gaps.push(Gap { what: template.key.clone(), why });
        }
        // INVARIANT: null_for_a_required_key_is_an_answer_and_no_412
        if template.required && count == 0 && !answered {
            let message = format!("{}: required data could not be had: nothing usable was received", template.key);
            return Err(Error::missing_data(message).at(format!("prefetch.{}", template.key)));
        }
        collected.examined.push(Examined {
            what: template.key.clone(),
            resources: count,
            unusable: unusable + foreign,
            left_out: 0,
            origin: answer.origin,
            // What comes twice may stand in the place of something else.
            complete: answer.complete && (count > 0 || stray == 0) && repeated == 0,
        });
    }
    Ok(collected)
}

/// The five prefetch states: what was sent is used, what is lacking is fetched, a failure is not repeated.
async fn answer(
    service: &Service,
    template: &PrefetchTemplate,
    request: &HookRequest,
    base: &Base,
    client: Option<&Client>,
) -> Result<Answer> {
    let query = resolve(&template.query, &request.context)
        .ok_or_else(|| Error::new(Kind::MissingData, "the request does not carry what is needed to ask for it"));
    let is_read = !template.query.contains('?');
    let none = Split::default();
    let sent = match sent(service, template, query.as_deref().ok(), request) {
        Some(State::Resource(resource)) => return Ok(Answer::sent(vec![resource.clone()], vec![])),
        Some(State::Failed(why)) => {
            return Err(Error::upstream(format!("the EHR reported that it could not read it ({why})")));
        }
        Some(State::Bundle(split)) => split,
        Some(State::Null) => &none,
        None => {
            let nowhere = "it was not sent, and no FHIR server was named to fetch it from";
            let client = client.ok_or_else(|| Error::new(Kind::MissingData, nowhere))?;
            return fetch(client, &query?, is_read).await;
        }
    };
    // An answer, and never proof of absence: what is cut short, or dangerous to miss, is asked for once more.
    let (here, elsewhere) = sent.of(Some(base).filter(|base| !is_unnamed(base)));
    let (partial, nothing) = (sent.next.is_some(), here.is_empty());
    let more = sent.total.is_some_and(|total| total > (sent.resources.len() - sent.included) as u64);
    let safety = SAFETY_TYPES.iter().any(|t| template.query.starts_with(t));
    let again =
        client.filter(|client| (nothing && is_read) || (client.has_token() && (partial || (nothing && safety))));
    let here = here.into_iter().cloned().collect();
    let mut answer = Answer::sent(here, sent.problems.iter().cloned().chain(elsewhere).collect());
    answer.nothing = sent.resources.is_empty();
    let failed = match (again, query) {
        (Some(client), Ok(query)) => match fetch(client, &query, is_read).await {
            Ok(fetched) => return Ok(fetched),
            Err(error) => Some(error),
        },
        _ => None,
    };
    if more && !partial {
        answer.problems.push("the EHR says that there is more than it sent".into());
    }
    if partial {
        answer.problems.push("only the first page was received, the rest could not be fetched".into());
    } else if nothing && is_read {
        answer.problems.push("the EHR sent nothing for it".into());
    }
    // INVARIANT: what_was_sent_is_kept_where_asking_again_fails
    answer.problems.extend(failed.map(|error| format!("it was asked for once more, and could not be had: {error}")));
    Ok(answer)
}

/// What came under keys that nobody asked for and does not show what it answers.
// INVARIANT: what_was_sent_unasked_is_told
pub fn unasked(service: &Service, request: &HookRequest) -> Option<Gap> {
    let asked: Vec<(&str, Option<String>)> =
        service.prefetch.iter().map(|t| (t.key.as_str(), resolve(&t.query, &request.context))).collect();
    let is_asked = |(key, state): &&(String, State)| {
        let answers = |query: &Option<String>| query.as_deref().is_some_and(|query| state.answers(query));
        matches!(state, State::Null) || asked.iter().any(|(ours, query)| ours == key || answers(query))
    };
    let unasked = request.prefetch.entries.iter().filter(|entry| !is_asked(entry)).count();
    let why = format!("{unasked} of the keys sent were not asked for, so what is under them was not used");
    (unasked > 0).then(|| Gap { what: "prefetch".into(), why })
}

/// What the EHR sent for a template: under its key, else under a key of the hospital's own.
fn sent<'a>(
    service: &Service,
    template: &PrefetchTemplate,
    query: Option<&str>,
    request: &'a HookRequest,
) -> Option<&'a State> {
    let ours = |key: &str| service.prefetch.iter().any(|template| template.key == key);
    request.prefetch.get(&template.key).or_else(|| request.prefetch.alike(query?, ours))
}

async fn fetch(client: &Client, query: &str, is_read: bool) -> Result<Answer> {
    if !is_read {
        let found = client.search(query).await?;
        return Ok(Answer {
            resources: found.resources,
            origin: Origin::Fetched,
            complete: found.complete,
            problems: found.problems,
            nothing: false,
        });
    }
    let (resource_type, id) = query.split_once('/').ok_or_else(|| Error::fault("a read template names no id"))?;
    let resource = client.read(resource_type, id).await?;
    let resources = vec![resource];
    Ok(Answer { resources, origin: Origin::Fetched, complete: true, problems: vec![], nothing: false })
}

/// Why a resource is not used.
pub enum Refusal {
    Foreign,
    /// Outcomes, organisations and the like that ride along in a Bundle.
    NotPatientData,
    Unusable(String, String),
}

pub type Admitted = (lenient::Head, Text, Raw);

/// The resource with its head and id, if it is this patient's and can be cited.
pub fn admit(raw: Raw, patient_id: &str, base: &Base) -> std::result::Result<Admitted, Refusal> {
    let (head, sound) = lenient::open(&raw).map_err(|why| Refusal::Unusable("a resource".into(), why))?;
    let about = |about: &Option<lenient::Ref>| {
        let reference = about.as_ref()?.reference.as_deref().and_then(Reference::parse);
        Some(reference.is_some_and(|r| r.is(base, "Patient", patient_id)))
    };
    // Whose it is comes first: of what is another patient's, nothing is told but that it was there.
    let ours = match head.resource_type.as_str() {
        "Patient" => Some(head.id.as_deref() == Some(patient_id)),
        "Endpoint" => Some(true),
        "AllergyIntolerance" => about(&head.patient),
        "Condition" | "MedicationRequest" | "Observation" | "DiagnosticReport" | "ImagingStudy" | "Media"
        | "DocumentReference" | "ServiceRequest" => about(&head.subject),
        _ => return Err(Refusal::NotPatientData),
    };
    let unusable = |why: &str| Err(Refusal::Unusable(head.resource_type.to_string(), why.to_owned()));
    let id = match (ours, &head.id) {
        (Some(false), _) => return Err(Refusal::Foreign),
        (None, _) => return unusable("one does not say whose it is, so it was not used"),
        // INVARIANT: an_id_that_is_a_path_is_never_cited
        (_, Some(id)) if is_id(id) => id.clone(),
        (_, _) => return unusable("one has no usable id, so nothing could cite it"),
    };
    if let Err(why) = sound {
        return Err(Refusal::Unusable(format!("{}/{id}", head.resource_type), why.into()));
    }
    Ok((head, id, raw))
}
