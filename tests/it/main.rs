//! The one integration test binary.

mod architecture;
mod bad_input;
mod chart_summary;
mod command_line;
#[cfg(feature = "mistralrs")]
mod command_line_real;
#[cfg(feature = "mistralrs")]
mod eighteen_cases;
mod engine;
mod first_light;
mod harness;
mod readme;
mod study_choice;
mod tiny_checkpoint;
