//! curbside

pub mod egress;
pub mod error;
pub mod fhir;
