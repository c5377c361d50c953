//! Prompts that kill the engine: who has done it twice is not let in again for an hour.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::{Part, Prompt};

const QUARANTINE: Duration = Duration::from_secs(3600);
const MOST_DEATHS: u32 = 2;
/// Prompts remembered; beyond it the oldest is forgotten.
const MOST_PROMPTS: usize = 256;

type Fingerprint = [u8; 32];

/// What is remembered of prompts: hashes only.
#[derive(Default)]
pub(super) struct Poison {
    deaths: Mutex<HashMap<Fingerprint, (u32, Instant)>>,
}

impl Poison {
    /// Notes that the engine died under the prompt.
    pub(super) fn note(&self, prompt: &Prompt) {
        let (fingerprint, now) = (fingerprint(prompt), Instant::now());
        let mut deaths = self.recent(now);
        let count = deaths.get(&fingerprint).map_or(0, |(count, _)| *count);
        deaths.insert(fingerprint, (count + 1, now));
        if deaths.len() > MOST_PROMPTS
            && let Some(oldest) = deaths.iter().min_by_key(|(_, (_, at))| *at).map(|(fingerprint, _)| *fingerprint)
        {
            deaths.remove(&oldest);
        }
    }

    // INVARIANT: a_prompt_that_kills_twice_is_not_asked_again
    pub(super) fn holds(&self, prompt: &Prompt) -> bool {
        let deaths = self.recent(Instant::now());
        // Hashing pictures costs something; nearly always there is nothing to compare with.
        !deaths.is_empty() && deaths.get(&fingerprint(prompt)).is_some_and(|(count, _)| *count >= MOST_DEATHS)
    }

    fn recent(&self, now: Instant) -> MutexGuard<'_, HashMap<Fingerprint, (u32, Instant)>> {
        let mut deaths = self.deaths.lock().unwrap_or_else(PoisonError::into_inner);
        deaths.retain(|_, (_, at)| now.duration_since(*at) < QUARANTINE);
        deaths
    }
}

fn fingerprint(prompt: &Prompt) -> Fingerprint {
    let mut hash = Sha256::new();
    let mut add = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    for part in &prompt.parts {
        match part {
            Part::Text(text) => add(text.as_str().as_bytes()),
            Part::Image(image) => add(image.as_raw()),
        }
    }
    add(prompt.schema.as_ref().map(|schema| schema.to_string()).unwrap_or_default().as_bytes());
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Neutral;

    fn prompt(text: &str) -> Prompt {
        Prompt { parts: vec![Part::Text(Neutral::new(text))], ..Prompt::default() }
    }

    #[test]
    fn two_deaths_under_one_prompt_and_no_others_count() {
        let poison = Poison::default();
        poison.note(&prompt("a"));
        poison.note(&prompt("b"));
        assert!(!poison.holds(&prompt("a")) && !poison.holds(&prompt("b")));
        poison.note(&prompt("a"));
        assert!(poison.holds(&prompt("a")) && !poison.holds(&prompt("b")) && !poison.holds(&prompt("c")));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let poison = Poison::default();
        for n in 0..2 * MOST_PROMPTS {
            poison.note(&prompt(&n.to_string()));
        }
        assert_eq!(poison.recent(Instant::now()).len(), MOST_PROMPTS);
    }
}
