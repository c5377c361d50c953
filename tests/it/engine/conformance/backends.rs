//! The backends, each made to do the same thing in its own way.

use std::time::Duration;

use curbside::engine::{Engine, ModelInfo, Prompt, Step};
use serde_json::json;

use super::super::{ask, picture};
#[cfg(feature = "mistralrs")]
use super::super::{generate, read, stream};

/// What a backend is made to show.
#[derive(Clone, Copy, Debug)]
pub enum Show {
    /// A short answer in several pieces, to a prompt with so many pictures between texts.
    Answer { pictures: u8 },
    /// An answer that is cut at its token limit.
    Cut,
    /// An answer that is cut inside its last character.
    CutInCharacter,
    /// Four hundred tokens or more, of which somebody may tire.
    Long,
    /// Probabilities of the labels `a`, `b` and `c`.
    Labels,
    /// An answer that ends before a stop text, which the model would have written in several pieces.
    Stopped,
    /// The reasoning `why`, then an answer of one letter.
    Reasoning,
    /// Reasoning that is never closed.
    OpenReasoning,
    /// Nothing until the caller has gone, where the backend can be made to; else as `Long`.
    Silence,
}

/// A backend that shows it, and the prompt it shows it for.
pub struct Case {
    pub name: &'static str,
    pub engine: Engine,
    pub prompt: Prompt,
    /// Calls that may be in at once, the one that is answered included.
    pub places: usize,
    /// The text of the answer, where it is known beforehand.
    pub text: String,
    /// A prompt that is answered shortly, whatever was shown before.
    pub next: Prompt,
}

pub async fn all(show: Show) -> Vec<Case> {
    vec![
        scripted(show),
        #[cfg(feature = "mistralrs")]
        real(show).await,
    ]
}

/// Twelve letters: an answer that ends by itself on any model.
fn letters(prompt: Prompt) -> Prompt {
    Prompt { schema: Some(json!({"type": "string", "pattern": "^[a-z]{12}$"})), max_new_tokens: 20, ..prompt }
}

fn with_pictures(side: u32, count: u8) -> Prompt {
    let mut prompt = ask("Show what is new.");
    for seed in 0..count {
        prompt.parts.extend([picture(side, 40 * seed + 1), ask("and then").parts.remove(0)]);
    }
    prompt
}

fn scripted(show: Show) -> Case {
    let say = |text: &str| Step::Say(text.into());
    let answer = [say("\"abc"), say("def"), Step::Text("ghijkl\"".into())];
    let show_me = || ask("Show.");
    let labels = ["a", "b", "c"].map(String::from).to_vec();
    let (steps, prompt) = match show {
        Show::Answer { pictures } => (answer.to_vec(), letters(with_pictures(8, pictures))),
        Show::Cut => (vec![Step::Cut("\"abcd".into())], Prompt { max_new_tokens: 5, ..letters(show_me()) }),
        Show::CutInCharacter => (vec![say("한"), Step::CutInCharacter("국".into())], show_me()),
        Show::Long => {
            // Slow enough that whoever leaves leaves in the middle.
            let word = [say("a"), Step::Delay(Duration::from_millis(5))];
            let mut steps: Vec<Step> = word.iter().cycle().take(800).cloned().collect();
            steps.push(Step::Text("end".into()));
            (steps, Prompt { max_new_tokens: 30, ..show_me() })
        }
        Show::Silence => (vec![Step::Stall], show_me()),
        Show::Labels => {
            (vec![Step::Logits(vec![1.0, 2.0, 3.0]), Step::Text("c".into())], Prompt { labels, ..show_me() })
        }
        Show::Stopped => {
            let steps = vec![say("before S"), say("TO"), say("P after"), Step::Text("never".into())];
            (steps, Prompt { stop: vec!["STOP".into()], ..show_me() })
        }
        Show::Reasoning => (vec![Step::Reasoning("why".into()), Step::Text("\"a\"".into())], letters(show_me())),
        Show::OpenReasoning => (vec![Step::OpenReasoning("thought\nIs".into()), Step::Text(" it".into())], show_me()),
    };
    let info = ModelInfo::scripted();
    let text = if matches!(show, Show::Stopped) { "before ".into() } else { String::new() };
    let steps = [&[Step::When("Then?")][..], &answer, &[Step::When("Show")], &steps].concat();
    Case {
        name: "scripted",
        engine: Engine::scripted(info, steps),
        prompt,
        places: 3,
        text,
        next: letters(ask("Then?")),
    }
}

#[cfg(feature = "mistralrs")]
async fn real(show: Show) -> Case {
    use std::path::Path;

    use super::super::real::{tiny, tiny_with};
    use crate::tiny_checkpoint;

    let pattern = |pattern: &str, max_new_tokens| Prompt {
        schema: Some(json!({"type": "string", "pattern": pattern})),
        max_new_tokens,
        ..ask("?")
    };
    let mut text = String::new();
    let all_bytes = |dir: &Path| tiny_checkpoint::write_with_all_bytes(dir);
    let (engine, prompt) = match show {
        Show::Answer { pictures } => (tiny().await, letters(with_pictures(32, pictures))),
        Show::Cut => (tiny().await, Prompt { max_new_tokens: 5, ..letters(ask("?")) }),
        // The opening quote, a character of three bytes, and two bytes of another.
        Show::CutInCharacter => (tiny_with(all_bytes).await, pattern("^한{9}$", 6)),
        Show::Long | Show::Silence => (tiny().await, pattern("^[a-z]{1600}$", 1500)),
        Show::Labels => {
            let labels = ["a", "b", "c"].map(String::from).to_vec();
            (tiny().await, Prompt { labels, max_new_tokens: 1, ..ask("?") })
        }
        Show::Stopped => {
            let engine = tiny().await;
            let free = Prompt { max_new_tokens: 24, ..ask("?") };
            let whole: Vec<char> = generate(&engine, free.clone()).await.unwrap().text.chars().collect();
            // One character is one token, or less.
            let stop: String = whole[8..11].iter().collect();
            text = whole.iter().collect::<String>().split(&stop).next().unwrap_or_default().to_owned();
            (engine, Prompt { stop: vec![stop], ..free })
        }
        Show::Reasoning => thinking().await,
        Show::OpenReasoning => {
            let schema = json!({"enum": ["<unused94>thought"]});
            (tiny().await, Prompt { schema: Some(schema), max_new_tokens: 40, ..ask("?") })
        }
    };
    Case { name: "mistralrs", engine, prompt, places: 16, text, next: letters(ask("Then?")) }
}

/// A grammar that lets the model think first, and a letter that it finds less likely than to do so.
#[cfg(feature = "mistralrs")]
async fn thinking() -> (Engine, Prompt) {
    let engine = super::super::real::tiny().await;
    for letter in 'a'..='z' {
        let schema = json!({"type": "string", "pattern": format!("^(<unused94>why<unused95>)?{letter}$")});
        let prompt = Prompt { schema: Some(schema), max_new_tokens: 40, ..ask("?") };
        if read(stream(&engine, prompt.clone())).await.1 == "why" {
            return (engine, prompt);
        }
    }
    panic!("no letter makes the model think");
}
