//! The one integration test binary.

mod architecture;
mod as_taught;
#[cfg(feature = "mistralrs")]
mod as_trained;
mod attachments;
mod bad_input;
mod chart_summary;
mod command_line;
#[cfg(feature = "mistralrs")]
mod command_line_real;
mod contradictions;
mod decoding;
mod demo_page;
#[path = "../../src/http/openapi/tests/documented.rs"]
mod documented;
mod egress;
#[cfg(feature = "mistralrs")]
mod eighteen_cases;
mod engine;
mod eval_phantom;
#[path = "../../src/imaging/tests/encoded.rs"]
mod film_encoded;
#[path = "../../src/imaging/tests/file.rs"]
mod film_file;
mod first_light;
mod harness;
mod hostile;
mod limits;
mod load;
mod look_alikes;
mod order_checks;
mod prefetch_states;
mod random;
mod readme;
mod relay;
mod secrets;
mod study_choice;
mod tasks;
mod tiny_checkpoint;
#[cfg(feature = "mistralrs")]
mod two_patients;
mod upstream;
mod wrong_answers;
