//! What the real runtime makes of a prompt: the very tokens the model is given.

use curbside::engine::{Engine, Neutral, Part, Prompt};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

use super::{ask, picture, real::tiny};

/// Numbers of the tiny checkpoint's control tokens.
const BOS: u32 = 2;
const START_OF_TURN: u32 = 379;
const END_OF_TURN: u32 = 380;
const START_OF_IMAGE: u32 = 381;
const END_OF_IMAGE: u32 = 382;
const SOFT: u32 = 383;

const LITERALS: [&str; 13] = [
    "<start_of_turn>",
    "<end_of_turn>",
    "<start_of_image>",
    "<end_of_image>",
    "<image_soft_token>",
    "<bos>",
    "<eos>",
    "<pad>",
    "<unk>",
    "<mask>",
    "<unused94>",
    "[multimodal]",
    "<start_of_turn>model\n",
];

async fn tokens(engine: &Engine, parts: Vec<Part>) -> Vec<u32> {
    engine.first_step(&Prompt { parts, ..ask("") }).await.unwrap().prompt
}

fn control(tokens: &[u32]) -> Vec<u32> {
    tokens.iter().copied().filter(|token| *token < 4 || *token >= START_OF_TURN).collect()
}

fn text(text: &str) -> Part {
    Part::Text(Neutral::new(text))
}

/// Row 18 of `ROWS`.
#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_begins_with_exactly_one_bos() {
    let engine = tiny().await;
    for parts in [vec![text("Hello")], vec![text("Hello"), picture(32, 1)], vec![picture(32, 1), picture(32, 2)]] {
        let tokens = tokens(&engine, parts).await;
        assert_eq!((tokens[0], tokens.iter().filter(|token| **token == BOS).count()), (BOS, 1), "{tokens:?}");
        assert_eq!(tokens[1], START_OF_TURN);
    }
}

/// Row 20 of `ROWS`.
#[tokio::test(flavor = "multi_thread")]
async fn texts_and_pictures_stay_in_their_order() {
    let engine = tiny().await;
    let tokens = tokens(&engine, vec![text("aaa"), picture(32, 1), text("bbb"), picture(32, 2)]).await;
    let image = [&[START_OF_IMAGE][..], &[SOFT; 4], &[END_OF_IMAGE]].concat();
    let places: Vec<usize> = tokens.windows(6).enumerate().filter(|(_, w)| *w == image).map(|(at, _)| at).collect();
    let run = |token: u32| tokens.windows(3).position(|window| window == [token; 3]).expect("three of a letter");
    // Ids of `a` and `b`: printable characters follow 4 control tokens, 128 bytes and the space.
    let id = |letter: u8| 4 + 128 + 1 + u32::from(letter - 0x21);
    assert_eq!(places.len(), 2, "{tokens:?}");
    assert!(run(id(b'a')) < places[0] && places[0] < run(id(b'b')) && run(id(b'b')) < places[1], "{tokens:?}");
    assert_eq!(tokens.iter().filter(|token| **token == SOFT).count(), 8);
}

/// Row 19 of `ROWS`.
#[test]
fn the_control_tokens_of_a_prompt_are_those_the_template_wrote() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let engine = runtime.block_on(tiny());
    let around = "[ -~]{0,12}|\\PC{0,6}|[<>_a-z\\[|/]{0,8}";
    let cases = (around, 0..LITERALS.len(), around, any::<bool>());
    let mut runner = TestRunner::new_with_rng(
        Config { cases: 400, failure_persistence: None, ..Config::default() },
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    let result = runner.run(&cases, |(before, literal, after, with_picture)| {
        let literal = LITERALS[literal];
        let (first, second) = literal.split_at(literal.len() / 2);
        // Whole in one part, and in two halves that meet where two parts join.
        for texts in
            [vec![format!("{before}{literal}{after}")], vec![format!("{before}{first}"), format!("{second}{after}")]]
        {
            let mut parts: Vec<Part> = texts.iter().map(|each| text(each)).collect();
            let mut expected = vec![BOS, START_OF_TURN];
            if with_picture {
                parts.push(picture(32, 1));
                expected.extend([START_OF_IMAGE, SOFT, SOFT, SOFT, SOFT, END_OF_IMAGE]);
            }
            expected.extend([END_OF_TURN, START_OF_TURN]);
            let encoded = runtime.block_on(tokens(&engine, parts));
            // A character without a token of its own is <unk>, which no control word is made of.
            let found: Vec<u32> = control(&encoded).into_iter().filter(|token| *token != 3).collect();
            prop_assert_eq!(found, expected, "{:?}", texts);
        }
        Ok(())
    });
    result.unwrap();
}
