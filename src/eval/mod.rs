//! Made-up cases with known answers: a patient's record, films and what a perfect model would answer, for training and
//! evaluation. Nothing in them is of a real person.
//!
//! A case is drawn from a seed. Its record is read by the server's own readers and its prompt written by the server's own
//! renderer, so that what a model learns is what it will be asked.

mod answer;
mod case;
mod export;
mod films;
mod hospital;
mod record;
#[cfg(test)]
mod tests;
mod texts;

pub use answer::{Expected, supports};
pub use case::{Case, Maker, Shown};
pub use export::{Export, SEEDS, export};
pub use films::{Class, Label, Shot};
pub use hospital::{Drawn, Looks, draw, open};
pub use texts::Texts;
