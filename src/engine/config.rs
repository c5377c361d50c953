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
    /// Options that only a run on a GPU can prove. Known by name, and refused.
    pub precision: Option<String>,
    pub quantization: Option<String>,
    pub paged_attention: bool,
    pub flash_attention: bool,
    /// Loads whatever was recorded of the model's answers: for `check-model --record`.
    #[serde(skip)]
    pub record: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            model: None,
            device: "cpu".into(),
            context: None,
            queue: 2,
            threads: None,
            precision: None,
            quantization: None,
            paged_attention: false,
            flash_attention: false,
            record: false,
        }
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
        self.check_unproven()?;
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

    // INVARIANT: what_only_a_gpu_can_prove_is_refused
    fn check_unproven(&self) -> Result<()> {
        let other = |precision: &String| !precision.eq_ignore_ascii_case(self.dtype());
        let asked = [
            ("precision", self.precision.as_ref().is_some_and(other)),
            ("quantization", self.quantization.as_ref().is_some_and(|kind| kind != "none")),
            ("paged_attention", self.paged_attention),
            ("flash_attention", self.flash_attention),
        ];
        match asked.into_iter().find(|(_, asked)| *asked) {
            None => Ok(()),
            Some((key, _)) => Err(Error::invalid(format!(
                "engine.{key} is not offered yet, because only a run on a GPU can prove that answers stay right with it: leave the key out."
            ))),
        }
    }

    /// The number format the model is computed in: a function of the device alone, never chosen by the runtime, whose choice
    /// on a processor is one in which Gemma 3 overflows.
    pub fn dtype(&self) -> &'static str {
        if self.device == "cuda" { "BF16" } else { "F32" }
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

    /// INVARIANT: what_only_a_gpu_can_prove_is_refused
    #[test]
    fn what_only_a_gpu_can_prove_is_refused() {
        for (line, key) in [
            ("precision = \"bf16\"", "engine.precision"),
            ("precision = \"f16\"", "engine.precision"),
            ("precision = \"auto\"", "engine.precision"),
            ("quantization = \"q8_0\"", "engine.quantization"),
            ("quantization = \"q4k\"", "engine.quantization"),
            ("quantization = \"uqff\"", "engine.quantization"),
            ("paged_attention = true", "engine.paged_attention"),
            ("flash_attention = true", "engine.flash_attention"),
        ] {
            let refused = toml::from_str::<Config>(line).unwrap().check().unwrap_err().message;
            assert!(
                refused.contains(key) && refused.contains("only a run on a GPU") && !refused.contains('\n'),
                "{refused}"
            );
        }
        for line in ["precision = \"f32\"", "quantization = \"none\"", "paged_attention = false"] {
            assert!(toml::from_str::<Config>(line).unwrap().check().is_ok(), "{line}");
        }
        // There is no other way to a quantised layer or to weights that were quantised before.
        for line in ["isq = \"q4k\"", "uqff = \"x\"", "topology = \"x\"", "record = true"] {
            assert!(toml::from_str::<Config>(line).is_err(), "{line}");
        }
    }

    #[test]
    fn the_number_format_follows_from_the_device() {
        let on = |device: &str| Config { device: device.into(), ..Config::default() }.dtype();
        assert_eq!([on("cpu"), on("cuda")], ["F32", "BF16"]);
    }

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
