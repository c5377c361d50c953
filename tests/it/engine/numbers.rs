//! What the real runtime computes, and what of it is told.

use std::time::Duration;

use curbside::{
    chart::EvidenceId,
    engine::{EngineError, Finish, Prompt},
    grounding,
    task::Task,
};
use serde_json::Value;
use tokenizers::Tokenizer;

use super::{
    ask, generate,
    real::{tiny, with_pictures},
};
use crate::tiny_checkpoint;

/// Row 35 of `ROWS`.
#[tokio::test(flavor = "multi_thread")]
async fn equal_questions_get_equal_answers_with_another_between() {
    let engine = tiny().await;
    let prompt = Prompt { max_new_tokens: 40, ..with_pictures(1) };
    let first = generate(&engine, prompt.clone()).await.unwrap();
    let step = engine.first_step(&prompt).await.unwrap();
    assert_eq!(generate(&engine, prompt.clone()).await.unwrap().text, first.text);
    assert!(generate(&engine, Prompt { max_new_tokens: 33, ..ask("Something else, of another length") }).await.is_ok());
    assert_eq!(generate(&engine, prompt.clone()).await.unwrap().text, first.text);
    let again = engine.first_step(&prompt).await.unwrap();
    assert_eq!((step.prompt, step.logits), (again.prompt, again.logits));
}

/// Row 37 of `ROWS`: a model that knows nothing still ends within the bound the schema sets.
#[tokio::test(flavor = "multi_thread")]
async fn a_random_model_completes_the_answers_form_within_its_bound() {
    let engine = tiny().await;
    let schema = grounding::contract::schema(Task::ImagingDraft, &[EvidenceId(1), EvidenceId(2)]);
    // One character is one token here.
    let prompt = Prompt { schema: Some(schema.clone()), max_new_tokens: 1900, ..ask("?") };
    let answer = generate(&engine, prompt).await.unwrap();
    assert_eq!(answer.finish, Finish::Stop, "{} tokens", answer.completion_tokens);
    let value: Value = serde_json::from_str(&answer.text).unwrap();
    assert!(jsonschema::is_valid(&schema, &value));
    assert!(!answer.text.contains("  ") && !answer.text.contains('\n'), "{}", answer.text);
}

/// Row 40 of `ROWS`.
#[tokio::test(flavor = "multi_thread")]
async fn label_probabilities_are_the_softmax_over_the_labels_logits() {
    let folder = tempfile::tempdir().unwrap();
    tiny_checkpoint::write(folder.path());
    let tokenizer = Tokenizer::from_file(folder.path().join("tokenizer.json")).unwrap();
    let engine = tiny().await;
    let labels = ["a", "Q", "7", "?"].map(String::from).to_vec();
    for pictures in 0..2 {
        let prompt = Prompt { labels: labels.clone(), max_new_tokens: 1, ..with_pictures(pictures) };
        let given = generate(&engine, prompt.clone()).await.unwrap().label_probabilities.unwrap();
        let logits = engine.first_step(&prompt).await.unwrap().logits;
        let powers: Vec<f64> = labels
            .iter()
            .map(|label| f64::from(logits[tokenizer.token_to_id(label).unwrap() as usize]).exp())
            .collect();
        for (given, power) in given.iter().zip(&powers) {
            assert!((given - power / powers.iter().sum::<f64>()).abs() < 1e-9, "{given} of {powers:?}");
        }
        assert!((given.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }
    // A label of two tokens, or the same one twice, has no probability.
    for labels in [vec!["ab".to_string()], vec!["a".into(), "a".into()], vec![String::new()]] {
        let prompt = Prompt { labels, max_new_tokens: 1, ..ask("?") };
        assert_eq!(generate(&engine, prompt).await, Err(EngineError::BadConstraint));
    }
}

/// Row 41 of `ROWS`.
#[tokio::test(flavor = "multi_thread")]
async fn the_times_of_an_answer_of_one_token_are_real_ones() {
    let engine = tiny().await;
    for pictures in 0..2 {
        let answer = generate(&engine, Prompt { max_new_tokens: 1, ..with_pictures(pictures) }).await.unwrap();
        assert_eq!(answer.completion_tokens, 1);
        assert!(answer.time_to_first_token > Duration::ZERO && answer.time_to_first_token <= answer.total);
        let rate = answer.completion_tokens as f64 / answer.total.as_secs_f64();
        assert!(rate.is_finite() && rate > 0.0);
    }
}
