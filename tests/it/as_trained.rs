//! What the served model says is what it was trained to say: text by text as PyTorch computed it, and whoever asks beside it.

use std::{collections::HashMap, sync::Arc};

use curbside::{
    engine::{Completion, Engine, Neutral, Part, Priority, Prompt},
    eval::{self, Drawn, Export, Looks, Maker},
    prompt::contract::{MAX_CHARACTERS, MAX_NEW_TOKENS},
};
use image::RgbImage;
use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

use crate::{
    eighteen_cases::bundled,
    harness::{Hospital, Plan, fixtures},
};

const SIDE: usize = 224;

/// Texts that the model gave in PyTorch, by the number of the held-out case: `fixtures/model/train/evaluate.py` writes them.
fn told(at_most: usize) -> Vec<(usize, String)> {
    let lines =
        std::fs::read_to_string(fixtures().join("model/train/texts.jsonl")).expect("texts of the bundled weights");
    let line = |line: &str| {
        let value: Value = serde_json::from_str(line).unwrap();
        (value["case"].as_u64().unwrap() as usize, value["text"].as_str().unwrap().to_owned())
    };
    lines.lines().take(at_most).map(line).collect()
}

/// The held-out cases of the first seed as they are exported, each a prompt without a schema.
fn prompts(count: usize) -> Vec<Prompt> {
    let dir = tempfile::tempdir().unwrap();
    let export = Export {
        out: dir.path().join("cases"),
        seed: 1,
        count: count as u64,
        held_out: true,
        threads: 2,
        shard: count as u64,
        keep: 1,
        room: MAX_CHARACTERS,
    };
    eval::export(&Maker::new().unwrap(), &export).unwrap();
    let films = std::fs::read(export.out.join("00000.u8")).unwrap();
    let films: Vec<&[u8]> = films.chunks_exact(SIDE * SIDE).collect();
    let lines = std::fs::read_to_string(export.out.join("00000.jsonl")).unwrap();
    let prompt = |line: &str| {
        let case: Value = serde_json::from_str(line).unwrap();
        let mut pictures = case["films"].as_array().unwrap().iter();
        let part = |part: &Value| match part.as_str() {
            Some(text) => Part::Text(Neutral::new(text)),
            None => {
                let grey = films[pictures.next().unwrap()["at"].as_u64().unwrap() as usize];
                let rgb = grey.iter().flat_map(|value| [*value; 3]).collect();
                Part::Image(Arc::new(RgbImage::from_raw(SIDE as u32, SIDE as u32, rgb).unwrap()))
            }
        };
        let parts = case["parts"].as_array().unwrap().iter().map(part).collect();
        Prompt { parts, max_new_tokens: MAX_NEW_TOKENS, ..Prompt::default() }
    };
    lines.lines().map(prompt).collect()
}

async fn answer(engine: &Engine, prompt: Prompt) -> Completion {
    let admission = engine.admit(Priority::Clinician).unwrap();
    engine.generate(admission, prompt, Instant::now() + Duration::from_secs(120)).await.unwrap()
}

async fn says_what_pytorch_said(count: usize) {
    let engine = bundled().await;
    let told = told(count);
    let prompts = prompts(told.iter().map(|(case, _)| case + 1).max().unwrap());
    let mut other = Vec::new();
    for (case, text) in &told {
        let said = answer(&engine, prompts[*case].clone()).await.text;
        if said.trim() != text {
            other.push(format!("case {case}\n  PyTorch {text}\n  here    {said}"));
        }
    }
    println!("{} of {} texts are PyTorch's", told.len() - other.len(), told.len());
    assert!(told.len() == count && other.is_empty(), "{}", other.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_served_model_says_what_pytorch_said() {
    says_what_pytorch_said(20).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes"]
async fn the_served_model_says_two_hundred_times_what_pytorch_said() {
    says_what_pytorch_said(200).await;
}

/// What the card of a case says.
async fn card(hospital: &Hospital, Drawn { case, .. }: &Drawn) -> Value {
    let request = case.call(&hospital.ehr).unwrap();
    let card = hospital.call(case.service(), &request, Some(case.language.word())).await.only_card();
    json!([card["summary"], card["detail"]])
}

#[tokio::test(flavor = "multi_thread")]
async fn cases_of_every_task_two_at_once_are_answered_as_alone() {
    let maker = Maker::new().unwrap();
    // Four of each service.
    let mut of_each: HashMap<&str, Vec<Drawn>> = HashMap::new();
    for number in 0.. {
        let drawn = eval::draw(&maker, 15, number, MAX_CHARACTERS).unwrap();
        let of_this = of_each.entry(drawn.case.service()).or_default();
        if of_this.len() < 4 {
            of_this.push(drawn);
        }
        if of_each.len() == 4 && of_each.values().all(|drawn| drawn.len() == 4) {
            break;
        }
    }
    let cases: Arc<Vec<Drawn>> = Arc::new(of_each.into_values().flatten().collect());
    let mut plan = Plan::new(Vec::new(), bundled().await).with_deadline(60_000);
    plan.ehr = Some(eval::open(cases.clone(), Looks::default()).await.unwrap());
    // Later than every case.
    plan.clock = Arc::new(|| "2040-01-01T12:00:00Z".parse().unwrap());
    let hospital = plan.open().await;
    let mut alone = Vec::new();
    for drawn in cases.iter() {
        alone.push(card(&hospital, drawn).await);
    }
    for apart in [1, 5] {
        for first in 0..cases.len() {
            let second = (first + apart) % cases.len();
            let (one, other) = tokio::join!(card(&hospital, &cases[first]), card(&hospital, &cases[second]));
            assert_eq!((&one, &other), (&alone[first], &alone[second]), "cases {first} and {second}");
        }
    }
    hospital.close().await;
}
