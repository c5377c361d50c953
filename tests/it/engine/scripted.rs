//! The queue, on an engine that follows a script: nothing here depends on how long anything takes.

use std::{path::PathBuf, sync::Arc, time::Duration};

use curbside::engine::{Completion, Config, Engine, EngineError, Finish, Health, ModelInfo, Step};
use tokio::sync::Notify;

use super::{ask, eventually, generate, picture, within};

fn info() -> ModelInfo {
    ModelInfo {
        name: "scripted".into(),
        revision: "0".into(),
        weights_sha256: "0".into(),
        runtime: "scripted".into(),
        dtype: "F32".into(),
        context: 64,
        image_size: 8,
        tokens_per_image: 4,
        max_images: 2,
        scope: None,
    }
}

fn engine(steps: &[Step]) -> Engine {
    Engine::scripted(info(), steps.to_vec())
}

fn text(text: &str) -> Step {
    Step::Text(text.into())
}

fn said(answer: Result<Completion, EngineError>) -> String {
    answer.unwrap().text
}

#[tokio::test]
async fn an_answer_is_given_and_counted() {
    let engine = engine(&[text("one"), Step::Cut("tw".into())]);
    assert_eq!(engine.health(), Health::Ready);
    assert_eq!(engine.info(), Some(info()));
    let first = generate(&engine, ask("?")).await.unwrap();
    assert_eq!((first.text.as_str(), first.finish), ("one", Finish::Stop));
    assert_eq!(generate(&engine, ask("?")).await.unwrap().finish, Finish::Length);
    assert_eq!(said(generate(&engine, ask("?")).await), "one");
    assert_eq!(engine.calls(), 3);
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let engine = engine(&[text("x")]);
    let places: Vec<_> = (0..3).map(|_| engine.admit().unwrap()).collect();
    assert!(matches!(engine.admit(), Err(EngineError::Busy { retry_after }) if retry_after >= Duration::from_secs(1)));
    drop(places);
    assert!(engine.admit().is_ok());
    assert_eq!(engine.calls(), 0);
}

#[tokio::test]
async fn no_model_is_unavailable() {
    let engine = Engine::absent();
    assert_eq!(engine.health(), Health::Absent);
    assert_eq!(engine.admit().err(), Some(EngineError::Unavailable));
    assert_eq!(engine.wait_ready().await, Err(EngineError::Unavailable));
    assert_eq!(Engine::load(Config::default()).health(), Health::Absent);
}

#[tokio::test]
async fn a_model_that_cannot_be_loaded_is_dead_with_a_reason() {
    let engine = Engine::load(Config { model: Some(PathBuf::from("does-not-exist")), ..Config::default() });
    assert_eq!(engine.wait_ready().await, Err(EngineError::Unavailable));
    assert!(matches!(engine.health(), Health::Dead { reason } if reason.ends_with('.')));
}

#[tokio::test]
async fn the_deadline_holds_while_the_engine_stalls_and_the_place_comes_back() {
    let engine = engine(&[Step::Stall, text("next")]);
    let answer = engine.generate(engine.admit().unwrap(), ask("?"), within(Duration::from_millis(50))).await;
    assert_eq!(answer, Err(EngineError::Deadline));
    assert_eq!(said(generate(&engine, ask("?")).await), "next");
}

#[tokio::test]
async fn the_deadline_holds_in_the_queue() {
    let engine = engine(&[Step::Stall, text("next")]);
    let first = tokio::spawn({
        let (engine, place) = (engine.clone(), engine.admit().unwrap());
        async move { engine.generate(place, ask("?"), within(Duration::from_secs(3600))).await }
    });
    eventually(|| engine.calls() == 1).await;
    let waiting = engine.generate(engine.admit().unwrap(), ask("?"), within(Duration::from_millis(50))).await;
    assert_eq!(waiting, Err(EngineError::Deadline));
    assert_eq!(engine.calls(), 1);
    first.abort();
    assert_eq!(said(generate(&engine, ask("?")).await), "next");
}

/// INVARIANT: the_permit_is_held_until_the_engine_lets_go
#[tokio::test]
async fn the_permit_is_held_until_the_engine_lets_go() {
    // The engine works on although its caller has gone, as in prefill; the second answer must wait for it.
    let until = Arc::new(Notify::new());
    let engine = engine(&[Step::Hold(until.clone()), text("left"), text("next")]);
    let gone = engine.generate(engine.admit().unwrap(), ask("?"), within(Duration::from_millis(20))).await;
    assert_eq!(gone, Err(EngineError::Deadline));
    let hurried = engine.generate(engine.admit().unwrap(), ask("?"), within(Duration::from_millis(20))).await;
    assert_eq!(hurried, Err(EngineError::Deadline));
    assert_eq!(engine.calls(), 1);
    until.notify_one();
    assert_eq!(said(generate(&engine, ask("?")).await), "next");
}

/// INVARIANT: one_call_is_in_the_engine
#[tokio::test]
async fn one_call_is_in_the_engine() {
    let engine = engine(&[Step::Stall]);
    let calls: Vec<_> = (0..3)
        .map(|_| {
            let (engine, place) = (engine.clone(), engine.admit().unwrap());
            tokio::spawn(async move { engine.generate(place, ask("?"), within(Duration::from_secs(3600))).await })
        })
        .collect();
    for begun in 1..=3 {
        eventually(|| engine.calls() == begun).await;
        tokio::task::yield_now().await;
        assert_eq!(engine.calls(), begun);
        calls[begun as usize - 1].abort();
    }
}

#[tokio::test]
async fn a_lost_engine_is_asked_once_more_and_only_once() {
    for lost in [Step::ClosedEarly, Step::Panic] {
        let engine = engine(&[lost, text("again")]);
        assert_eq!(said(generate(&engine, ask("?")).await), "again");
        assert_eq!((engine.calls(), engine.retries()), (2, 1));
    }
    let engine = engine(&[Step::ClosedEarly, Step::ClosedEarly, text("never")]);
    assert!(matches!(generate(&engine, ask("?")).await, Err(EngineError::ModelFault(_))));
    assert_eq!((engine.calls(), engine.retries()), (2, 1));
}

#[tokio::test]
async fn after_the_first_word_nothing_is_asked_again() {
    for fault in [Step::ClosedMidway, Step::Fault] {
        let engine = engine(&[fault, text("next")]);
        assert!(matches!(generate(&engine, ask("?")).await, Err(EngineError::ModelFault(_))));
        assert_eq!((engine.calls(), engine.retries()), (1, 0));
        assert_eq!(said(generate(&engine, ask("?")).await), "next");
    }
}

/// INVARIANT: no_answer_without_a_passed_canary
#[tokio::test]
async fn no_answer_without_a_passed_canary() {
    let engine = engine(&[Step::SickCanary, Step::ClosedEarly, text("never")]);
    assert!(matches!(generate(&engine, ask("?")).await, Err(EngineError::ModelFault(_))));
    assert!(matches!(engine.health(), Health::Dead { reason } if reason.contains("not finite")));
    assert_eq!(engine.admit().err(), Some(EngineError::Unavailable));
    assert_eq!((engine.info(), engine.calls()), (None, 1));
}

#[tokio::test]
async fn an_engine_that_dies_again_and_again_is_given_up() {
    let engine = engine(&[Step::ClosedMidway]);
    for _ in 0..3 {
        assert!(matches!(generate(&engine, ask("?")).await, Err(EngineError::ModelFault(_))));
    }
    assert!(matches!(engine.health(), Health::Dead { .. }));
}

#[tokio::test]
async fn an_answer_does_not_show_in_debug_output() {
    let engine = engine(&[text("Hong Gildong"), Step::BadConstraint]);
    let answer = generate(&engine, ask("Hong Gildong")).await;
    assert!(!format!("{answer:?}").contains("Gildong"));
    assert_eq!(generate(&engine, ask("?")).await, Err(EngineError::BadConstraint));
}

#[tokio::test]
async fn what_the_model_must_not_see_never_reaches_it() {
    let engine = engine(&[text("x")]);
    // 64 tokens of context less 8 for the answer.
    assert!(generate(&engine, ask(&"a".repeat(4 * 56))).await.is_ok());
    assert_eq!(
        generate(&engine, ask(&"a".repeat(4 * 56 + 1))).await,
        Err(EngineError::TooLong { tokens: 57, max: 56 })
    );
    let mut wrong = ask("?");
    wrong.parts.push(picture(9, 0));
    assert!(matches!(generate(&engine, wrong).await, Err(EngineError::ModelFault(_))));
    let mut many = ask("?");
    many.parts.extend((0..3).map(|seed| picture(8, seed)));
    assert!(matches!(generate(&engine, many).await, Err(EngineError::ModelFault(_))));
    assert_eq!(engine.calls(), 1);
}
