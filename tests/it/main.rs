//! The one integration test binary: a module for each concern.

mod engine;
mod tiny_checkpoint;
