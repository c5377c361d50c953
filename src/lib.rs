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
//! 2. [`service::Service::asks`] says what the model is asked: a draft, what is flagged, or the question of the request.
//!    [`chart::asked`] picks the imaging order. None: `{"cards": []}`, and nothing else happens.
//! 3. [`engine::Engine::admit`] takes a place in the queue before anything is fetched; a full queue is told at once.
//! 4. [`chart::gather`] takes what the EHR sent, fetches what it lacks through [`fhir::Client`], reads the films through
//!    [`imaging::read_study`], each decoded in a process of its own, and numbers every fact once. Every request out passes [`egress`].
//! 5. [`prompt::contract`] shows the model as much of the chart as fits, in the language the caller prefers, or says why
//!    it is not asked.
//! 6. [`engine::Engine::generate`] answers under a JSON schema whose `evidence` can only be an id that was shown.
//! 7. [`grounding::contract::ground`] keeps the statements that rest on evidence and counts the others.
//! 8. [`report::draft`] and [`card::answer`] put it into FHIR and into a card; [`store::Store::commit`] writes report,
//!    pictures, audit and answer in one transaction; then, and not before, the card is answered.
//!
//! # Invariants
//! Each is followed by tests that prove it; a comment INVARIANT beside the code names one, too.
//! - A draft is never `final`: `a_draft_is_never_final`. Every AI statement is labelled and cites evidence that exists:
//!   `a_statement_about_a_picture_cites_the_picture`, `every_shown_piece_of_evidence_is_an_entity`.
//! - Absence is stated only where it was looked for: `absence_is_stated_only_where_it_was_looked_for`,
//!   `every_key_in_every_state_for_every_client`, `a_search_that_goes_wrong_is_a_gap_and_never_none`. A failed fetch, a
//!   skipped picture, a dropped statement is told: `each_fetch_that_fails_is_a_gap_and_never_silence`,
//!   `a_missing_film_is_named`, `a_statement_without_its_picture_is_dropped_and_counted`.
//! - Resources and pixels of another patient are dropped and named:
//!   `another_patients_resources_are_dropped_and_told`, `pixels_of_another_patient_are_dropped_and_named`.
//! - That a check finds nothing never looks like safety: `what_was_not_evaluated_is_told`,
//!   `an_allergy_list_that_may_have_failed_is_no_empty_one`, `a_fault_of_one_rule_hides_no_finding_of_another`.
//! - Text from a chart, a film or a model is data: never a control token, a link, an id or an action:
//!   `neutral_text_holds_no_control_token`, `text_of_a_chart_is_never_a_code_a_link_or_an_id_and_is_escaped`,
//!   `every_value_a_template_prints_is_escaped`.
//! - A picture is decoded in a process of its own, inside limits, and nothing that process says is believed:
//!   `what_a_decoder_says_is_not_believed`, `cancelled_decodes_leave_no_process_and_no_permit_behind`. What a decoder would
//!   make up is no picture: `no_incomplete_picture_is_a_film`.
//! - No URL found in data is contacted unless it lies under a base the caller is allowed:
//!   `nothing_goes_outside_the_allowed_bases`, `no_look_alike_has_a_destination`, `another_host_gets_no_request`.
//! - Tokens and patients' data are in no log, error or temporary file, tokens in no database:
//!   `planted_markers_are_in_no_error_log_or_temporary_file`, `tokens_are_in_no_table_and_no_page_of_the_database`.
//! - Bad input is refused and harms nothing: `a_name_that_is_not_ours_is_not_answered`,
//!   `no_query_is_answered_with_a_server_error`, `what_is_no_regular_file_is_never_opened`,
//!   `a_changed_byte_of_a_bound_file_is_refused`, `a_full_disk_is_not_ready_until_there_is_room_again`.
//! - Requests share what the machine has, and who finds no room is told so in time:
//!   `bodies_take_no_more_memory_than_there_is_for_them`, `an_answer_is_read_only_once_there_is_room_for_all_of_it`,
//!   `no_more_is_worked_on_at_once_than_there_are_processors`.
//! - Modules depend downwards only: `modules_depend_downwards_only`. The order: `error caller capacity egress file progress` < `fhir engine finding` < `task` <
//!   `cds_hooks imaging phantom store` < `service` < `chart` < `prompt grounding rules` < `card report app` < `guidance` <
//!   `http web` < `demo` < `eval` < `config cli`.

pub mod app;
pub mod caller;
pub mod capacity;
pub mod card;
pub mod cds_hooks;
pub mod chart;
pub mod cli;
pub mod config;
pub mod demo;
pub mod egress;
pub mod engine;
pub mod error;
pub mod eval;
pub mod fhir;
pub mod file;
pub mod finding;
pub mod grounding;
pub mod guidance;
pub mod http;
pub mod imaging;
pub mod phantom;
pub mod progress;
pub mod prompt;
pub mod report;
pub mod rules;
pub mod service;
pub mod store;
pub mod task;
pub mod web;
