//! The `[engine]` section of the configuration.

use std::path::PathBuf;

use crate::error::{Error, Result};

/// Which model is loaded, where it computes, and how many requests may wait for it.
#[derive(Clone, Debug, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Directory of the checkpoint; without one the product runs on rules alone.
    pub model: Option<PathBuf>,
    /// `cpu`, or `cuda` in a build for GPUs.
    pub device: String,
    /// Tokens of prompt and answer together; at most what the model was trained for.
    pub context: Option<usize>,
    /// Requests that may wait while one is answered.
    pub queue: usize,
    /// Processor threads the model computes with; all cores if unset.
    pub threads: Option<usize>,
}

impl Default for Config {
    fn default() -> Self {
        Config { model: None, device: "cpu".into(), context: None, queue: 2, threads: None }
    }
}

impl Config {
    /// Refuses what could never work, in one sentence.
    pub fn check(&self) -> Result<()> {
        match self.device.as_str() {
            "cpu" => {}
            "cuda" if cfg!(feature = "cuda") => {}
            "cuda" => {
                return Err(Error::invalid(
                    "engine.device is \"cuda\" but this build has no GPU support: use the GPU build, or \"cpu\".",
                ));
            }
            _ => return Err(Error::invalid("engine.device must be \"cpu\" or \"cuda\".")),
        }
        if self.model.is_some() && !cfg!(feature = "mistralrs") {
            return Err(Error::invalid(
                "engine.model is set but this build has no model runtime: build with the feature `mistralrs`.",
            ));
        }
        if self.context.is_some_and(|context| context < 64) {
            return Err(Error::invalid("engine.context must be at least 64 tokens."));
        }
        if self.queue > 1024 {
            return Err(Error::invalid("engine.queue must be at most 1024."));
        }
        if self.threads.is_some_and(|threads| threads == 0 || threads > 1024) {
            return Err(Error::invalid("engine.threads must be between 1 and 1024."));
        }
        Ok(())
    }

    /// Variables the runtime reads once, when it starts: a program sets them for itself only by starting itself anew.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![("HF_HUB_OFFLINE", "1".to_string())];
        variables.extend(self.threads.map(|threads| ("RAYON_NUM_THREADS", threads.to_string())));
        variables
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_pass_and_nonsense_is_named() {
        assert!(Config::default().check().is_ok());
        for (config, field) in [
            (Config { device: "tpu".into(), ..Config::default() }, "engine.device"),
            (Config { context: Some(1), ..Config::default() }, "engine.context"),
            (Config { threads: Some(0), ..Config::default() }, "engine.threads"),
            (Config { queue: 5000, ..Config::default() }, "engine.queue"),
        ] {
            assert!(config.check().is_err_and(|e| e.message.contains(field)));
        }
        assert!(toml::from_str::<Config>("modle = \"x\"").is_err());
        assert!(toml::from_str::<Config>("backend = \"scripted\"").is_err());
    }
}
