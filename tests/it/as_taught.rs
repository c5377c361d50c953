//! What the model is asked is what it was taught on: made-up cases served over HTTP, as a hospital would serve them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use chrono::{DateTime, Utc};
use curbside::{
    engine::{Engine, Part, Prompt, Step},
    eval::{self, Drawn, Looks, Maker},
    prompt::contract2::MAX_CHARACTERS,
    task::Task,
};
use serde_json::json;
use tokio::sync::mpsc;

use crate::harness::{Plan, scripted_model};

const CASES: u64 = 200;

/// Text as it stands, a picture as its place.
fn parts(prompt: &Prompt) -> Vec<Option<&str>> {
    fn text(part: &Part) -> Option<&str> {
        if let Part::Text(text) = part { Some(text.as_str()) } else { None }
    }
    prompt.parts.iter().map(text).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_asks_byte_for_byte_what_training_wrote() {
    let maker = Maker::new().unwrap();
    let cases = (0..CASES).map(|number| eval::draw(&maker, 14, number, MAX_CHARACTERS).unwrap());
    let cases: Arc<Vec<Drawn>> = Arc::new(cases.collect());
    let (record, mut asked) = mpsc::unbounded_channel();
    let engine = Engine::scripted(scripted_model(), vec![Step::Record(record), Step::Text("{}".into())]);
    let now = Arc::new(Mutex::new(DateTime::<Utc>::UNIX_EPOCH));
    let mut plan = Plan::new(Vec::new(), engine);
    plan.ehr = Some(eval::open(cases.clone(), Looks::default()).await.unwrap());
    let clock = now.clone();
    plan.clock = Arc::new(move || *clock.lock().unwrap());
    let hospital = plan.open().await;
    let mut seen: BTreeMap<_, u32> = BTreeMap::new();
    for Drawn { number, case, .. } in cases.iter() {
        *now.lock().unwrap() = case.now.instant().and_utc();
        let mut request = hospital.ehr.authorized_request(&case.record.patient_id).unwrap();
        let service = match (case.task, case.task.is_about_the_film()) {
            (Task::ImagingDraft, _) => "imaging-draft-report",
            (Task::Summary, _) => "flagged-results",
            (Task::Question(_), true) => "film-question",
            (Task::Question(_), false) => "chart-question",
        };
        if let Task::Question(question) = case.task {
            request["extension"] = json!({ "curbside-question": question.code() });
        }
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
