//! The draft orders of a request: which of them are to be checked, and what each orders.
//! <https://cds-hooks.hl7.org/hooks/order-select/> <https://cds-hooks.hl7.org/hooks/order-sign/>

use serde_json::value::RawValue;

use super::words::split;
use crate::{
    caller::Caller,
    cds_hooks::HookRequest,
    chart::{self, Gap, Named},
    egress::Base,
    error::Result,
    fhir::{
        Date, Reference, is_id,
        lenient::{self, Medication, MedicationRequest, Ref, ServiceRequest},
    },
};

/// Orders checked in one call.
const MOST_CHECKED: usize = 200;
/// Characters of an order's own words that are shown.
pub const LONGEST_TEXT: usize = 300;

/// Words of categories, and of services, that give the patient nothing. Codes stand among them where they have no display.
const CATEGORIES_WITHOUT: [&str; 15] = [
    "lab",
    "laboratory",
    "108252007",
    "pathology",
    "microbiology",
    "referral",
    "consultation",
    "3457005",
    "11429006",
    "diet",
    "nutrition",
    "education",
    "counselling",
    "physiotherapy",
    "검사실",
];
const SERVICES_WITHOUT: [&str; 13] = [
    "level",
    "levels",
    "ige",
    "igg",
    "antibody",
    "antibodies",
    "referral",
    "consult",
    "consultation",
    "bath",
    "baths",
    "culture",
    "naat",
];

/// An order as far as checks need it. All text is the EHR's.
#[derive(Clone, Debug)]
pub struct Order {
    /// Counted from 1, as a reader finds it in the Bundle.
    pub number: usize,
    /// `Type/id`, where it has an id that can be named.
    pub reference: Option<String>,
    /// As it is shown.
    pub text: String,
    pub kind: Kind,
    pub named: Named,
    pub authored_on: Option<Date>,
    /// Whether it is checked, or only what others are checked against.
    pub checked: bool,
}

#[derive(Clone, Debug)]
pub enum Kind {
    Medicine,
    /// With what its category names.
    Service(Named),
}

/// The orders, and what could not be read of them.
#[derive(Clone, Debug, Default)]
pub struct DraftOrders {
    pub orders: Vec<Order>,
    pub not_evaluated: Vec<Gap>,
}

/// Reads the draft orders. What cannot be read, or is not this patient's, is named and never taken for checked.
///
/// Errors: `Invalid` for a server that is not the caller's.
pub fn read(request: &HookRequest, caller: &Caller) -> Result<DraftOrders> {
    let ehr = chart::ehr(request, caller)?;
    let context = &request.context;
    let raws = context.draft_orders.as_deref().unwrap_or_default();
    let mut drafts = DraftOrders::default();
    let told = |why: &String| Gap { what: "draftOrders".into(), why: why.clone() };
    drafts.not_evaluated.extend(context.problems.iter().map(told));
    let medicines: Vec<Medication> = raws.iter().filter_map(|raw| medicine(raw)).collect();
    for (number, raw) in (1..).zip(raws) {
        match order(raw, number, &ehr.fhir, &context.patient_id, &medicines) {
            Ok(order) => drafts.orders.extend(order),
            Err(why) => drafts.not_evaluated.push(Gap { what: format!("draft order {number}"), why }),
        }
    }
    if let Some(selections) = &context.selections {
        drafts.select(selections);
    }
    drafts.bound();
    Ok(drafts)
}

impl DraftOrders {
    /// Leaves only the selected ones to be checked.
    fn select(&mut self, selections: &[String]) {
        self.orders.iter_mut().for_each(|order| order.checked = false);
        let mut unknown = 0;
        for selection in selections {
            // Some senders write `Bundle/id#Type/id`, some a bare id.
            let wanted = selection.rsplit('#').next().unwrap_or(selection);
            let is_it = |order: &&mut Order| {
                let reference = order.reference.as_deref();
                reference.is_some_and(|r| r == wanted || r.split_once('/').is_some_and(|(_, id)| id == wanted))
            };
            let mut found: Vec<&mut Order> = self.orders.iter_mut().filter(is_it).collect();
            // A bare id that two orders have says nothing of which is meant: both are checked.
            found.iter_mut().for_each(|order| order.checked = true);
            unknown += usize::from(found.is_empty());
        }
        if unknown > 0 {
            let why =
                format!("{unknown} of them name(s) no draft order that could be read, so nothing was checked for it");
            self.not_evaluated.push(Gap { what: "selections".into(), why });
        }
    }
}

impl DraftOrders {
    /// Leaves only so many to be checked; the others are told, and what is checked is still checked against them.
    fn bound(&mut self) {
        let beyond = self.orders.iter_mut().filter(|order| order.checked).skip(MOST_CHECKED);
        let beyond: Vec<usize> = beyond
            .map(|order| {
                order.checked = false;
                order.number
            })
            .collect();
        if let Some(first) = beyond.first() {
            let why = format!(
                "more than {MOST_CHECKED} are to be checked at once: {} of them were not, from draft order {first} on",
                beyond.len()
            );
            self.not_evaluated.push(Gap { what: "draftOrders".into(), why });
        }
    }
}

impl Order {
    /// Whether its category says that it gives the patient nothing, such as one of the laboratory.
    pub fn gives_nothing(&self) -> bool {
        matches!(&self.kind, Kind::Service(category) if has(&category.words, &CATEGORIES_WITHOUT))
    }

    /// Whether it is a service that gives nothing, by its category or, which is less sure, its own words.
    pub fn may_give_nothing(&self) -> bool {
        let by_words = || !self.named.is_too_long() && has(&self.named.words, &SERVICES_WITHOUT);
        self.gives_nothing() || matches!(self.kind, Kind::Service(_)) && by_words()
    }

    /// Why something about it was not evaluated.
    pub fn gap(&self, why: impl Into<String>) -> Gap {
        Gap { what: format!("draft order {}: {}", self.number, self.text), why: why.into() }
    }
}

fn has(texts: &[String], words: &[&str]) -> bool {
    texts.iter().flat_map(|text| split(text)).any(|word| words.contains(&word.as_str()))
}

fn medicine(raw: &RawValue) -> Option<Medication> {
    let is_one = lenient::resource_type(raw).as_deref() == Some("Medication");
    is_one.then(|| lenient::read(raw).ok()).flatten()
}

/// `None`: an entry that orders nothing.
fn order(
    raw: &RawValue,
    number: usize,
    base: &Base,
    patient_id: &str,
    medicines: &[Medication],
) -> std::result::Result<Option<Order>, String> {
    let (head, sound) = lenient::open(raw)?;
    match head.resource_type.as_str() {
        "MedicationRequest" | "ServiceRequest" => {}
        // What an order names rides along with it.
        "Medication" => return Ok(None),
        other => return Err(format!("no check looks at an order of this type ({})", chart::plain(other, 64))),
    }
    // INVARIANT: an_order_for_another_patient_is_told_and_not_checked
    chart::ordered_for(head.subject.as_ref(), base, patient_id)?;
    sound?;
    // INVARIANT: an_id_that_is_no_id_is_never_suggested_for_removal
    let reference = head.id.as_deref().filter(|id| is_id(id)).map(|id| format!("{}/{id}", head.resource_type));
    let (status, do_not_perform, authored_on, text, kind, named) = if head.resource_type == "MedicationRequest" {
        let request: MedicationRequest = lenient::read(raw)?;
        let named = ordered(&request, medicines)?;
        let text = label(&named);
        (request.status, request.do_not_perform, request.authored_on, text, Kind::Medicine, named)
    } else {
        let request: ServiceRequest = lenient::read(raw)?;
        let named = Named::order(&request);
        let text = request.code.as_ref().and_then(|code| code.label()).map(str::to_owned);
        let category = Kind::Service(Named::concepts(request.category.iter()));
        (request.status, request.do_not_perform, request.authored_on, text, category, named)
    };
    if chart::is_withdrawn(status.as_deref(), do_not_perform) {
        return Ok(None);
    }
    let text = text.filter(|_| !named.is_empty()).ok_or("it does not say what is ordered")?;
    let text = chart::plain(&text, LONGEST_TEXT);
    let authored_on = authored_on.as_deref().and_then(Date::parse);
    Ok(Some(Order { number, reference, text, kind, named, authored_on, checked: true }))
}

fn label(named: &Named) -> Option<String> {
    let code = || named.codes.first().map(|coding| coding.code.clone());
    named.words.iter().find(|words| !words.trim().is_empty()).cloned().or_else(code)
}

/// The medicine itself, or the Medication the order names: one within it, or another entry of the Bundle.
fn ordered(request: &MedicationRequest, medicines: &[Medication]) -> std::result::Result<Named, String> {
    let mut named = Named::concepts(&request.medication_codeable_concept);
    let Some(by_reference) = &request.medication_reference else { return Ok(named) };
    let medicine = |medicine: &Medication| {
        let parts = medicine.ingredient.iter().filter_map(|part| part.item_codeable_concept.as_ref());
        Named::concepts(medicine.code.iter().chain(parts))
    };
    let found = the_one(by_reference, &request.contained, medicines)?;
    let Named { codes, words, .. } = found.map(medicine).unwrap_or_default();
    named.codes.extend(codes);
    named.words.extend(words);
    named.words.extend(by_reference.display.as_deref().map(str::to_owned));
    match named.is_empty() {
        true => Err("the medicine it names is not among the draft orders".into()),
        false => Ok(named),
    }
}

fn the_one<'a>(
    reference: &Ref,
    contained: &'a [Medication],
    medicines: &'a [Medication],
) -> std::result::Result<Option<&'a Medication>, String> {
    let Some(text) = reference.reference.as_deref() else { return Ok(None) };
    let id = |medicine: &&Medication, id: &str| medicine.id.as_deref() == Some(id);
    let found = match text.strip_prefix('#') {
        Some(within) => contained.iter().find(|medicine| id(medicine, within)),
        None => match Reference::parse(text) {
            Some(named) if named.resource_type == "Medication" => medicines.iter().find(|m| id(m, named.id)),
            _ => None,
        },
    };
    match found.filter(|medicine| medicine.status.as_deref() == Some("entered-in-error")) {
        Some(_) => Err("the medicine it names was entered in error".into()),
        None => Ok(found),
    }
}
