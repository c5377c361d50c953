//! The draft orders of a request: which of them are to be checked, and what each orders.
//! <https://cds-hooks.hl7.org/hooks/order-select/> <https://cds-hooks.hl7.org/hooks/order-sign/>

use std::collections::{HashMap, HashSet};

use serde_json::value::RawValue;

use crate::{
    caller::Caller,
    cds_hooks::HookRequest,
    chart::{self, Gap, Named},
    egress::Base,
    error::Result,
    fhir::{
        Date, Reference, is_id,
        lenient::{self, Head, Medication, MedicationRequest, Ref, ServiceRequest},
    },
};

/// Orders checked in one call.
const MOST_CHECKED: usize = 200;
/// Characters of an order's own words that are shown.
pub const LONGEST_TEXT: usize = 300;

/// An order as far as checks need it. All text is the EHR's.
#[derive(Clone, Debug)]
pub struct Order {
    /// Counted from 1, as a reader finds it in the Bundle.
    pub number: usize,
    /// `Type/id`, where it has an id that can be named and is no other's.
    pub reference: Option<String>,
    /// As it is shown.
    pub text: String,
    pub kind: Kind,
    pub named: Named,
    pub authored_on: Option<Date>,
    /// Whether it is checked, or only what others are checked against.
    pub checked: bool,
    /// What of it could not be read, though it is checked by the rest.
    doubt: Option<&'static str>,
}

/// What `open` says of an entry.
type Opened = std::result::Result<(Head, std::result::Result<(), &'static str>), String>;

/// The Medications of the Bundle by id; `None` is one that cannot be used.
type Medicines = HashMap<String, Vec<Option<Medication>>>;

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
    let opened: Vec<Opened> = raws.iter().map(|raw| lenient::open(raw)).collect();
    let (mut medicines, mut named, mut shared) = (Medicines::new(), HashSet::new(), HashSet::new());
    for (raw, opened) in raws.iter().zip(&opened) {
        let Ok((Head { resource_type, id: Some(id), .. }, sound)) = opened else { continue };
        if resource_type == "Medication" {
            let medicine = sound.ok().and_then(|()| lenient::read(raw).ok());
            medicines.entry(id.to_string()).or_default().push(medicine);
        }
        let reference = format!("{resource_type}/{id}");
        if !named.insert(reference.clone()) {
            shared.insert(reference);
        }
    }
    for ((number, raw), opened) in (1..).zip(raws).zip(opened) {
        match order(raw, opened, number, &ehr.fhir, &context.patient_id, &medicines) {
            Ok(order) => drafts.orders.extend(order),
            Err(why) => drafts.not_evaluated.push(Gap { what: format!("draft order {number}"), why }),
        }
    }
    if let Some(selections) = &context.selections {
        drafts.select(selections);
    }
    // INVARIANT: an_id_that_two_drafts_share_is_never_suggested_for_removal
    let is_shared = |order: &&mut Order| order.reference.as_ref().is_some_and(|reference| shared.contains(reference));
    drafts.orders.iter_mut().filter(is_shared).for_each(|order| order.reference = None);
    drafts.bound();
    let checked = drafts.orders.iter().filter(|order| order.checked);
    drafts.not_evaluated.extend(checked.filter_map(|order| Some(order.gap(order.doubt?))));
    Ok(drafts)
}

impl DraftOrders {
    /// Leaves only the selected ones to be checked.
    fn select(&mut self, selections: &[String]) {
        // Some senders write `Bundle/id#Type/id`, some a bare id.
        let wanted: HashSet<&str> = selections.iter().filter_map(|selection| selection.rsplit('#').next()).collect();
        let mut found = HashSet::new();
        for order in &mut self.orders {
            let reference = order.reference.as_deref();
            let names = [reference, reference.and_then(|reference| Some(reference.split_once('/')?.1))];
            let its: Vec<&str> = names.into_iter().flatten().filter_map(|name| wanted.get(name).copied()).collect();
            // A bare id that two orders have says nothing of which is meant: both are checked.
            order.checked = !its.is_empty();
            found.extend(its);
        }
        let why = match wanted.len() - found.len() {
            0 if wanted.is_empty() && !self.orders.is_empty() => "there are none, so no draft order was checked".into(),
            0 => return,
            unknown => {
                format!("{unknown} of them name(s) no draft order that could be read, so nothing was checked for it")
            }
        };
        self.not_evaluated.push(Gap { what: "selections".into(), why });
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
    /// Why something about it was not evaluated.
    pub fn gap(&self, why: impl Into<String>) -> Gap {
        Gap { what: format!("draft order {}: {}", self.number, self.text), why: why.into() }
    }
}

/// `None`: an entry that orders nothing.
fn order(
    raw: &RawValue,
    opened: Opened,
    number: usize,
    base: &Base,
    patient_id: &str,
    medicines: &Medicines,
) -> std::result::Result<Option<Order>, String> {
    let (head, sound) = opened?;
    match head.resource_type.as_str() {
        "MedicationRequest" | "ServiceRequest" => {}
        // What an order names rides along with it.
        "Medication" => {
            sound?;
            return lenient::read::<Medication>(raw).map(|_| None);
        }
        other => return Err(format!("no check looks at an order of this type ({})", chart::plain(other, 64))),
    }
    // INVARIANT: an_order_for_another_patient_is_told_and_not_checked
    chart::ordered_for(head.subject.as_ref(), base, patient_id)?;
    sound?;
    // INVARIANT: an_id_that_is_no_id_is_never_suggested_for_removal
    let reference = head.id.as_deref().filter(|id| is_id(id)).map(|id| format!("{}/{id}", head.resource_type));
    let mut doubt = None;
    let (status, do_not_perform, authored_on, text, kind, named) = if head.resource_type == "MedicationRequest" {
        let request: MedicationRequest = lenient::read(raw)?;
        let named;
        (named, doubt) = ordered(&request, base, medicines)?;
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
    Ok(Some(Order { number, reference, text, kind, named, authored_on, checked: true, doubt }))
}

fn label(named: &Named) -> Option<String> {
    let code = || named.codes.first().map(|coding| coding.code.clone());
    named.words.iter().find(|words| !words.trim().is_empty()).cloned().or_else(code)
}

/// The medicine itself, or the Medication the order names: one within it, or another entry of the Bundle. With what of it
/// could not be read.
// INVARIANT: a_medicine_that_is_named_by_reference_is_read_or_told
fn ordered(
    request: &MedicationRequest,
    base: &Base,
    medicines: &Medicines,
) -> std::result::Result<(Named, Option<&'static str>), String> {
    let itself = request.medication_codeable_concept.iter();
    let Some(by_reference) = &request.medication_reference else { return Ok((Named::concepts(itself), None)) };
    let (medicine, mut doubt) = match the_one(by_reference, &request.contained, base, medicines) {
        Ok(medicine) => (medicine, None),
        Err(why) => (None, Some(why)),
    };
    if medicine.is_some_and(|medicine| medicine.status.as_deref() == Some("entered-in-error")) {
        return Err("the medicine it names was entered in error".into());
    }
    let parts = || medicine.into_iter().flat_map(|medicine| medicine.ingredient.iter());
    if parts().any(|part| part.item_reference.is_some()) {
        doubt = Some("an ingredient of it is named by reference only and was not compared");
    }
    let code = medicine.and_then(|medicine| medicine.code.as_ref());
    let parts = parts().filter_map(|part| part.item_codeable_concept.as_ref());
    let mut named = Named::concepts(itself.chain(code).chain(parts));
    named.words.extend(by_reference.display.as_deref().map(str::to_owned));
    match named.is_empty() {
        true => Err(doubt.unwrap_or("the medicine it names is not among the draft orders").into()),
        false => Ok((named, doubt)),
    }
}

/// Errors: why it cannot be told which one that is, or what it is.
fn the_one<'a>(
    reference: &Ref,
    contained: &'a [Medication],
    base: &Base,
    medicines: &'a Medicines,
) -> std::result::Result<Option<&'a Medication>, &'static str> {
    let Some(text) = reference.reference.as_deref() else { return Ok(None) };
    let found: Vec<Option<&Medication>> = match text.strip_prefix('#') {
        Some(within) => contained.iter().filter(|m| m.id.as_deref() == Some(within)).map(Some).collect(),
        None => {
            let named = Reference::parse(text).filter(|named| named.is(base, "Medication", named.id));
            let those = named.and_then(|named| medicines.get(named.id));
            those.into_iter().flatten().map(Option::as_ref).collect()
        }
    };
    match found[..] {
        [Some(medicine)] => Ok(Some(medicine)),
        [None] => {
            Err("the medicine it refers to cannot be used, so only what stands beside the reference was compared")
        }
        [] => Err("the medicine it refers to was not received, so only what stands beside the reference was compared"),
        _ => Err("two medicines have the id it refers to, so only what stands beside the reference was compared"),
    }
}
