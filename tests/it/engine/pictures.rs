//! That the answer to a prompt is the answer to its own pictures, whatever else is asked at the same time or before.

use std::time::Duration;

use curbside::engine::{Engine, Part, Priority, Prompt};

use super::{
    ask, generate, picture,
    real::{tiny, with_pictures},
    within,
};

/// The first logits say more than a few letters would: two answers may begin alike.
async fn seen(engine: &Engine, prompt: &Prompt) -> Vec<f32> {
    engine.first_step(prompt).await.unwrap().logits
}

/// Asks all at once and compares each answer with the one it has alone.
async fn together_as_alone(engine: &Engine, prompts: Vec<Prompt>) {
    let mut alone = Vec::new();
    for prompt in &prompts {
        alone.push((generate(engine, prompt.clone()).await.unwrap().text, seen(engine, prompt).await));
    }
    for _ in 0..3 {
        let asked: Vec<_> = prompts
            .iter()
            .map(|prompt| {
                let (engine, prompt) = (engine.clone(), prompt.clone());
                tokio::spawn(async move {
                    let place = engine.admit(Priority::Clinician).unwrap();
                    let logits = seen(&engine, &prompt);
                    let answer = engine.generate(place, prompt.clone(), within(Duration::from_secs(120)));
                    let (answer, logits) = futures::join!(answer, logits);
                    (answer.unwrap().text, logits)
                })
            })
            .collect();
        for (asked, alone) in asked.into_iter().zip(&alone) {
            assert_eq!(asked.await.unwrap(), *alone);
        }
    }
}

fn longer(tokens: usize) -> Prompt {
    Prompt { max_new_tokens: tokens, ..ask("") }
}

/// Row 25 of `ROWS`.
#[tokio::test(flavor = "multi_thread")]
async fn a_picture_and_a_text_of_equal_length_do_not_meet() {
    let engine = tiny().await;
    let with_picture = Prompt { max_new_tokens: 12, ..with_pictures(1) };
    let length = engine.count_tokens(&with_picture).unwrap();
    let frame = engine.count_tokens(&ask("")).unwrap();
    let text = Prompt { max_new_tokens: 12, ..ask(&"a".repeat(length - frame)) };
    assert_eq!(engine.count_tokens(&text).unwrap(), length);
    together_as_alone(&engine, vec![with_picture, text]).await;
}

/// Row 26 of `ROWS`.
#[tokio::test(flavor = "multi_thread")]
async fn prompts_of_mixed_lengths_are_answered_as_alone() {
    let engine = tiny().await;
    let prompts = (0..8u8).map(|n| {
        let mut prompt = longer(10 + 3 * usize::from(n));
        prompt.parts.extend(ask(&"word ".repeat(1 + usize::from(n) * 5)).parts);
        prompt.parts.extend((0..n % 3).map(|seed| picture(32, 17 * n + seed)));
        prompt
    });
    together_as_alone(&engine, prompts.collect()).await;
}

/// Row 28 of `ROWS`.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_question_about_a_picture_is_answered_as_the_first() {
    let about = |question: &str| {
        let mut prompt = longer(12);
        prompt.parts = vec![picture(32, 9)];
        prompt.parts.extend(ask(question).parts);
        prompt
    };
    let (first, second) = (about("What is it?"), about("Is it worse than it was?"));
    let cold = tiny().await;
    let (alone, alone_seen) = (generate(&cold, second.clone()).await.unwrap().text, seen(&cold, &second).await);
    let warm = tiny().await;
    for _ in 0..2 {
        assert!(generate(&warm, first.clone()).await.is_ok());
        assert_eq!(generate(&warm, second.clone()).await.unwrap().text, alone);
        assert_eq!(seen(&warm, &second).await, alone_seen);
    }
}

/// The pictures of these tests are different ones to the model, so that a mix-up would show.
#[tokio::test(flavor = "multi_thread")]
async fn the_model_tells_the_pictures_of_these_tests_apart() {
    let engine = tiny().await;
    let mut all: Vec<Vec<f32>> = Vec::new();
    for seed in [1, 9, 17, 34, 41] {
        let prompt =
            Prompt { parts: vec![picture(32, seed), Part::Text(curbside::engine::Neutral::new("?"))], ..longer(1) };
        let logits = seen(&engine, &prompt).await;
        assert!(!all.contains(&logits), "seed {seed}");
        all.push(logits);
    }
}
