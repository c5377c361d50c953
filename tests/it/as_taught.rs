//! What the model is asked is what it was taught on: made-up cases served over HTTP, as a hospital would serve them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use chrono::{DateTime, Utc};
use curbside::{
    engine::{Part, Prompt},
    eval::{self, Case, Drawn, Looks, Maker},
    prompt::contract::MAX_CHARACTERS,
    task::Task,
};
use serde_json::{Value, json};

use crate::harness::{Hospital, Plan, recording};

const CASES: u64 = 200;

/// Text as it stands, a picture as its place.
fn parts(prompt: &Prompt) -> Vec<Option<&str>> {
    fn text(part: &Part) -> Option<&str> {
        if let Part::Text(text) = part { Some(text.as_str()) } else { None }
    }
    prompt.parts.iter().map(text).collect()
}

/// The service that asks what a case asks, and the call of it.
pub fn call(hospital: &Hospital, case: &Case) -> (&'static str, Value) {
    let mut request = hospital.ehr.authorized_request(&case.record.patient_id).expect("the case's request");
    if let Task::Question(question) = case.task {
        request["extension"] = json!({ "curbside-question": question.code() });
    }
    (service(case), request)
}

pub fn service(case: &Case) -> &'static str {
    match (case.task, case.task.is_about_the_film()) {
        (Task::ImagingDraft, _) => "imaging-draft-report",
        (Task::Summary, _) => "flagged-results",
        (Task::Question(_), true) => "film-question",
        (Task::Question(_), false) => "chart-question",
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_asks_byte_for_byte_what_training_wrote() {
    let maker = Maker::new().unwrap();
    let cases = (0..CASES).map(|number| eval::draw(&maker, 14, number, MAX_CHARACTERS).unwrap());
    let cases: Arc<Vec<Drawn>> = Arc::new(cases.collect());
    let (engine, mut asked) = recording("{}");
    let now = Arc::new(Mutex::new(DateTime::<Utc>::UNIX_EPOCH));
    let mut plan = Plan::new(Vec::new(), engine);
    plan.ehr = Some(eval::open(cases.clone(), Looks::default()).await.unwrap());
    let clock = now.clone();
    plan.clock = Arc::new(move || *clock.lock().unwrap());
    let hospital = plan.open().await;
    let mut seen: BTreeMap<_, u32> = BTreeMap::new();
    for Drawn { number, case, .. } in cases.iter() {
        *now.lock().unwrap() = case.now.instant().and_utc();
        let (service, request) = call(&hospital, case);
        let answer = hospital.call(service, &request, Some(case.language.word())).await;
        let prompt = asked.try_recv().unwrap_or_else(|_| panic!("case {number} was not asked: {}", answer.text));
        let taught = maker.ask(case, MAX_CHARACTERS, true).unwrap().expect("a case that is asked").prompt;
        assert_eq!(parts(&prompt), parts(&taught), "case {number}");
        assert_eq!(prompt.schema, taught.schema, "case {number}: other lines are shown");
        assert_eq!(prompt.max_new_tokens, taught.max_new_tokens);
        *seen.entry((service, case.language)).or_default() += 1;
    }
    println!("{seen:?}");
    assert_eq!(seen.len(), 8, "every service in both languages: {seen:?}");
    hospital.close().await;
}
