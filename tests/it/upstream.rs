//! What EHRs and archives send when something is wrong: each kind is answered in time, told on the card, and never taken for
//! "none". All go through the server.

use std::time::{Duration, Instant};

use curbside::{
    demo::Fault,
    egress::Base,
    engine::{Engine, Step},
};
use serde_json::Value;

use crate::{
    harness::{Hospital, Plan, patient, scripted_model},
    relay::Relay,
    wrong_answers::{
        Row,
        Wrong::{self, Http, Tcp},
        archives, fhir_servers, reads, searches,
    },
};

/// Time beyond a deadline that only a hang takes, on a machine that is busy.
const SLACK: Duration = Duration::from_secs(5);
/// Bytes that lie in the buffers of a connection that was cut.
const IN_FLIGHT: u64 = 16 << 20;

/// A hospital whose EHR and archive are both reached through relays.
async fn behind(plan: Plan) -> (Hospital, Relay, Relay) {
    let (sender, receiver) = std::sync::mpsc::channel();
    let mut plan = plan;
    plan.site = Some(Box::new(move |ehr| {
        let (fhir, dicomweb) = (Relay::start(&ehr.fhir_base), Relay::start(&ehr.dicomweb_base));
        let mut base = ehr.allowed_base();
        base.fhir = Base::new(ehr.fhir_base.clone(), fhir.url.clone());
        base.dicomweb = vec![Base::new(ehr.dicomweb_base.clone(), dicomweb.url.clone())];
        sender.send((fhir, dicomweb)).expect("a receiver");
        base
    }));
    let hospital = plan.open().await;
    let (fhir, dicomweb) = receiver.recv().expect("two relays");
    (hospital, fhir, dicomweb)
}

fn go_wrong(hospital: &Hospital, relay: &Relay, prefix: &str, wrong: &Wrong) {
    hospital.ehr.faults.clear();
    match wrong {
        Http(fault) => {
            relay.set(None);
            hospital.ehr.faults.set(prefix, fault.clone());
        }
        Tcp(raw) => relay.set(Some((prefix, *raw))),
    }
}

/// The longest answer, for the record.
fn within(deadline: u64, started: Instant, name: &str, longest: &mut Duration) {
    let took = started.elapsed();
    *longest = took.max(*longest);
    assert!(took < Duration::from_millis(deadline) + SLACK, "{name}: {took:?}");
}

fn gaps(card: &Value) -> &str {
    card["detail"].as_str().unwrap().split("**Gaps").nth(1).unwrap_or_default()
}

#[tokio::test]
async fn a_search_that_goes_wrong_is_a_gap_and_never_none() {
    let (hospital, relay, _) = behind(Plan::new(vec![patient("no-imaging")], Engine::absent())).await;
    let rows: Vec<Row> = fhir_servers().into_iter().chain(searches()).collect();
    let mut longest = Duration::ZERO;
    for (name, wrong, words, calls) in &rows {
        go_wrong(&hospital, &relay, "/fhir/AllergyIntolerance", wrong);
        let (started, before) = (Instant::now(), hospital.ehr.faults.endless_bytes());
        let card = hospital.view_chart_of("no-imaging").await.only_card();
        within(3_000, started, name, &mut longest);
        let detail = card["detail"].as_str().unwrap();
        assert!(gaps(&card).contains(words), "{name}: {words:?} is not in {detail}");
        let said = detail.split("**Allergies**").nth(1).unwrap().trim().lines().next().unwrap();
        let held = said.contains("latex");
        assert!(held || said.contains("not established") || said.contains("not known"), "{name}: {said}");
        assert!(!card["summary"].as_str().unwrap().contains("no allergies"), "{name}: {card}");
        // The rest of the chart is there, and nothing of what the server said.
        assert!(detail.contains("C reactive protein") && !detail.contains("Jane"), "{name}: {detail}");
        let asked = relay.asked("/fhir/AllergyIntolerance");
        assert!((1..=*calls).contains(&asked), "{name}: {asked} calls");
        assert!(hospital.ehr.faults.endless_bytes() - before <= (8 << 20) + IN_FLIGHT, "{name}");
    }
    println!("{} kinds of wrong answers to a search, the longest took {longest:?}", rows.len());
    hospital.close().await;
}

#[tokio::test]
async fn a_patient_who_cannot_be_read_is_412_for_every_kind_of_failure() {
    let (hospital, relay, _) = behind(Plan::new(vec![patient("no-imaging")], Engine::absent())).await;
    let rows: Vec<Row> = fhir_servers().into_iter().chain(reads()).collect();
    let mut longest = Duration::ZERO;
    for (name, wrong, words, calls) in &rows {
        go_wrong(&hospital, &relay, "/fhir/Patient", wrong);
        let started = Instant::now();
        let answer = hospital.view_chart_of("no-imaging").await;
        within(3_000, started, name, &mut longest);
        assert_eq!(answer.status, 412, "{name}: {}", answer.text);
        let (code, diagnostics, place) = answer.outcome();
        assert_eq!((code.as_str(), place.as_str()), ("processing", "prefetch.patient"), "{name}");
        assert!(diagnostics.contains(words), "{name}: {diagnostics}");
        let asked = relay.asked("/fhir/Patient");
        assert!((1..=*calls).contains(&asked), "{name}: {asked} calls");
    }
    println!("{} kinds of wrong answers to a read, the longest took {longest:?}", rows.len());
    hospital.close().await;
}

fn answering() -> Engine {
    let answer = r#"{"findings":[{"kind":"effusion","side":"left","region":"lower","severity":"large","change":"unknown","evidence":["E1"]}],"urgency":"urgent"}"#;
    Engine::scripted(scripted_model(), vec![Step::Text(answer.into())])
}

#[tokio::test]
async fn an_order_is_answered_beside_a_search_that_goes_wrong() {
    let (hospital, relay, _) = behind(Plan::new(vec![patient("demo")], answering())).await;
    let (mut longest, mut calls_before) = (Duration::ZERO, 0);
    let rows = fhir_servers();
    for (name, wrong, words, calls) in &rows {
        go_wrong(&hospital, &relay, "/fhir/AllergyIntolerance", wrong);
        let started = Instant::now();
        let card = hospital.sign_order_of("demo").await.only_card();
        within(10_000, started, name, &mut longest);
        assert!(gaps(&card).contains(words), "{name}: {card}");
        assert_eq!(hospital.app.engine.calls(), calls_before + 1, "{name}");
        calls_before += 1;
        assert!((1..=*calls).contains(&relay.asked("/fhir/AllergyIntolerance")), "{name}");
    }
    println!("{} kinds beside a draft, the longest took {longest:?}", rows.len());
    hospital.close().await;
}

#[tokio::test]
async fn studies_that_cannot_be_searched_are_not_called_absent_and_no_model_is_asked() {
    let (hospital, relay, dicomweb) = behind(Plan::new(vec![patient("demo")], answering())).await;
    for (name, wrong, words, calls) in &fhir_servers() {
        go_wrong(&hospital, &relay, "/fhir/ImagingStudy", wrong);
        let mut request = hospital.ehr.authorized_request("demo").unwrap();
        let order = &mut request["context"]["draftOrders"]["entry"][0]["resource"];
        order.as_object_mut().unwrap().remove("supportingInfo");
        let card = hospital.sign(&request).await.only_card();
        let detail = card["detail"].as_str().unwrap();
        assert!(detail.contains("No draft was written") && detail.contains("there may be others"), "{name}: {detail}");
        assert!(gaps(&card).contains(words), "{name}: {detail}");
        assert!((1..=*calls).contains(&relay.asked("/fhir/ImagingStudy")), "{name}");
    }
    assert_eq!((hospital.app.engine.calls(), hospital.reports().await, dicomweb.asked("")), (0, 0, 0));
    hospital.close().await;
}

#[tokio::test]
async fn a_film_that_goes_wrong_is_named_and_no_model_is_asked() {
    let mut plan = Plan::new(vec![patient("demo")], answering());
    plan.imaging.max_instance_bytes = 1 << 20;
    plan.imaging.max_study_bytes = 2 << 20;
    let (hospital, _, relay) = behind(plan).await;
    let rows = archives();
    let mut longest = Duration::ZERO;
    for (name, wrong, words, calls) in &rows {
        go_wrong(&hospital, &relay, "/dicomweb", wrong);
        let (started, before) = (Instant::now(), hospital.ehr.faults.endless_bytes());
        let card = hospital.sign_order_of("demo").await.only_card();
        within(10_000, started, name, &mut longest);
        let detail = card["detail"].as_str().unwrap();
        assert!(
            detail.contains("No draft was written") && card["summary"].as_str().unwrap().contains("No AI draft"),
            "{name}: {card}"
        );
        let current = gaps(&card).lines().find(|line| line.starts_with("- current study, film"));
        assert!(current.is_some_and(|line| line.contains(words)), "{name}: {words:?} is not in {detail}");
        assert!(!detail.contains("evil") && !detail.contains("127.0.0.1"), "{name}: {detail}");
        // Two films: the order's and an earlier one.
        let asked = relay.asked("/dicomweb");
        assert!((1..=2 * calls).contains(&asked), "{name}: {asked} calls");
        assert!(hospital.ehr.faults.endless_bytes() - before <= 2 * ((1 << 20) + IN_FLIGHT), "{name}");
        assert_eq!((hospital.app.engine.calls(), hospital.reports().await), (0, 0), "{name}");
    }
    println!("{} kinds of wrong films, the longest took {longest:?}", rows.len());
    // The same hospital reads them when all is well again.
    hospital.ehr.faults.clear();
    relay.set(None);
    assert!(
        hospital.sign_order_of("demo").await.only_card()["summary"].as_str().unwrap().contains("AI draft to review")
    );
    hospital.close().await;
}

/// Places are taken before anything is fetched, so an EHR that hangs can fill the queue; it cannot keep it.
#[tokio::test]
async fn orders_that_hang_hold_their_places_until_their_time_to_fetch_is_over_and_no_longer() {
    let hospital = Plan::new(vec![patient("demo")], answering()).open().await;
    hospital.ehr.faults.set("/fhir/Condition", Fault::Hang);
    let hanging: Vec<Value> = (0..3).map(|_| hospital.ehr.authorized_request("demo").unwrap()).collect();
    let hanging = futures::future::join_all(hanging.iter().map(|request| hospital.sign(request)));
    let fourth = async {
        while hospital.ehr.requests.under("/fhir/Condition").len() < 3 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let refused = hospital.sign_order_of("demo").await;
        hospital.ehr.faults.clear();
        refused
    };
    let (held, refused) = tokio::join!(hanging, fourth);
    assert_eq!(refused.status, 503, "{}", refused.text);
    assert!(refused.headers.contains_key("retry-after"));
    for answer in held {
        assert!(gaps(&answer.only_card()).contains("- conditions: no answer before the deadline"), "{}", answer.text);
    }
    assert_eq!(hospital.sign_order_of("demo").await.status, 200);
    hospital.close().await;
}

#[test]
fn the_tables_have_thirty_kinds_at_least() {
    for rows in [fhir_servers(), archives()] {
        let names: std::collections::BTreeSet<&String> = rows.iter().map(|row| &row.0).collect();
        assert!(names.len() == rows.len() && rows.len() >= 30, "{}", rows.len());
    }
}
