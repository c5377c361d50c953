//! What every backend of the engine must do, point by point: the real runtime on the tiny checkpoint, and the script.

mod backends;

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

/// Point 3: who leaves, before the first token or after it, and who reads late or not at all, harms nobody.
#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_or_does_not_read_harms_nobody() {
    for case in all(Show::Silence).await {
        let answer = stream(&case.engine, case.prompt.clone());
        eventually(|| case.engine.calls() == 1).await;
        drop(answer);
        assert_unharmed(&case).await;
    }
    for case in all(Show::Long).await {
        let mut answer = stream(&case.engine, case.prompt.clone());
        assert!(matches!(answer.next().await, Some(Ok(Event::Text(_)))), "{}", case.name);
        drop(answer);
        assert_unharmed(&case).await;
    }
    for case in all(Show::Answer { pictures: 0 }).await {
        // Nobody reads the first answer until the second is there.
        let unread = stream(&case.engine, case.prompt.clone());
        assert_unharmed(&case).await;
        let (text, _, end) = read(unread).await;
        assert_eq!(end.unwrap().text, text, "{}", case.name);
    }
    for case in all(Show::Long).await {
        // Who never reads at all is held to the deadline all the same.
        let deadline = within(Duration::from_millis(200));
        let unread = case.engine.stream(case.engine.admit(Priority::Clinician).unwrap(), case.prompt.clone(), deadline);
        assert_unharmed(&case).await;
        assert_eq!(read(unread).await.2, Err(EngineError::Deadline), "{}", case.name);
    }
}

/// Point 3: five hundred callers who leave whenever it pleases them leave nothing behind.
#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_at_any_moment_leaves_nothing_behind() {
    for case in all(Show::Long).await {
        let mut random: u64 = 7;
        for _ in 0..250 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let pause = Duration::from_micros((random >> 33) % 8_000);
            // One that may be answered, and one behind it that may still wait.
            let mut calls = Vec::new();
            for _ in 0..2 {
                // The place of one that only waited comes back when its task sees that it has left.
                eventually(|| case.engine.admit(Priority::Clinician).is_ok()).await;
                calls.push(stream(&case.engine, case.prompt.clone()));
            }
            tokio::time::sleep(pause).await;
            drop(calls);
            case.engine.wait_idle().await;
        }
        let counts = case.engine.counts();
        assert_eq!((counts.restarts, counts.retries), (0, 0), "{}", case.name);
        assert_unharmed(&case).await;
    }
}

/// Point 4: the deadline holds in the queue, before the first token and after it; a full queue refuses at once.
#[tokio::test(flavor = "multi_thread")]
async fn the_deadline_holds_everywhere_and_a_full_queue_refuses() {
    for show in [Show::Silence, Show::Long] {
        for case in all(show).await {
            for milliseconds in [0, 1, 40] {
                let deadline = within(Duration::from_millis(milliseconds));
                let place = case.engine.admit(Priority::Clinician).unwrap();
                let answer = case.engine.generate(place, case.prompt.clone(), deadline).await;
                let late = Instant::now() - deadline;
                println!("{} {show:?}: {late:?} after the deadline", case.name);
                // Generous: it fails where the caller waits for the call.
                assert!(late < Duration::from_secs(1), "{} {show:?} {milliseconds}: {late:?}", case.name);
                assert_eq!(answer, Err(EngineError::Deadline), "{} {show:?} {milliseconds}", case.name);
                if case.name == "scripted" {
                    break;
                }
            }
            assert_unharmed(&case).await;
        }
    }
    for case in all(Show::Long).await {
        let busy = stream(&case.engine, case.prompt.clone());
        eventually(|| case.engine.calls() == 1).await;
        let place = case.engine.admit(Priority::Clinician).unwrap();
        let waiting = case.engine.generate(place, case.next.clone(), within(Duration::from_millis(20))).await;
        assert_eq!((waiting, case.engine.calls()), (Err(EngineError::Deadline), 1), "{}", case.name);
        let mut places = Vec::new();
        let refused = loop {
            match case.engine.admit(Priority::Clinician) {
                Ok(place) => places.push(place),
                Err(refused) => break refused,
            }
        };
        assert!(matches!(refused, EngineError::Busy { retry_after } if retry_after >= Duration::from_secs(1)));
        drop((busy, places));
        assert_unharmed(&case).await;
    }
}

/// Point 4: clinicians go before background work, which leaves them a place.
#[tokio::test(flavor = "multi_thread")]
async fn clinicians_go_first() {
    for case in all(Show::Long).await {
        let busy = stream(&case.engine, case.prompt.clone());
        eventually(|| case.engine.calls() == 1).await;
        let (told, mut order) = tokio::sync::mpsc::unbounded_channel();
        for priority in [Priority::Background, Priority::Clinician] {
            let answer = case.engine.stream(
                case.engine.admit(priority).unwrap(),
                case.next.clone(),
                within(Duration::from_secs(120)),
            );
            let told = told.clone();
            tokio::spawn(async move { told.send((priority, answer.complete().await.is_ok())) });
            // In the line before the next one comes.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        drop(busy);
        assert_eq!(order.recv().await, Some((Priority::Clinician, true)), "{}", case.name);
        assert_eq!(order.recv().await, Some((Priority::Background, true)), "{}", case.name);
        let mut places = Vec::new();
        while let Ok(place) = case.engine.admit(Priority::Background) {
            places.push(place);
        }
        assert!(case.engine.admit(Priority::Clinician).is_ok(), "{}", case.name);
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

/// Point 10: a canary is asked in turn and counted; its states are in `health`.
#[tokio::test(flavor = "multi_thread")]
async fn a_canary_waits_its_turn_and_is_counted() {
    for case in all(Show::Long).await {
        let busy = stream(&case.engine, case.prompt.clone());
        eventually(|| case.engine.calls() == 1).await;
        let canary = tokio::spawn({
            let engine = case.engine.clone();
            async move { engine.ask_canary().await }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(case.engine.counts().canaries, 0, "{}: a call runs", case.name);
        drop(busy);
        assert_eq!(canary.await.unwrap(), Health::Ready, "{}", case.name);
        assert_eq!(case.engine.counts().canaries, 1, "{}", case.name);
        assert_unharmed(&case).await;
    }
}

/// How long it takes until the place is free when a caller leaves: printed; on the real engine also in tokens of work.
#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_leaves_frees_the_place() {
    for case in all(Show::Long).await {
        let (mut times, mut steps) = (Vec::new(), Vec::new());
        case.engine.pace(Duration::from_millis(25));
        for turn in 0..60 {
            let mut answer = stream(&case.engine, case.prompt.clone());
            for _ in 0..turn % 3 + 1 {
                assert!(matches!(answer.next().await, Some(Ok(Event::Text(_)))), "{}", case.name);
            }
            let left = Clock::now();
            let before = case.engine.counts().abandoned_tokens;
            drop(answer);
            // The gate is first come, first served: whoever is in it next finds the model free.
            case.engine.wait_idle().await;
            times.push(left.elapsed());
            steps.push(case.engine.counts().abandoned_tokens - before);
        }
        times.sort_unstable();
        let most = steps.iter().max().unwrap();
        println!(
            "{}: a caller leaves: n {}, p50 {:?}, p99 {:?}, max {:?}, tokens computed for nobody: {} in all, at most {most}",
            case.name,
            times.len(),
            times[times.len() / 2],
            times[times.len() * 99 / 100],
            times[times.len() - 1],
            steps.iter().sum::<u64>(),
        );
        assert!(*most <= 2, "{}: {steps:?}", case.name);
        if case.name == "scripted" {
            assert!(times[times.len() / 2] < Duration::from_millis(250), "{times:?}");
        }
    }
}
