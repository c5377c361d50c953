//! From a Chart to the text and pictures a model is given. Pure, and the only place that writes model text.

pub mod contract1;
pub mod contract2;
mod scope;

use sha2::{Digest, Sha256};

use crate::{
    chart::View,
    engine::{Part, Prompt},
};

/// What comes of a chart: a prompt and what of the chart stands in it, or why the model is not asked.
pub enum Rendered {
    Ask(Box<Prompt>, View),
    Refuse(String),
}

/// SHA-256 over everything that determines the answer: text, pixels, schema and token limit, hex.
pub fn hash(prompt: &Prompt) -> String {
    let mut hash = Sha256::new();
    let mut add = |kind: &[u8], bytes: &[u8]| {
        hash.update(kind);
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    for part in &prompt.parts {
        match part {
            Part::Text(text) => add(b"text", text.as_str().as_bytes()),
            Part::Image(image) => add(b"rgb8", image.as_raw()),
        }
    }
    add(b"schema", prompt.schema.as_ref().map(|s| s.to_string()).unwrap_or_default().as_bytes());
    add(b"max_new_tokens", &(prompt.max_new_tokens as u64).to_be_bytes());
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}
