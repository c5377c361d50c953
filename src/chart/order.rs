//! Which draft order is answered, and what it says about the film to read.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    Gap,
    facts::When,
    kind::{self, BODY_PARTS},
};
use crate::{
    caller::Caller,
    cds_hooks::HookRequest,
    egress::Base,
    error::{Error, Result},
    fhir::{Coding, Date, Reference, lenient},
    service::{Applies, OrderCode},
};

/// An imaging order as far as the product needs it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Order {
    pub text: String,
    pub code: Option<Coding>,
    /// The placer's own number; a draft order's id is temporary and never cited.
    pub identifier: Option<String>,
    pub authored_on: Option<Date>,
    /// DICOM modality and body part, where the service's table knows the code.
    pub modality: Option<String>,
    pub body_part: Option<String>,
    /// `left` or `right`, where it names one side.
    #[serde(default)]
    pub side: Option<String>,
    /// Why it was ordered, in the orderer's words.
    #[serde(default)]
    pub reason: Option<String>,
    /// What in it speaks against something else in it; then nothing is read for it.
    #[serde(default)]
    pub contradiction: Option<String>,
    /// The studies the order names, then the Media.
    pub names: Vec<StudyName>,
    /// Ids of the DocumentReferences it names: letters, or pictures.
    #[serde(default)]
    pub documents: Vec<String>,
}

/// How an order names a study or a picture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StudyName {
    /// Id of an ImagingStudy on the same server.
    Id(String),
    /// Study Instance UID.
    Uid(String),
    /// Id of a Media on the same server.
    Media(String),
    /// By a reference to another server, which is not contacted.
    Elsewhere,
    /// By something that leads nowhere: no id, a name for use inside one document, a number of another kind.
    Unfollowed,
}

/// The imaging order to answer, and what stood beside it.
pub struct Asked {
    pub order: Order,
    /// Imaging orders beyond the first.
    pub others: usize,
    pub gaps: Vec<Gap>,
}

/// Picks the imaging order among the draft orders. `None`: there is none, and nothing else is our business.
///
/// Errors: `Invalid` where an order that may be an imaging order cannot be read or is not this patient's, and no other is.
pub fn asked(applies: &Applies, request: &HookRequest, caller: &Caller) -> Result<Option<Asked>> {
    let base = &super::gather::ehr(request, caller)?.fhir;
    let orders = request.context.draft_orders.as_deref().unwrap_or_default();
    let mut found: Option<Asked> = None;
    let mut gaps: Vec<(usize, String)> = Vec::new();
    for (at, raw) in orders.iter().enumerate() {
        match read(applies, raw, base, &request.context.patient_id) {
            Ok(None) => {}
            Ok(Some((order, misdated))) => match &mut found {
                None => {
                    gaps.extend(misdated.map(|why| (at, why)));
                    found = Some(Asked { order, others: 0, gaps: Vec::new() });
                }
                Some(asked) => asked.others += 1,
            },
            Err(why) => gaps.push((at, why)),
        }
    }
    // Entries that could not even be told apart come without a place of their own.
    gaps.extend(request.context.problems.iter().map(|why| (orders.len(), why.clone())));
    match (found, gaps.first()) {
        (None, None) => Ok(None),
        (None, Some((_, why))) => {
            Err(Error::invalid(format!("this order cannot be answered: {why}")).at("context.draftOrders"))
        }
        (Some(mut asked), _) => {
            asked.gaps =
                gaps.into_iter().map(|(at, why)| Gap { what: format!("draft order {}", at + 1), why }).collect();
            Ok(Some(asked))
        }
    }
}

/// The one order, where it is one of imaging for that patient.
pub fn order(applies: &Applies, raw: &RawValue, base: &Base, patient_id: &str) -> Option<Order> {
    read(applies, raw, base, patient_id).ok().flatten().map(|(order, _)| order)
}

/// The order, where it is one of imaging, and what is doubtful about it.
fn read(
    applies: &Applies,
    raw: &RawValue,
    base: &Base,
    patient_id: &str,
) -> std::result::Result<Option<(Order, Option<String>)>, String> {
    // Orders of other kinds are none of our business, however they are written.
    let kind = lenient::resource_type(raw).ok_or("it does not say what it is")?;
    if kind != "ServiceRequest" {
        return Ok(None);
    }
    let request: lenient::ServiceRequest = lenient::read(raw)?;
    if is_withdrawn(request.status.as_deref(), request.do_not_perform) {
        return Ok(None);
    }
    let Some(order) = imaging_order(applies, &request, base) else { return Ok(None) };
    lenient::sound(raw)?;
    ordered_for(request.subject.as_ref(), base, patient_id)?;
    let misdated = When::first([request.authored_on.as_deref()]).misdated;
    let told = "the date given is not a valid date, so films up to now were looked for";
    Ok(Some((order, misdated.then(|| told.into()))))
}

/// Whether a draft order is for that patient; who it is for otherwise is nobody's business here.
pub fn ordered_for(subject: Option<&lenient::Ref>, base: &Base, patient_id: &str) -> std::result::Result<(), String> {
    let subject = subject.and_then(|subject| subject.reference.as_deref()).and_then(Reference::parse);
    match subject.is_some_and(|subject| subject.is(base, "Patient", patient_id)) {
        true => Ok(()),
        false => Err("it is not an order for the patient of the request".into()),
    }
}

/// Whether a draft order asks for nothing: taken back, over, or one not to do it. Of any type of order.
pub fn is_withdrawn(status: Option<&str>, do_not_perform: Option<bool>) -> bool {
    do_not_perform == Some(true)
        || matches!(status, Some("entered-in-error" | "revoked" | "cancelled" | "stopped" | "completed"))
}

fn imaging_order(applies: &Applies, request: &lenient::ServiceRequest, base: &Base) -> Option<Order> {
    let concept = request.code.as_ref();
    let known = applies.codes.iter().find(|c| concept.is_some_and(|concept| concept.has(&c.system, &c.code)));
    let by_category =
        applies.categories.iter().any(|c| request.category.iter().any(|given| given.has(&c.system, &c.code)));
    if known.is_none() && !by_category {
        return None;
    }
    let named = |info: &lenient::Ref| study_name(info, base);
    let mut names: Vec<StudyName> = request.supporting_info.iter().filter_map(named).collect();
    names.sort_by_key(|name| matches!(name, StudyName::Media(_)));
    let coding = concept
        .and_then(|c| c.coding.iter().find_map(|c| Some((c.system.as_ref()?, c.code.as_ref()?, c.display.as_ref()))));
    Some(Order {
        text: known
            .map(|k| k.display.clone())
            .or_else(|| concept?.label().map(str::to_owned))
            .unwrap_or_else(|| "imaging".into()),
        code: match known {
            Some(k) => {
                Some(Coding { system: k.system.clone(), code: k.code.clone(), display: Some(k.display.clone()) })
            }
            None => coding.map(|(system, code, display)| Coding {
                system: system.to_string(),
                code: code.to_string(),
                display: display.map(|display| display.to_string()),
            }),
        },
        identifier: request.identifier.iter().find_map(|i| i.value.clone()),
        authored_on: request.authored_on.as_deref().and_then(Date::parse),
        modality: known.map(|k| k.modality.clone()),
        body_part: known.map(|k| k.body_part.clone()),
        side: side(request).map(str::to_owned),
        reason: request.reason_code.iter().find_map(|reason| reason.label().map(str::to_owned)),
        contradiction: contradiction(applies, request),
        names,
        documents: request.supporting_info.iter().filter_map(|info| document(info, base)).collect(),
    })
}

/// The side its code or its body site names; two of them contradict each other.
fn side(request: &lenient::ServiceRequest) -> Option<&'static str> {
    request.code.iter().chain(request.body_site.iter()).flat_map(kind::words).find_map(kind::side)
}

/// What in an order speaks against something else in it, as far as codes of the service's table, the names of a few parts of
/// the body, and the words "left" and "right" tell.
fn contradiction(applies: &Applies, request: &lenient::ServiceRequest) -> Option<String> {
    let concepts = || request.code.iter().chain(request.body_site.iter());
    let said: Vec<&str> = concepts().flat_map(kind::words).collect();
    let sides: Vec<&str> = said.iter().filter_map(|words| kind::side(words)).collect();
    if sides.iter().any(|side| *side != sides[0]) {
        return Some("it names the left side and the right side".into());
    }
    let coded = |c: &&OrderCode| request.code.as_ref().is_some_and(|code| code.has(&c.system, &c.code));
    let mut known = applies.codes.iter().filter(coded);
    let first = known.next()?;
    if known.any(|other| other.body_part != first.body_part || !kind::same_modality(&other.modality, &first.modality)) {
        return Some("its codes are those of different examinations".into());
    }
    let meant = first.body_part.as_str();
    let other = said.into_iter().find_map(|words| {
        let parts: Vec<&str> = kind::mentioned(BODY_PARTS, words).collect();
        parts.first().copied().filter(|_| !parts.contains(&meant))
    });
    other
        .map(|other| format!("its code is for the {}, and it names the {}", meant.to_lowercase(), other.to_lowercase()))
}

fn study_name(info: &lenient::Ref, base: &Base) -> Option<StudyName> {
    if let Some(reference) = info.reference.as_deref().and_then(Reference::parse) {
        let id = reference.id.to_owned();
        return match reference.resource_type {
            named @ ("ImagingStudy" | "Media") if !reference.is(base, named, &id) => Some(StudyName::Elsewhere),
            "ImagingStudy" => Some(StudyName::Id(id)),
            "Media" => Some(StudyName::Media(id)),
            _ => None,
        };
    }
    // INVARIANT: a_study_that_cannot_be_followed_is_not_replaced_by_another
    let names_one = |text: &str| text.split(['/', '\\']).any(|part| matches!(part, "ImagingStudy" | "Media"));
    if let Some(text) = info.reference.as_deref().filter(|text| names_one(text)) {
        return Some(if text.contains("://") { StudyName::Elsewhere } else { StudyName::Unfollowed });
    }
    let identifier = info.identifier.as_ref().filter(|i| i.system.as_deref() == Some("urn:dicom:uid"));
    if let Some(uid) = identifier.and_then(|identifier| identifier.value.as_deref()) {
        return Some(StudyName::Uid(uid.strip_prefix("urn:oid:").unwrap_or(uid).to_owned()));
    }
    info.resource_type.as_deref().is_some_and(names_one).then_some(StudyName::Unfollowed)
}

/// A document of the same server. Those of other servers are not looked at, and most are letters.
fn document(info: &lenient::Ref, base: &Base) -> Option<String> {
    let reference = info.reference.as_deref().and_then(Reference::parse)?;
    reference.is(base, "DocumentReference", reference.id).then(|| reference.id.to_owned())
}
