//! The one integration test binary.

mod architecture;
mod chart_summary;
mod command_line;
#[cfg(feature = "mistralrs")]
mod command_line_real;
mod egress;
#[cfg(feature = "mistralrs")]
mod eighteen_cases;
mod engine;
mod first_light;
mod harness;
mod look_alikes;
mod prefetch_states;
mod readme;
mod relay;
mod secrets;
mod study_choice;
mod tiny_checkpoint;
mod upstream;
mod wrong_answers;
