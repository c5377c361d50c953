//! From a Chart to the text and pictures a model is given. Pure, and the only place that writes model text.

pub mod contract;
mod scope;

use sha2::{Digest, Sha256};

use crate::{
    chart::{Chart, View},
    engine::{Neutral, Part, Prompt},
    imaging::Image,
};

/// Why a line that could be shown was not.
const FULL: &str = "the prompt was full";

/// What comes of a chart: a prompt and what of the chart stands in it, or why the model is not asked.
pub enum Rendered {
    Ask(Box<Prompt>, View),
    Refuse(String),
}

/// Why there is no film to ask about.
fn no_film(chart: &Chart) -> Rendered {
    let why = chart.reading.as_ref().and_then(|reading| reading.no_film.clone());
    Rendered::Refuse(why.unwrap_or_else(|| "no film was read".into()))
}

/// Ends the text with a picture, which follows its line directly, with no newline on either side.
fn picture(parts: &mut Vec<Part>, text: &mut String, image: &Image) {
    parts.push(Part::Text(Neutral::new(text)));
    parts.push(Part::Image(image.pixels.clone()));
    text.clear();
}

/// How many control tokens were made harmless.
fn neutralised(parts: &[Part]) -> usize {
    let replacements = |part: &Part| if let Part::Text(text) = part { text.replacements() } else { 0 };
    parts.iter().map(replacements).sum()
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
