//! The queue, on an engine that follows a script: nothing here depends on how long anything takes.

use std::{path::PathBuf, sync::Arc, time::Duration};

use curbside::engine::{
    Completion, Config, Engine, EngineError, Event, Finish, Health, ModelInfo, Priority, Prompt, Step,
};
use tokio::sync::Notify;

use super::{ask, eventually, generate, picture, read, stream, within};

fn info() -> ModelInfo {
    ModelInfo::scripted()
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
    let places: Vec<_> = (0..3).map(|_| engine.admit(Priority::Clinician).unwrap()).collect();
    assert!(
        matches!(engine.admit(Priority::Clinician), Err(EngineError::Busy { retry_after }) if retry_after >= Duration::from_secs(1))
    );
    drop(places);
    assert!(engine.admit(Priority::Clinician).is_ok());
    assert_eq!(engine.calls(), 0);
}

#[tokio::test]
async fn no_model_is_unavailable() {
    let engine = Engine::absent();
    assert_eq!(engine.health(), Health::Absent);
    assert_eq!(engine.admit(Priority::Clinician).err(), Some(EngineError::Unavailable));
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
    let answer =
        engine.generate(engine.admit(Priority::Clinician).unwrap(), ask("?"), within(Duration::from_millis(50))).await;
    assert_eq!(answer, Err(EngineError::Deadline));
    assert_eq!(said(generate(&engine, ask("?")).await), "next");
}

#[tokio::test]
async fn the_deadline_holds_in_the_queue() {
    let engine = engine(&[Step::Stall, text("next")]);
    let first = tokio::spawn({
        let (engine, place) = (engine.clone(), engine.admit(Priority::Clinician).unwrap());
        async move { engine.generate(place, ask("?"), within(Duration::from_secs(3600))).await }
    });
    eventually(|| engine.calls() == 1).await;
    let waiting =
        engine.generate(engine.admit(Priority::Clinician).unwrap(), ask("?"), within(Duration::from_millis(50))).await;
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
    let gone =
        engine.generate(engine.admit(Priority::Clinician).unwrap(), ask("?"), within(Duration::from_millis(20))).await;
    assert_eq!(gone, Err(EngineError::Deadline));
    let hurried =
        engine.generate(engine.admit(Priority::Clinician).unwrap(), ask("?"), within(Duration::from_millis(20))).await;
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
            let (engine, place) = (engine.clone(), engine.admit(Priority::Clinician).unwrap());
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
    assert_eq!(engine.admit(Priority::Clinician).err(), Some(EngineError::Unavailable));
    assert_eq!((engine.info(), engine.calls()), (None, 1));
}

#[tokio::test]
async fn an_engine_that_dies_again_and_again_is_given_up() {
    let engine = engine(&[Step::ClosedMidway]);
    for question in ["1", "2", "3"] {
        assert!(matches!(generate(&engine, ask(question)).await, Err(EngineError::ModelFault(_))));
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

#[tokio::test]
async fn a_closed_answer_never_passes_for_a_whole_one() {
    // Half an answer, then silence: at every length, for whoever reads along and for whoever waits for the whole.
    for pieces in 0..6 {
        let mut steps = vec![Step::Say("{\"a\":1}".into()); pieces];
        steps.push(Step::Panic);
        let engine = engine(&steps);
        let (_, _, end) = read(stream(&engine, ask("?"))).await;
        assert!(matches!(end, Err(EngineError::ModelFault(_))), "{end:?}");
    }
}

/// INVARIANT: a_runaway_answer_is_ended
#[tokio::test]
async fn a_runaway_answer_is_ended() {
    for piece in ["word ".to_string(), "x".repeat(1 << 20), "\u{1b}[2J\0".into(), String::new()] {
        let engine = engine(&[Step::Endless(piece.clone())]);
        let deadline = within(Duration::from_secs(if piece.is_empty() { 1 } else { 3600 }));
        let answer = engine.generate(engine.admit(Priority::Clinician).unwrap(), ask("?"), deadline).await;
        assert!(matches!(answer, Err(EngineError::ModelFault(_) | EngineError::Deadline)), "{answer:?}");
        assert_eq!(engine.calls(), 1);
    }
}

#[tokio::test]
async fn out_of_memory_is_the_end_of_the_model() {
    let engine = engine(&[Step::OutOfMemory]);
    assert!(matches!(generate(&engine, ask("?")).await, Err(EngineError::ModelFault(_))));
    assert!(matches!(engine.health(), Health::Dead { reason } if reason.contains("out of memory")));
    engine.given_up().await;
}

#[tokio::test]
async fn an_engine_that_was_replaced_is_asked_its_canary_first() {
    let engine = engine(&[Step::Restart, text("answer")]);
    assert_eq!(said(generate(&engine, ask("?")).await), "answer");
    let counts = engine.counts();
    assert_eq!((counts.calls, counts.retries, counts.restarts, counts.canaries), (2, 1, 1, 1));
    // That was not the prompt's doing: it is asked again.
    assert_eq!(said(generate(&engine, ask("?")).await), "answer");
}

#[tokio::test]
async fn a_canary_that_fails_between_calls_blocks_answers() {
    for (step, word) in [(Step::SickCanary, "not finite"), (Step::BlindCanary, "does not see")] {
        let engine = engine(&[step, text("first"), text("never")]);
        assert_eq!(said(generate(&engine, ask("?")).await), "first");
        assert!(matches!(engine.ask_canary().await, Health::Dead { reason } if reason.contains(word)), "{word}");
        assert_eq!(engine.admit(Priority::Clinician).err(), Some(EngineError::Unavailable));
        engine.given_up().await;
    }
}

#[tokio::test]
async fn while_the_engine_is_restarted_nobody_is_let_in_and_the_model_is_known() {
    let until = Arc::new(Notify::new());
    let engine = engine(&[Step::Say("x".into()), Step::Hold(until.clone()), Step::Panic, text("next")]);
    let mut answer = stream(&engine, ask("?"));
    assert!(matches!(answer.next().await, Some(Ok(Event::Text(_)))));
    let waiting = engine.admit(Priority::Clinician).unwrap();
    let waiting = engine.stream(waiting, ask("!"), within(Duration::from_secs(120)));
    until.notify_one();
    // Who waited meanwhile is answered, after the canary.
    assert_eq!(said(waiting.complete().await), "next");
    assert!(matches!(answer.next().await, Some(Err(EngineError::ModelFault(_)))));
    assert_eq!((engine.counts().canaries, engine.info()), (1, Some(info())));
}

/// Row 33 of `ROWS`.
#[tokio::test]
async fn white_space_around_an_answer_is_no_fault() {
    let engine = engine(&[text("\n {\"a\":1}\n"), text("{\"a\":")]);
    let prompt = || Prompt { schema: Some(serde_json::json!({"type": "object", "required": ["a"]})), ..ask("?") };
    assert_eq!(said(generate(&engine, prompt()).await), "\n {\"a\":1}\n");
    // What is not of the form is no answer, whatever the engine says of its end.
    assert!(matches!(generate(&engine, prompt()).await, Err(EngineError::ModelFault(_))));
}

/// Row 39 of `ROWS`.
#[tokio::test]
async fn an_answer_under_a_schema_is_thought_about_in_a_call_of_its_own() {
    let steps = [Step::Reasoning("It is <bos> one.".into()), text("not the answer"), text("1")];
    let thinks = engine(&steps);
    let schema = Some(serde_json::json!({"type": "integer"}));
    let prompt = Prompt { schema, thinking: Some("\nThoughts: ".into()), ..ask("?") };
    let (answer, reasoning, end) = read(stream(&thinks, prompt.clone())).await;
    assert_eq!((answer.as_str(), reasoning.as_str()), ("1", "It is <bos> one."));
    let done = end.unwrap();
    assert_eq!((done.text.as_str(), thinks.calls()), ("1", 2));
    // The thoughts were in the second prompt, and are nowhere in the answer.
    assert!(done.prompt_tokens > thinks.count_tokens(&prompt).unwrap() + 4);
    let open = engine(&[Step::OpenReasoning("On and on".into()), Step::Cut(String::new()), text("1")]);
    assert!(matches!(generate(&open, prompt).await, Err(EngineError::ModelFault(_))));
    assert_eq!(open.calls(), 1);
}

proptest::proptest! {
    /// Row 35 of `ROWS`: whatever is admitted fits the context together with its answer; whatever does not is refused.
    #[test]
    fn what_is_admitted_fits_the_context(length in 0usize..400, pictures in 0u8..3, max_new_tokens in 0usize..100) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let engine = engine(&[text("x")]);
            let mut prompt = Prompt { max_new_tokens, ..ask(&"a".repeat(length)) };
            prompt.parts.extend((0..pictures).map(|seed| picture(8, seed)));
            let tokens = engine.count_tokens(&prompt).unwrap();
            let answer = generate(&engine, prompt).await;
            match answer {
                Ok(_) => assert!(tokens + max_new_tokens <= 64 && max_new_tokens > 0),
                Err(EngineError::TooLong { tokens: counted, max }) => {
                    assert_eq!((counted, max), (tokens, 64usize.saturating_sub(max_new_tokens)));
                    assert!(tokens + max_new_tokens > 64);
                }
                Err(other) => assert!(max_new_tokens == 0 && matches!(other, EngineError::ModelFault(_)), "{other:?}"),
            }
        });
    }
}
