//! The coded vocabulary of findings on a film, and its words in JSON, prompts and answers.

use serde::{Deserialize, Serialize};

/// An enum of words: each variant is one word in data, in the order of `WORDS`.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name { $(#[serde(rename = $word)] $variant),+ }
        impl $name {
            pub const ALL: &'static [$name] = &[$(Self::$variant),+];
            pub const WORDS: &'static [&'static str] = &[$($word),+];
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }
    };
}
pub(crate) use words;

/// A coded finding on a film. `side` is the patient's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Finding {
    pub kind: FindingKind,
    pub side: Side,
    pub region: Region,
    pub severity: Severity,
    pub change: Change,
}

words!(FindingKind { Pneumothorax = "pneumothorax", Opacity = "opacity", Effusion = "effusion", Cardiomegaly = "cardiomegaly", Line = "line" });
words!(Side { Right = "right", Left = "left", Midline = "midline" });
words!(
    /// For a line, where its tip lies.
    Region { Upper = "upper", Middle = "middle", Lower = "lower", Whole = "whole", Heart = "heart", Mediastinum = "mediastinum" }
);
words!(
    /// `None` where a kind has no size, such as a line.
    Severity { None = "none", Small = "small", Moderate = "moderate", Large = "large" }
);
words!(
    /// Against the prior film.
    Change { Unknown = "unknown", New = "new", Same = "same", Better = "better", Worse = "worse" }
);
