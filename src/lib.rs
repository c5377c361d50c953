//! curbside

pub mod cli {
    pub mod check_model;
}
pub mod engine;
pub mod error;
