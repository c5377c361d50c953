//! curbside: clinical decision support that reads pictures, tied to evidence.
//!
//! This page is the architecture. A request is **prepared** into a [`chart::Chart`] (everything fetched, nothing thought),
//! the chart becomes a [`engine::Prompt`], the prompt a [`engine::Completion`], the completion a
//! [`grounding::Assessment`] in which every statement is tied to evidence, and the assessment [`cds_hooks::Card`]s and a
//! draft DiagnosticReport, which are stored and answered. Each arrow is one function, each noun one struct.
//!
//! # One order-sign, from route to reply
//! 1. [`http`] routes `POST /cds-services/imaging-draft-report`, reads the body into a [`cds_hooks::HookRequest`] and calls
//!    [`guidance::respond`], the one file that says what the product does.
//! 2. [`chart::asked`] picks the imaging order. None: `{"cards": []}`, and nothing else happens.
//! 3. [`engine::Engine::admit`] takes a place in the queue before anything is fetched; a full queue is told at once.
//! 4. [`chart::gather`] takes what the EHR sent, fetches what it lacks through [`fhir::Client`], reads the films through
//!    [`imaging::read_study`], and numbers every fact once. Every request out passes [`egress`].
//! 5. [`prompt::contract1`] shows the model the part of the chart it was trained to read, or says why it is not asked.
//! 6. [`engine::Engine::generate`] answers under a JSON schema whose `evidence` can only be an id that was shown.
//! 7. [`grounding::contract1::ground`] keeps the statements that rest on evidence and counts the others.
//! 8. [`report::draft`] and [`card::imaging`] put it into FHIR and into a card; [`store::Store::commit`] writes report,
//!    pictures, audit and answer in one transaction; then, and not before, the card is answered.
//!
//! # Invariants
//! Each is a test of its name, or of this list in `tests/it/architecture.rs`.
//! - A draft is never `final`. Every AI statement is labelled and cites evidence that exists.
//! - Absence is stated only where it was looked for. A failed fetch, a skipped picture, a dropped statement is told.
//! - Pixels and resources of another patient are dropped and named.
//! - Text from a chart, a film or a model is data: never a control token, a link, an id or an action.
//! - No URL found in data is contacted unless it lies under a base the caller is allowed.
//! - Modules depend downwards only: `error caller egress` < `fhir engine` < `cds_hooks imaging store` < `service` <
//!   `chart` < `prompt grounding` < `card report app` < `guidance` < `http web demo` < `config cli`.

pub mod app;
pub mod caller;
pub mod card;
pub mod cds_hooks;
pub mod chart;
pub mod cli;
pub mod config;
pub mod demo;
pub mod egress;
pub mod engine;
pub mod error;
pub mod fhir;
pub mod grounding;
pub mod guidance;
pub mod http;
pub mod imaging;
pub mod prompt;
pub mod report;
pub mod service;
pub mod store;
pub mod web;
