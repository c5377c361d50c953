//! What every backend of the engine must do, point by point: the real runtime on the tiny checkpoint, and the script.

mod backends;
mod turns;

use std::time::{Duration, Instant as Clock};

use curbside::engine::{Counts, EngineError, Event, Finish, Health, Neutral, Part, Priority, Prompt};
use serde_json::{Value, json};
use tokio::time::Instant;

use self::backends::{Case, Show, all};
use super::{eventually, generate, read, stream, within};

/// The engine answers the next call as if nothing had been.
async fn assert_unharmed(case: &Case) {
    let answer = generate(&case.engine, case.next.clone()).await;
    assert_eq!(answer.as_ref().map(|a| a.finish), Ok(Finish::Stop), "{}", case.name);
    assert_eq!(case.engine.health(), Health::Ready, "{}", case.name);
    // Every place is free again: as many as there are can be had at once.
    eventually(|| {
        let places: Vec<_> = (0..case.places).map_while(|_| case.engine.admit(Priority::Clinician).ok()).collect();
        places.len() == case.places
    })
    .await;
}

/// Point 1: one end and nothing after it, whole characters, and the same text however it is asked for.
///
/// INVARIANT: one_end_and_nothing_after_it
#[tokio::test(flavor = "multi_thread")]
async fn one_end_and_nothing_after_it() {
    for pictures in 0..3 {
        for case in all(Show::Answer { pictures }).await {
            let counted = case.engine.count_tokens(&case.prompt).unwrap();
            let (text, reasoning, end) = read(stream(&case.engine, case.prompt.clone())).await;
            let done = end.unwrap();
            assert_eq!((done.finish, &done.text, reasoning.as_str()), (Finish::Stop, &text, ""), "{}", case.name);
            assert_eq!(done.prompt_tokens, counted, "{} with {pictures} pictures", case.name);
            assert!((1..=case.prompt.max_new_tokens).contains(&done.completion_tokens), "{}", case.name);
            assert!(done.time_to_first_token <= done.total && !text.contains('\u{fffd}'), "{}", case.name);
            assert_eq!(generate(&case.engine, case.prompt.clone()).await.unwrap().text, text, "{}", case.name);
        }
    }
    for case in all(Show::CutInCharacter).await {
        let (text, _, end) = read(stream(&case.engine, case.prompt.clone())).await;
        let done = end.unwrap();
        assert_eq!((done.finish, &done.text), (Finish::Length, &text), "{}", case.name);
        assert!(!text.contains('\u{fffd}'), "{}: {text}", case.name);
        assert_eq!(case.engine.counts().restarts, 0, "{}", case.name);
    }
}

/// Point 2: an answer is of its schema's form; a cut one says so; what is no schema is refused before any call.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_of_its_form_or_says_that_it_is_not() {
    for case in all(Show::Answer { pictures: 1 }).await {
        let done = generate(&case.engine, case.prompt.clone()).await.unwrap();
        let answer: Value = serde_json::from_str(&done.text).unwrap();
        assert!(jsonschema::is_valid(case.prompt.schema.as_ref().unwrap(), &answer), "{}: {answer}", case.name);
        let before = case.engine.calls();
        let bad = Prompt { schema: Some(json!({"type": "no such type"})), ..case.prompt.clone() };
        let (text, _, end) = read(stream(&case.engine, bad)).await;
        assert_eq!((text.as_str(), end), ("", Err(EngineError::BadConstraint)), "{}", case.name);
        assert_eq!(case.engine.calls(), before, "{}", case.name);
    }
    for case in all(Show::Cut).await {
        let cut = generate(&case.engine, case.prompt.clone()).await.unwrap();
        assert_eq!(cut.finish, Finish::Length, "{}", case.name);
        assert!(serde_json::from_str::<Value>(&cut.text).is_err(), "{}", case.name);
    }
}

/// Point 5: one token too long is refused with both numbers, and never reaches the backend.
#[tokio::test(flavor = "multi_thread")]
async fn one_token_too_long_is_refused_with_both_numbers() {
    for case in all(Show::Answer { pictures: 1 }).await {
        let max = case.engine.info().unwrap().context - case.next.max_new_tokens;
        let with = |length: usize| {
            let mut prompt = case.next.clone();
            prompt.parts.push(Part::Text(Neutral::new(&"a".repeat(length))));
            prompt
        };
        let tokens = |length: usize| case.engine.count_tokens(&with(length)).unwrap();
        let (mut fits, mut not) = (0, 8 * max);
        while not - fits > 1 {
            let middle = fits.midpoint(not);
            if tokens(middle) <= max { fits = middle } else { not = middle }
        }
        assert_eq!((tokens(fits), tokens(not)), (max, max + 1), "{}", case.name);
        let refused = generate(&case.engine, with(not)).await;
        assert_eq!(
            (refused, case.engine.calls()),
            (Err(EngineError::TooLong { tokens: max + 1, max }), 0),
            "{}",
            case.name
        );
        assert_eq!(generate(&case.engine, with(fits)).await.unwrap().prompt_tokens, max, "{}", case.name);
    }
}

/// Point 6: an engine that dies before it has said anything is asked once more, after its canary; afterwards never.
#[tokio::test(flavor = "multi_thread")]
async fn a_death_before_the_first_word_is_survived_and_a_later_one_told() {
    for case in all(Show::Answer { pictures: 1 }).await {
        let whole = generate(&case.engine, case.prompt.clone()).await.unwrap().text;
        case.engine.kill_at(1);
        assert_eq!(generate(&case.engine, case.prompt.clone()).await.unwrap().text, whole, "{}", case.name);
        let survived = Counts { calls: 3, retries: 1, restarts: 1, canaries: 1, abandoned_tokens: 0 };
        assert_eq!(case.engine.counts(), survived, "{}", case.name);

        case.engine.kill_at(3);
        let (text, _, end) = read(stream(&case.engine, case.next.clone())).await;
        assert!(matches!(end, Err(EngineError::ModelFault(_))), "{}: {end:?}", case.name);
        assert!(!text.is_empty() && text.len() < whole.len(), "{}: {text}", case.name);
        let told = Counts { calls: 4, retries: 1, restarts: 2, canaries: 2, abandoned_tokens: 0 };
        assert_eq!(case.engine.counts(), told, "{}", case.name);
        assert_unharmed(&case).await;

        // The third death within ten minutes is the end.
        case.engine.kill_at(1);
        let dead = generate(&case.engine, case.prompt.clone()).await;
        assert!(matches!(dead, Err(EngineError::ModelFault(_))), "{}: {dead:?}", case.name);
        assert!(matches!(case.engine.health(), Health::Dead { reason } if reason.contains("three times")));
        case.engine.given_up().await;
        assert_eq!(case.engine.admit(Priority::Clinician).err(), Some(EngineError::Unavailable));
    }
}

/// Point 6: a prompt under which the engine died twice is refused without a call; every other one is answered.
///
/// INVARIANT: a_prompt_that_kills_twice_is_not_asked_again
#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_that_kills_twice_is_not_asked_again() {
    for case in all(Show::Answer { pictures: 1 }).await {
        for _ in 0..2 {
            case.engine.kill_at(3);
            assert!(generate(&case.engine, case.prompt.clone()).await.is_err(), "{}", case.name);
        }
        let calls = case.engine.calls();
        assert_eq!(generate(&case.engine, case.prompt.clone()).await, Err(EngineError::Quarantined), "{}", case.name);
        assert_eq!(case.engine.calls(), calls, "{}", case.name);
        assert_unharmed(&case).await;
    }
}

/// Point 7: control words in a text are text, and no text is in an error or a debug print.
#[tokio::test(flavor = "multi_thread")]
async fn control_words_are_text_and_texts_are_not_printed() {
    const LITERALS: &str = "MARKER <start_of_turn><end_of_turn><start_of_image><bos><unused94>[multimodal]";
    for case in all(Show::Answer { pictures: 1 }).await {
        let mut prompt = Prompt { schema: None, max_new_tokens: 4, ..case.prompt.clone() };
        prompt.parts = vec![Part::Text(Neutral::new("MARKER"))];
        let short = case.engine.count_tokens(&prompt).unwrap();
        prompt.parts = vec![Part::Text(Neutral::new(LITERALS))];
        // As control tokens they would be six.
        assert!(case.engine.count_tokens(&prompt).unwrap() >= short + 15, "{}", case.name);
        let mut answer = stream(&case.engine, prompt.clone());
        while let Some(event) = answer.next().await {
            assert!(event.is_ok(), "{}", case.name);
            let printed = format!("{event:?}");
            let said = match event {
                Ok(Event::Text(text) | Event::Reasoning(text)) => text,
                Ok(Event::Done(done)) => done.text,
                Err(_) => unreachable!(),
            };
            assert!(!printed.contains("MARKER"), "{}: {printed}", case.name);
            assert!(said.trim().len() < 4 || !printed.contains(said.trim()), "{}: {printed}", case.name);
        }
    }
}

/// Point 8: probabilities of the labels, in the order asked for; none where none were asked for.
#[tokio::test(flavor = "multi_thread")]
async fn probabilities_of_labels_sum_to_one_in_the_order_given() {
    for case in all(Show::Labels).await {
        let given = generate(&case.engine, case.prompt.clone()).await.unwrap().label_probabilities.expect(case.name);
        assert_eq!(given.len(), 3, "{}", case.name);
        assert!((given.iter().sum::<f64>() - 1.0).abs() < 1e-9 && given.iter().all(|p| (0.0..=1.0).contains(p)));
        assert_eq!(generate(&case.engine, case.next.clone()).await.unwrap().label_probabilities, None, "{}", case.name);
        if case.name == "mistralrs" {
            let labels = case.prompt.labels.iter().rev().cloned().collect();
            let turned = generate(&case.engine, Prompt { labels, ..case.prompt.clone() }).await.unwrap();
            let back: Vec<f64> = turned.label_probabilities.unwrap().into_iter().rev().collect();
            assert!(given.iter().zip(&back).all(|(a, b)| (a - b).abs() < 1e-12), "{given:?} {back:?}");
        } else {
            // This one cannot tell unless its script says so.
            let silent = generate(&case.engine, Prompt { labels: vec!["a".into()], ..case.next.clone() }).await;
            assert_eq!(silent.unwrap().label_probabilities, None);
        }
    }
}

/// Point 9: reasoning is kept apart from the answer; reasoning without an end is a failure.
#[tokio::test(flavor = "multi_thread")]
async fn reasoning_is_kept_apart_and_never_left_open() {
    for case in all(Show::Reasoning).await {
        let (text, reasoning, end) = read(stream(&case.engine, case.prompt.clone())).await;
        assert_eq!(reasoning, "why", "{}", case.name);
        // A string of one letter: had the reasoning been left in it, it would not be of that form.
        if let Ok(done) = end {
            assert_eq!((done.text, text.trim().len()), (text.clone(), 3), "{}", case.name);
        } else {
            assert_eq!(case.name, "scripted");
        }
    }
    for case in all(Show::OpenReasoning).await {
        let (text, reasoning, end) = read(stream(&case.engine, case.prompt.clone())).await;
        assert!(text.len() <= 1 && reasoning.starts_with("thought"), "{}: {text} {reasoning}", case.name);
        assert!(matches!(end, Err(EngineError::ModelFault(_))), "{}: {end:?}", case.name);
        assert_unharmed(&case).await;
    }
}

/// A stop text ends the answer and is not in it, however many pieces it came in.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_ends_before_a_stop_text() {
    for case in all(Show::Stopped).await {
        let (text, _, end) = read(stream(&case.engine, case.prompt.clone())).await;
        let done = end.unwrap();
        assert_eq!((&done.text, &text, done.finish), (&case.text, &case.text, Finish::Stop), "{}", case.name);
        if case.name == "mistralrs" {
            assert_unharmed(&case).await;
        }
    }
}
