//! The one integration test binary.

mod architecture;
mod chart_summary;
#[cfg(feature = "mistralrs")]
mod eighteen_cases;
mod first_light;
mod harness;
