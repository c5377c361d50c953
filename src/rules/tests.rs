//! Every rule finds what its own cases say, and what is not evaluated is told.

mod bounds;
mod dates;
mod doubts;
mod hidden;
mod parts;
mod reading;

use serde_json::{Value, json};

use super::{
    Against, Checked, Condition, DraftOrders, MatchedBy, Rules, check,
    check::{Relation, each},
    drafts, load,
};
use crate::{
    caller::Caller,
    cds_hooks::HookRequest,
    chart::{AtHand, Chart, Gap},
    fhir::{Date, Raw},
    service::{self, Check, Service},
};

fn service() -> Service {
    service::load(None).unwrap().0.into_iter().find(|service| !service.checks.is_empty()).unwrap()
}

fn rules() -> Rules {
    load(None).unwrap()
}

fn now() -> Date {
    Date::parse("2025-11-20T12:00:00Z").unwrap()
}

fn drafts_of(orders: &[Value], selections: Option<Value>) -> DraftOrders {
    let hook = if selections.is_some() { "order-select" } else { "order-sign" };
    let entry: Vec<Value> = orders.iter().map(|order| json!({ "resource": order })).collect();
    let mut request = json!({"hook": hook, "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea", "context": {
        "userId": "Practitioner/x", "patientId": "p", "draftOrders": {"resourceType": "Bundle", "entry": entry}}});
    if let Some(selections) = selections {
        request["context"]["selections"] = selections;
    }
    let request = HookRequest::parse(request.to_string().as_bytes(), false).unwrap();
    let caller = Caller { tenant: "t".into(), client: "c".into(), allowed_bases: vec![] };
    drafts::read(&request, &caller).unwrap()
}

fn with(mut base: Value, members: &Value) -> Value {
    base.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    base
}

fn an_order(members: &Value) -> Value {
    let base = json!({"resourceType": "MedicationRequest", "id": "o", "status": "draft", "intent": "order",
        "subject": {"reference": "Patient/p"}});
    with(base, members)
}

fn chart_of(records: &[Value]) -> Chart {
    charted(&service(), records)
}

fn charted(service: &Service, records: &[Value]) -> Chart {
    let record = |(n, members): (usize, &Value)| {
        let base = json!({"id": format!("r{n}"), "subject": {"reference": "Patient/p"}, "patient": {"reference": "Patient/p"}});
        let text = with(base, members).to_string();
        Raw::from(serde_json::value::RawValue::from_string(text).unwrap())
    };
    let at_hand = AtHand {
        service,
        base: &"https://ehr.example/fhir".parse().unwrap(),
        patient_id: "p",
        resources: records.iter().enumerate().map(record).collect(),
        current: None,
        earlier: None,
        reading: None,
        now: &now(),
    };
    at_hand.chart().unwrap()
}

/// What an alert says, without what it was made of.
#[derive(Debug)]
struct Said {
    rule: String,
    order: usize,
    reference: Option<String>,
    ordered_by: MatchedBy,
    /// Relation and gravity, of an allergy.
    allergy: Option<(Relation, bool)>,
}

#[derive(Debug)]
struct Answer {
    alerts: Vec<Said>,
    not_evaluated: Vec<Gap>,
}

fn answer(rules: &Rules, checks: &[Check], drafts: &DraftOrders, chart: &Chart) -> Answer {
    let now = now();
    let Checked { alerts, not_evaluated, .. } = check(rules, checks, drafts, chart, &now, &|| true);
    let said = |alert: super::Alert| Said {
        rule: alert.rule.id.clone(),
        order: alert.order.number,
        reference: alert.order.reference.clone(),
        ordered_by: alert.ordered_by,
        allergy: match alert.against {
            Against::Allergy { relation, grave, .. } => Some((relation, grave)),
            _ => None,
        },
    };
    Answer { alerts: alerts.into_iter().map(said).collect(), not_evaluated }
}

fn checked(checks: &[Check], orders: &[Value], records: &[Value]) -> Answer {
    answer(&rules(), checks, &drafts_of(orders, None), &chart_of(records))
}

fn text_order(text: &str) -> Value {
    an_order(&json!({"medicationCodeableConcept": {"text": text}}))
}

fn text_film(text: &str) -> Value {
    an_order(&json!({"resourceType": "ServiceRequest", "code": {"text": text}}))
}

fn text_allergy(text: &str) -> Value {
    json!({"resourceType": "AllergyIntolerance", "code": {"text": text}})
}

const BOTH: [Check; 2] = [Check::Allergy, Check::DuplicateImaging];

#[test]
fn every_rule_finds_what_its_cases_say_and_nothing_else() {
    let (all, files) = (rules(), super::load::read(None).unwrap());
    assert!(files.len() >= 9);
    let mut wrong = Vec::new();
    for (rule, (_, file)) in all.rules.iter().zip(&files) {
        assert_eq!(rule.cited.id, file.id);
        for case in &file.cases {
            let drafts = drafts_of(&[an_order(&case.order)], None);
            let chart = chart_of(&case.records);
            let own = answer(&all, &[rule.when.check()], &drafts, &chart);
            // A closer relation of another rule may stand in its place.
            let mut by: Vec<String> =
                answer(&all, &BOTH, &drafts, &chart).alerts.into_iter().map(|said| said.rule).collect();
            by.sort_unstable();
            by.dedup();
            let found = own.alerts.iter().any(|said| said.rule == file.id);
            let as_said = (found, !own.not_evaluated.is_empty()) == (case.found, case.not_evaluated);
            if !as_said || (!case.found && !by.iter().eq(&case.found_by)) {
                wrong.push(format!("{}: {}: found by {by:?}, {:?}", file.id, case.says, own.not_evaluated));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_closest_relation_is_the_one_told() {
    for (ordered, allergen, relation) in [
        ("amoxicillin 500 mg", "amoxicillin", Relation::SameSubstance),
        ("amoxicillin 500 mg", "ampicillin", Relation::SameClass),
        ("cefalexin 500 mg", "ampicillin", Relation::CrossReactive),
    ] {
        let checked = checked(&BOTH, &[text_order(ordered)], &[text_allergy(allergen)]);
        let told: Vec<Relation> = checked.alerts.iter().filter_map(|said| Some(said.allergy?.0)).collect();
        assert_eq!(told, [relation], "{ordered}, {allergen}");
    }
}

#[test]
fn only_a_recorded_danger_is_critical() {
    let anaphylaxis = json!([{"manifestation": [{"text": "Anaphylaxis"}]}]);
    for (ordered, more, grave) in [
        ("amoxicillin", json!({}), false),
        ("amoxicillin", json!({"criticality": "high"}), true),
        ("amoxicillin", json!({"criticality": "unable-to-assess"}), false),
        ("amoxicillin XR", json!({"criticality": "high"}), true),
        ("ampicillin", json!({"reaction": anaphylaxis}), true),
        ("cefalexin", json!({"criticality": "high", "reaction": anaphylaxis}), false),
    ] {
        let checked = checked(&BOTH, &[text_order(ordered)], &[with(text_allergy("amoxicillin"), &more)]);
        assert_eq!(checked.alerts[0].allergy.map(|(_, grave)| grave), Some(grave), "{ordered} {more}");
    }
}

#[test]
fn members_of_one_class_are_not_the_same_substance() {
    let atc = |code: &str| json!({"coding": [{"system": "http://www.whocc.no/atc", "code": code}]});
    for (allergen, ordered) in
        [("J01DB01", "J01DB04"), ("M01AE01", "M01AB05"), ("J01DD04", "J01DD08"), ("V08AB02", "V08AB05")]
    {
        let allergy = json!({"resourceType": "AllergyIntolerance", "code": atc(allergen), "criticality": "high"});
        let order = an_order(&json!({"medicationCodeableConcept": atc(ordered)}));
        let checked = checked(&BOTH, &[order], &[allergy]);
        let same = |said: &Said| said.allergy.is_some_and(|(relation, _)| relation == Relation::SameSubstance);
        assert!(!checked.alerts.iter().any(same), "{allergen}, {ordered}: {checked:?}");
    }
}

#[test]
fn the_name_of_a_medicine_is_no_examination_and_words_of_contrast_are_no_order_for_it() {
    let high = |text: &str| with(text_allergy(text), &json!({"criticality": "high"}));
    for (allergy, order) in [
        (high("Tegretol XR"), text_order("Metformin XR")),
        (high("CT contrast"), text_film("CT Head without contrast")),
        (high("iodinated contrast"), text_film("MRI brain with IV contrast")),
        (high("pet dander"), text_order("Imaging agent of the house")),
        (high("iodinated contrast"), text_order("barium sulfate for CT")),
    ] {
        let checked = checked(&[Check::Allergy], &[order], &[allergy]);
        assert!(checked.alerts.is_empty(), "{checked:?}");
        let of_contrast = checked.not_evaluated.iter().any(|gap| gap.why.contains("given with contrast"));
        assert!(!of_contrast, "{checked:?}");
    }
}

#[test]
fn a_statement_that_none_are_known_never_alerts() {
    for text in ["No known allergies", "NKDA", "No known drug allergies", "no known penicillin allergy"] {
        let checked = checked(&BOTH, &[text_order("amoxicillin")], &[text_allergy(text)]);
        assert!(checked.alerts.is_empty(), "{text}: {checked:?}");
    }
    let but = checked(&BOTH, &[text_order("amoxicillin")], &[text_allergy("No known allergies except penicillin")]);
    assert_eq!(but.alerts.len(), 1, "{but:?}");
}

#[test]
fn an_order_for_another_patient_is_told_and_not_checked() {
    let other = with(text_order("amoxicillin"), &json!({"subject": {"reference": "Patient/other"}}));
    let checked = checked(&BOTH, &[other], &[text_allergy("amoxicillin")]);
    assert!(checked.alerts.is_empty() && checked.not_evaluated.len() == 1, "{checked:?}");
    assert_eq!(checked.not_evaluated[0].why, "it is not an order for the patient of the request");
}

#[test]
fn an_id_that_is_no_id_is_never_suggested_for_removal() {
    for (id, reference) in [
        (json!("a-1"), Some("MedicationRequest/a-1")),
        (json!("../Patient/1"), None),
        (json!("a b"), None),
        (json!(""), None),
        (Value::Null, None),
    ] {
        let drafts = drafts_of(&[with(text_order("amoxicillin"), &json!({ "id": id }))], None);
        assert_eq!(drafts.orders[0].reference.as_deref(), reference, "{id}");
    }
}

#[test]
fn an_order_is_read_wherever_it_names_its_medicine() {
    let amoxicillin = json!({"resourceType": "Medication", "id": "m", "code": {"text": "amoxicillin"}});
    let mixture = json!({"resourceType": "Medication", "id": "m", "ingredient": [{"itemCodeableConcept": {"text": "amoxicillin"}}]});
    let of = |members: Value| an_order(&members);
    let within = json!({"reference": "#m"});
    let beside = json!({"reference": "Medication/m"});
    for (orders, read) in [
        (vec![of(json!({"contained": [amoxicillin], "medicationReference": within}))], true),
        (vec![of(json!({"contained": mixture, "medicationReference": within}))], true),
        (vec![of(json!({"medicationReference": beside})), amoxicillin.clone()], true),
        (vec![amoxicillin.clone(), of(json!({"medicationReference": beside}))], true),
        (vec![of(json!({"medicationReference": {"display": "Amoxicillin 500 mg"}}))], true),
        (vec![of(json!({"medicationReference": beside}))], false),
        (vec![of(json!({"medicationReference": {"reference": "urn:uuid:7"}}))], false),
        (vec![of(json!({}))], false),
        (vec![of(json!({"medicationCodeableConcept": {"text": " "}}))], false),
        (vec![json!({"resourceType": "NutritionOrder", "id": "n", "subject": {"reference": "Patient/p"}})], false),
    ] {
        let checked = checked(&BOTH, &orders, &[text_allergy("amoxicillin")]);
        assert_eq!(checked.alerts.len(), usize::from(read), "{orders:?}: {checked:?}");
        assert_eq!(checked.not_evaluated.is_empty(), read, "{orders:?}: {checked:?}");
    }
    for members in [json!({"doNotPerform": true}), json!({"status": "entered-in-error"}), json!({"status": "stopped"})]
    {
        let checked = checked(&BOTH, &[with(text_order("amoxicillin"), &members)], &[text_allergy("amoxicillin")]);
        assert!(checked.alerts.is_empty() && checked.not_evaluated.is_empty(), "{members}: {checked:?}");
    }
}

#[test]
fn only_what_is_selected_is_checked_and_against_everything_else() {
    let film = |id: &str| {
        with(an_order(&json!({"resourceType": "ServiceRequest", "code": {"text": "XR Chest"}})), &json!({ "id": id }))
    };
    let orders = [with(text_order("amoxicillin"), &json!({"id": "a"})), film("b"), film("c")];
    let chart = chart_of(&[text_allergy("amoxicillin")]);
    for (selections, numbers, untold) in [
        (json!(["MedicationRequest/a"]), vec![1], true),
        (json!(["ServiceRequest/b"]), vec![2], true),
        (json!(["ServiceRequest/b", "ServiceRequest/c"]), vec![3], true),
        (json!(["Bundle/x#ServiceRequest/c"]), vec![3], true),
        (json!(["a"]), vec![1], true),
        (json!(["MedicationRequest/b", "x"]), vec![], false),
        (json!([]), vec![], false),
    ] {
        let checked = answer(&rules(), &BOTH, &drafts_of(&orders, Some(selections.clone())), &chart);
        let found: Vec<usize> = checked.alerts.iter().map(|said| said.order).collect();
        assert_eq!(found, numbers, "{selections}: {checked:?}");
        assert_eq!(checked.not_evaluated.is_empty(), untold, "{selections}: {checked:?}");
    }
}

#[test]
fn an_allergy_list_that_may_have_failed_is_no_empty_one() {
    // What is at hand was not searched for: it is never known to be all.
    let checked = checked(&BOTH, &[text_order("amoxicillin")], &[]);
    assert_eq!(checked.not_evaluated.len(), 1, "{checked:?}");
    assert!(checked.not_evaluated[0].why.starts_with("none were received"));
}

#[test]
fn a_fault_of_one_rule_hides_no_finding_of_another() {
    let mut checked = Checked::default();
    each([("a", 1), ("b", 2), ("c", 3)].into_iter(), &mut checked, |rule| {
        assert!(rule != 2, "a fault");
        let gap = Gap { what: rule.to_string(), why: String::new() };
        Checked { left_out: vec![gap], ..Checked::default() }
    });
    assert_eq!(checked.left_out.len(), 2);
    assert_eq!(checked.not_evaluated[0].what, "rule b");
}

#[test]
fn rules_of_a_folder_replace_and_add_and_a_bad_one_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |id: &str| folder.path().join(format!("{id}.json"));
    let built_in = include_str!("../../cds-hooks/rules/cephalosporins.json");
    let mut rule: Value = serde_json::from_str(built_in).unwrap();
    rule["title"] = json!("Ours");
    std::fs::write(path("cephalosporins"), rule.to_string()).unwrap();
    let all = load(Some(folder.path())).unwrap();
    assert_eq!(all.rules.iter().filter(|rule| rule.cited.title == "Ours").count(), 1);
    assert_eq!(all.rules.len(), rules().rules.len());
    for (pointer, value, words) in [
        ("/id", json!("another"), "the name of its file"),
        ("/version", json!("1.0"), "version"),
        ("/colour", json!("red"), "colour"),
        ("/source/url", json!("http://x.example"), "source.url"),
        ("/explanation", json!(" "), "explanation"),
        ("/review", json!(" "), "review"),
        ("/cases", json!([]), "cases"),
        ("/when/allergy/ordered", json!(["nothing"]), "nothing is the name of no term"),
        ("/terms/0/of", json!(["nothing"]), "belongs to nothing"),
        ("/terms/0/name", json!("amoxicillin"), "stands twice"),
        ("/terms/0/kind", json!("brand"), "brand"),
        ("/terms/0/codes", json!({"rx": ["1"]}), "unknown system"),
        ("/terms/0/names", json!({"en": ["-"]}), "without words"),
    ] {
        let mut broken = rule.clone();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        broken.pointer_mut(parent).unwrap()[name] = value;
        std::fs::write(path("cephalosporins"), broken.to_string()).unwrap();
        let error = load(Some(folder.path())).err().unwrap_or_else(|| panic!("accepted: {pointer}"));
        assert!(error.message.contains(words), "{pointer}: {error}");
    }
    std::fs::remove_file(path("cephalosporins")).unwrap();
    assert!(load(Some(folder.path())).err().unwrap().message.contains("holds no rule"));
}

#[test]
fn codes_are_told_from_words() {
    let coded = an_order(&json!({"medicationCodeableConcept": {"coding": [
        {"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "723"}], "text": "amoxicillin"}}));
    for (order, how) in [(coded, MatchedBy::Code), (text_order("amoxicillin"), MatchedBy::Words)] {
        let checked = checked(&BOTH, &[order], &[text_allergy("amoxicillin")]);
        assert_eq!(checked.alerts[0].ordered_by, how);
    }
    assert!(rules().rules.iter().any(|rule| matches!(rule.when, Condition::SameSubstance)));
}

#[test]
fn an_allergy_list_that_was_never_looked_for_is_told() {
    let mut service = service();
    service.prefetch.retain(|template| template.key != "allergies");
    let drafts = drafts_of(&[text_order("amoxicillin")], None);
    let checked = answer(&rules(), &BOTH, &drafts, &charted(&service, &[]));
    assert_eq!(checked.not_evaluated.len(), 1, "{checked:?}");
}
