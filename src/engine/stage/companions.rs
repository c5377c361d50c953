//! The small files beside the weights: each is checked, and written anew with only what the runtime should read.

use std::collections::HashMap;

use serde_json::{Map, Value, json, value::RawValue};

use super::{Problem, geometry::Geometry, problem};
use crate::engine::neutral;

/// What is used of `tokenizer.json`; the rest of the file is only checked for its syntax.
#[derive(serde::Deserialize)]
pub struct Tokenizer<'a> {
    added_tokens: Vec<AddedToken>,
    /// Read only where somebody asks for a word.
    #[serde(borrow)]
    model: Option<&'a RawValue>,
}

#[derive(serde::Deserialize)]
struct Words {
    vocab: HashMap<String, u32>,
}

#[derive(serde::Deserialize)]
struct AddedToken {
    id: u32,
    content: String,
    #[serde(default)]
    special: bool,
}

impl<'a> Tokenizer<'a> {
    pub fn parse(bytes: &'a [u8], problems: &mut Vec<Problem>) -> Option<Tokenizer<'a>> {
        let tokenizer = serde_json::from_slice::<Tokenizer>(bytes);
        if tokenizer.is_err() {
            problems.push(problem!(
                "tokenizer.json: the file is cut, or is no tokenizer with added_tokens; copy it again."
            ));
        }
        tokenizer.ok()
    }

    fn id(&self, content: &str) -> Option<u32> {
        self.added_tokens.iter().find(|token| token.content == content).map(|token| token.id)
    }

    /// Whether the text of that token is a word of the vocabulary, which that of a byte or of a space is not: the runtime looks
    /// it up there, and panics where it finds none.
    fn has_word(&self, id: u32) -> bool {
        let found_again = |word: &String| !word.contains('\u{2581}') && !word.starts_with("<0x");
        let words = || self.model.and_then(|model| serde_json::from_str::<Words>(model.get()).ok());
        self.added_tokens.iter().any(|token| token.id == id)
            || words().is_some_and(|words| words.vocab.iter().any(|(word, of)| *of == id && found_again(word)))
    }

    pub fn check(&self, geometry: &Geometry, problems: &mut Vec<Problem>) {
        for needed in [
            "<bos>",
            "<eos>",
            "<start_of_turn>",
            "<end_of_turn>",
            "<start_of_image>",
            "<end_of_image>",
            "<image_soft_token>",
        ] {
            if self.id(needed).is_none() {
                problems.push(problem!("tokenizer.json: the control token {needed} is not among added_tokens."));
            }
        }
        if self.id("<image_soft_token>").is_some_and(|id| id as usize != geometry.image_token) {
            problems.push(problem!(
                "tokenizer.json: <image_soft_token> is not token {}, the image_token_index of config.json.",
                geometry.image_token
            ));
        }
        for token in &self.added_tokens {
            if token.id as usize >= geometry.text.vocabulary {
                problems.push(problem!("tokenizer.json: token {} is outside the vocabulary of config.json.", token.id));
            }
            // INVARIANT: every_control_token_can_be_broken
            if (token.special || token.content.starts_with(['<', '['])) && !neutral::breaks(&token.content) {
                problems.push(problem!(
                    "tokenizer.json: token {} is a control token of a form that cannot be kept out of untrusted text.",
                    token.id
                ));
            }
        }
    }

    /// `tokenizer_config.json`: names only, and no template.
    pub fn to_config(&self) -> Value {
        let mut config = json!({"tokenizer_class": "GemmaTokenizer", "add_bos_token": true});
        for (name, content) in
            [("bos_token", "<bos>"), ("eos_token", "<eos>"), ("pad_token", "<pad>"), ("unk_token", "<unk>")]
        {
            if self.id(content).is_some() {
                config[name] = json!(content);
            }
        }
        config
    }

    /// `generation_config.json`: an answer ends at the end of the turn, whatever else the checkpoint ends at.
    pub fn generation(
        &self,
        source: Option<&Map<String, Value>>,
        vocabulary: usize,
        problems: &mut Vec<Problem>,
    ) -> Value {
        let mut ends: Vec<u32> = ["<eos>", "<end_of_turn>"].into_iter().filter_map(|token| self.id(token)).collect();
        let named = source.and_then(|map| map.get("eos_token_id")).filter(|value| !value.is_null());
        for value in
            named.map(|value| value.as_array().cloned().unwrap_or_else(|| vec![value.clone()])).unwrap_or_default()
        {
            match value.as_u64().and_then(|id| u32::try_from(id).ok()).filter(|id| (*id as usize) < vocabulary) {
                Some(id) if !self.has_word(id) => problems.push(problem!(
                    "generation_config.json: eos_token_id {id} has no word of its own in tokenizer.json: copy both files again."
                )),
                Some(id) => ends.push(id),
                None => problems.push(problem!(
                    "generation_config.json: eos_token_id must be token numbers within the vocabulary."
                )),
            }
        }
        ends.sort_unstable();
        ends.dedup();
        json!({"bos_token_id": self.id("<bos>"), "eos_token_id": ends})
    }
}

/// `preprocessor_config.json`: pictures arrive in their final size, so only their scaling is left to the runtime.
pub fn preprocessor(source: &Map<String, Value>, geometry: &Geometry, problems: &mut Vec<Problem>) -> Value {
    let side = geometry.vision.image_size;
    for name in ["height", "width"] {
        if source.get("size").and_then(|size| size.get(name)).and_then(Value::as_u64) != Some(side as u64) {
            problems
                .push(problem!("preprocessor_config.json: size.{name} must be {side}, the image_size of config.json."));
        }
    }
    for name in ["image_mean", "image_std"] {
        let halves = source
            .get(name)
            .and_then(Value::as_array)
            .is_some_and(|list| list.len() == 3 && list.iter().all(|n| n.as_f64() == Some(0.5)));
        if !halves {
            problems.push(problem!("preprocessor_config.json: {name} must be [0.5, 0.5, 0.5]."));
        }
    }
    if !source.get("rescale_factor").and_then(Value::as_f64).is_some_and(|factor| (factor * 255.0 - 1.0).abs() < 1e-6) {
        problems.push(problem!("preprocessor_config.json: rescale_factor must be 1/255."));
    }
    for name in ["do_resize", "do_rescale", "do_normalize"] {
        if source.get(name).and_then(Value::as_bool) != Some(true) {
            problems.push(problem!("preprocessor_config.json: {name} must be true."));
        }
    }
    json!({
        "do_convert_rgb": true, "do_resize": true, "do_rescale": true, "do_normalize": true, "do_pan_and_scan": false,
        "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "rescale_factor": 1.0 / 255.0, "resample": 2,
        "image_seq_length": geometry.tokens_per_image, "size": {"height": side, "width": side},
        "image_processor_type": "Gemma3ImageProcessor", "processor_class": "Gemma3Processor",
    })
}

/// `processor_config.json`: the number of tokens an image becomes. A template in it would override every other one.
pub fn processor(source: Option<&Map<String, Value>>, geometry: &Geometry, problems: &mut Vec<Problem>) -> Value {
    if let Some(length) = source.and_then(|map| map.get("image_seq_length"))
        && length.as_u64() != Some(geometry.tokens_per_image as u64)
    {
        problems.push(problem!(
            "processor_config.json: image_seq_length must be {}, the mm_tokens_per_image of config.json.",
            geometry.tokens_per_image
        ));
    }
    json!({"image_seq_length": geometry.tokens_per_image, "processor_class": "Gemma3Processor"})
}
