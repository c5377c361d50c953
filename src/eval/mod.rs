//! Made-up cases with known answers: a patient's record, films and what a perfect model would answer, for training and
//! evaluation. Nothing in them is of a real person.
//!
//! A case is drawn from a seed. Its record is read by the server's own readers and its prompt written by the server's own
//! renderer, so that what a model learns is what it will be asked. [`run`](run()) asks the whole product: cases are served by
//! a made-up hospital ([`open`]), each is one hook call over HTTP ([`Site`]), and what its card and report say is compared
//! with the perfect answer.

mod answer;
mod case;
mod export;
mod figure;
mod films;
mod hospital;
mod mark;
mod record;
mod run;
mod site;
#[cfg(test)]
mod tests;
mod texts;
mod told;

pub use answer::{Expected, Stated, supports};
pub use case::{Case, Maker, Shown};
pub use export::{Export, SEEDS, export, text};
pub use figure::{Figure, Measure, Row, Share, Target};
pub use films::{Class, Label, Shot};
pub use hospital::{Drawn, Looks, draw, open};
pub use mark::{Mark, Seen};
pub use run::{Outcome, Plan, Table, run};
pub use site::{Site, key};
pub use texts::Texts;
pub use told::Told;
