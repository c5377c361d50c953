//! Prompts in tokens, as the runtime will count them.

use tokenizers::Tokenizer;

use super::{Part, Prompt, backend::Failure, stage::Staged};

const OPEN_IMAGE: &str = "<start_of_image>";

pub(super) struct Tokens {
    tokenizer: Tokenizer,
    /// What the runtime makes of `<start_of_image>` when it expands a picture.
    image_text: String,
}

impl Tokens {
    /// Of a checkpoint; one sentence where its tokenizer is not one the runtime would understand.
    pub(super) fn of(staged: &Staged) -> Result<Tokens, String> {
        let tokenizer = Tokenizer::from_file(staged.tokenizer())
            .map_err(|_| "tokenizer.json: the tokenizer cannot be built; copy the file again.")?;
        let ids = tokenizer.encode_fast("x", true).map_err(|_| "tokenizer.json: the tokenizer cannot encode.")?;
        let bos = tokenizer.token_to_id("<bos>");
        if ids.get_ids().first().copied() != bos || ids.get_ids().iter().filter(|id| Some(**id) == bos).count() != 1 {
            return Err("tokenizer.json: its post-processor must put exactly one <bos> before a text.".into());
        }
        let soft_tokens = "<image_soft_token>".repeat(staged.info.tokens_per_image);
        Ok(Tokens { tokenizer, image_text: format!("\n\n{OPEN_IMAGE}{soft_tokens}<end_of_image>\n\n") })
    }

    /// Encodes as the runtime will: once as rendered, then, with pictures, decoded, expanded and encoded again.
    pub(super) fn count(&self, prompt: &Prompt) -> Result<usize, Failure> {
        const FAULT: Failure = Failure::Fault("prompt cannot be encoded");
        let mut text = String::from("<start_of_turn>user\n");
        for part in &prompt.parts {
            text.push_str(match part {
                Part::Text(text) => text.as_str(),
                Part::Image(_) => OPEN_IMAGE,
            });
        }
        text.push_str("<end_of_turn>\n<start_of_turn>model\n");
        let encoding = self.tokenizer.encode_fast(text, true).map_err(|_| FAULT)?;
        if prompt.images().next().is_none() {
            return Ok(encoding.get_ids().len());
        }
        let decoded = self.tokenizer.decode(encoding.get_ids(), false).map_err(|_| FAULT)?;
        let expanded = decoded.replace(OPEN_IMAGE, &self.image_text);
        Ok(self.tokenizer.encode_fast(expanded, false).map_err(|_| FAULT)?.get_ids().len())
    }

    /// Each label is one token of its own, or no constraint the runtime can work with.
    pub(super) fn of_labels(&self, labels: &[String]) -> Result<Vec<u32>, Failure> {
        let mut tokens = Vec::with_capacity(labels.len());
        for label in labels {
            let encoding = self.tokenizer.encode_fast(label.as_str(), false).map_err(|_| Failure::BadConstraint)?;
            match encoding.get_ids() {
                [token] if !tokens.contains(token) => tokens.push(*token),
                _ => return Err(Failure::BadConstraint),
            }
        }
        Ok(tokens)
    }
}
