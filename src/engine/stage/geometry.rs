//! `config.json` of a Gemma 3 checkpoint: every field checked by name, then written in the one spelling the runtime reads.
//!
//! The runtime's own reader names no field when one is missing, loses what transformers 5 renamed, and cannot take a
//! fractional number in this binary; so it is given whole numbers only, under the old names, with every default spelled out.

use serde_json::{Map, Value, json};

use super::{Problem, problem};

/// The shape of the network, as far as tensors, tokens and memory depend on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Geometry {
    pub text: Text,
    pub vision: Vision,
    pub image_token: usize,
    pub tokens_per_image: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Text {
    pub vocabulary: usize,
    pub hidden: usize,
    pub intermediate: usize,
    pub layers: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    pub query_pre_attn_scalar: usize,
    pub sliding_window: usize,
    pub sliding_window_pattern: usize,
    /// Tokens the checkpoint was trained for.
    pub context: usize,
    pub rope_theta: usize,
    pub rope_local_base_freq: usize,
    pub rope_factor: Option<usize>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Vision {
    pub hidden: usize,
    pub intermediate: usize,
    pub layers: usize,
    pub heads: usize,
    pub image_size: usize,
    pub patch_size: usize,
}

/// Far above any real field, and low enough that products of a few fields stay in range.
const LARGEST: usize = 1 << 31;
const MOST_LAYERS: usize = 512;
const LARGEST_IMAGE: usize = 4096;

impl Geometry {
    /// Reads the parsed `config.json`; every field that is missing or cannot be served becomes a problem.
    pub fn read(config: &Map<String, Value>, problems: &mut Vec<Problem>) -> Option<Geometry> {
        let before = problems.len();
        let mut top = Fields { map: config, place: "", problems };
        let architecture = config.get("architectures").and_then(|list| list.get(0)).and_then(Value::as_str);
        if architecture != Some("Gemma3ForConditionalGeneration") {
            top.report(
                "architectures",
                "must be [\"Gemma3ForConditionalGeneration\"]: only Gemma 3 with its vision tower is served",
            );
        }
        if config.get("quantization_config").is_some_and(|value| !value.is_null()) {
            top.report(
                "quantization_config",
                "names a pre-quantised checkpoint, which the runtime would misread: use the original weights",
            );
        }
        let image_token = if config.contains_key("image_token_index") {
            top.whole("image_token_index")
        } else {
            top.whole_or_missing("image_token_id", "image_token_index")
        };
        let tokens_per_image = top.whole("mm_tokens_per_image");
        let text = object(config, "text_config", problems).and_then(|map| text(map, problems));
        let vision = object(config, "vision_config", problems).and_then(|map| vision(map, problems));
        let geometry =
            Geometry { text: text?, vision: vision?, image_token: image_token?, tokens_per_image: tokens_per_image? };
        geometry.check(problems);
        (problems.len() == before).then_some(geometry)
    }

    fn check(&self, problems: &mut Vec<Problem>) {
        let Geometry { text, vision, .. } = self;
        if self.image_token >= text.vocabulary {
            problems.push(problem!(
                "config.json: image_token_index {} is outside the vocabulary of {}.",
                self.image_token,
                text.vocabulary
            ));
        }
        if text.layers > MOST_LAYERS || vision.layers > MOST_LAYERS {
            problems.push(problem!("config.json: num_hidden_layers is above {MOST_LAYERS}: no Gemma 3 is that deep."));
        }
        if vision.image_size > LARGEST_IMAGE {
            problems.push(problem!("config.json: vision_config.image_size is above {LARGEST_IMAGE}."));
        }
        if text.heads % text.kv_heads != 0 {
            problems.push(problem!(
                "config.json: text_config.num_attention_heads is not a multiple of num_key_value_heads."
            ));
        }
        if vision.hidden % vision.heads != 0 {
            problems.push(problem!("config.json: vision_config.hidden_size is not a multiple of num_attention_heads."));
        }
        let patches = vision.image_size / vision.patch_size;
        let side = self.tokens_per_image.isqrt();
        if vision.image_size % vision.patch_size != 0
            || side * side != self.tokens_per_image
            || side > patches
            || patches % side != 0
        {
            problems.push(problem!(
                "config.json: mm_tokens_per_image {} does not divide the {patches} x {patches} patches of a picture.",
                self.tokens_per_image
            ));
        }
    }

    /// The `config.json` the runtime is given; `context` is the served context.
    pub fn to_config(&self, context: usize) -> Value {
        let Geometry { text, vision, .. } = self;
        json!({
            "architectures": ["Gemma3ForConditionalGeneration"],
            "model_type": "gemma3",
            "image_token_index": self.image_token,
            "mm_tokens_per_image": self.tokens_per_image,
            "tie_word_embeddings": true,
            "text_config": {
                "model_type": "gemma3_text",
                "vocab_size": text.vocabulary,
                "hidden_size": text.hidden,
                "intermediate_size": text.intermediate,
                "num_hidden_layers": text.layers,
                "num_attention_heads": text.heads,
                "num_key_value_heads": text.kv_heads,
                "head_dim": text.head_dim,
                "query_pre_attn_scalar": text.query_pre_attn_scalar,
                "sliding_window": text.sliding_window,
                "sliding_window_pattern": text.sliding_window_pattern,
                "max_position_embeddings": context,
                "rope_theta": text.rope_theta,
                "rope_local_base_freq": text.rope_local_base_freq,
                "rope_scaling": text.rope_factor.map(|factor| json!({"factor": factor, "rope_type": "linear"})),
                "hidden_activation": "gelu_pytorch_tanh",
                "attention_bias": false,
                "attn_logit_softcapping": null,
                "final_logit_softcapping": null,
                "tie_word_embeddings": true,
            },
            "vision_config": {
                "model_type": "siglip_vision_model",
                "hidden_size": vision.hidden,
                "intermediate_size": vision.intermediate,
                "num_hidden_layers": vision.layers,
                "num_attention_heads": vision.heads,
                "num_channels": 3,
                "image_size": vision.image_size,
                "patch_size": vision.patch_size,
                "hidden_act": "gelu_pytorch_tanh",
            },
        })
    }
}

fn text(map: &Map<String, Value>, problems: &mut Vec<Problem>) -> Option<Text> {
    let mut fields = Fields { map, place: "text_config.", problems };
    fields.only("rms_norm_eps", 1e-6);
    fields.only_text("hidden_activation", "gelu_pytorch_tanh");
    fields.only_bool("attention_bias", false);
    fields.only_bool("tie_word_embeddings", true);
    for absent in ["attn_logit_softcapping", "final_logit_softcapping", "quantization_config"] {
        if map.get(absent).is_some_and(|value| !value.is_null()) {
            fields.report(absent, "must be null or absent: Gemma 3 has none, and the runtime is not given any");
        }
    }
    let layers = fields.whole("num_hidden_layers");
    let pattern = fields.sliding_window_pattern(layers.unwrap_or(0));
    let (rope_theta, rope_local_base_freq, rope_factor) = fields.rope()?;
    Some(Text {
        hidden: fields.whole("hidden_size")?,
        intermediate: fields.whole("intermediate_size")?,
        layers: layers?,
        sliding_window: fields.whole("sliding_window")?,
        // Published 4B configurations leave these out; a wrong one shows in the shapes of the tensors.
        vocabulary: fields.whole_or("vocab_size", 262_208)?,
        heads: fields.whole_or("num_attention_heads", 8)?,
        kv_heads: fields.whole_or("num_key_value_heads", 4)?,
        head_dim: fields.whole_or("head_dim", 256)?,
        query_pre_attn_scalar: fields.whole_or("query_pre_attn_scalar", 256)?,
        context: fields.whole_or("max_position_embeddings", 131_072)?,
        sliding_window_pattern: pattern?,
        rope_theta,
        rope_local_base_freq,
        rope_factor,
    })
}

fn vision(map: &Map<String, Value>, problems: &mut Vec<Problem>) -> Option<Vision> {
    let mut fields = Fields { map, place: "vision_config.", problems };
    fields.only("layer_norm_eps", 1e-6);
    fields.only("num_channels", 3.0);
    fields.only_text("hidden_act", "gelu_pytorch_tanh");
    let (hidden, intermediate) = (fields.whole("hidden_size"), fields.whole("intermediate_size"));
    let (layers, heads) = (fields.whole("num_hidden_layers"), fields.whole("num_attention_heads"));
    let (image_size, patch_size) = (fields.whole("image_size"), fields.whole("patch_size"));
    Some(Vision {
        hidden: hidden?,
        intermediate: intermediate?,
        layers: layers?,
        heads: heads?,
        image_size: image_size?,
        patch_size: patch_size?,
    })
}

fn object<'a>(
    config: &'a Map<String, Value>,
    name: &str,
    problems: &mut Vec<Problem>,
) -> Option<&'a Map<String, Value>> {
    let found = config.get(name).and_then(Value::as_object);
    if found.is_none() {
        problems.push(problem!(
            "config.json: {name} is missing or not an object: this is not a Gemma 3 checkpoint with a vision tower."
        ));
    }
    found
}

/// One object of `config.json` and where it stands in it.
struct Fields<'a> {
    map: &'a Map<String, Value>,
    place: &'static str,
    problems: &'a mut Vec<Problem>,
}

impl Fields<'_> {
    fn report(&mut self, name: &str, sentence: &str) {
        self.problems.push(problem!("config.json: {}{name} {sentence}.", self.place));
    }

    fn present(&self, name: &str) -> Option<&Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// A whole number above zero, under its own name.
    fn whole(&mut self, name: &str) -> Option<usize> {
        self.whole_or_missing(name, name)
    }

    /// As [`Self::whole`], but a missing field is reported under the name people know it by.
    fn whole_or_missing(&mut self, name: &str, known_as: &str) -> Option<usize> {
        let Some(value) = self.present(name) else {
            self.report(known_as, "is missing");
            return None;
        };
        let number = whole(value);
        if number.is_none() {
            self.report(name, "must be a whole number above zero");
        }
        number
    }

    fn whole_or(&mut self, name: &str, default: usize) -> Option<usize> {
        if self.present(name).is_none() { Some(default) } else { self.whole(name) }
    }

    fn only(&mut self, name: &str, value: f64) {
        if let Some(found) = self.present(name)
            && !found.as_f64().is_some_and(|number| (number - value).abs() <= value * 1e-9)
        {
            self.report(name, &format!("must be {value}: the runtime is given no other"));
        }
    }

    fn only_text(&mut self, name: &str, value: &str) {
        if self.present(name).is_some_and(|found| found != value) {
            self.report(name, &format!("must be {value:?}"));
        }
    }

    fn only_bool(&mut self, name: &str, value: bool) {
        if self.present(name).is_some_and(|found| found != value) {
            self.report(name, &format!("must be {value}"));
        }
    }

    /// How many layers apart the global layers are: `sliding_window_pattern`, or the period of `layer_types`.
    fn sliding_window_pattern(&mut self, layers: usize) -> Option<usize> {
        let Some(types) = self.present("layer_types") else {
            return self.whole_or("sliding_window_pattern", 6);
        };
        let global: Option<Vec<bool>> = types.as_array().and_then(|list| {
            list.iter()
                .map(|one| match one.as_str() {
                    Some("full_attention") => Some(true),
                    Some("sliding_attention") => Some(false),
                    _ => None,
                })
                .collect()
        });
        let Some(global) = global.filter(|list| list.len() == layers) else {
            self.report("layer_types", "must name sliding_attention or full_attention once for each layer");
            return None;
        };
        // With no global layer among so few, any longer period says the same; Gemma's own is 6.
        let period = global.iter().position(|global| *global).map_or(6.max(layers + 1), |first| first + 1);
        if global.iter().enumerate().any(|(layer, global)| *global != ((layer + 1) % period == 0)) {
            self.report("layer_types", "is not periodic: the runtime knows only every n-th layer as global");
            return None;
        }
        Some(if global.contains(&true) { period } else { self.whole_or("sliding_window_pattern", period)?.max(period) })
    }

    /// Base frequency of global and of sliding layers, and the linear factor of global ones, in either spelling.
    fn rope(&mut self) -> Option<(usize, usize, Option<usize>)> {
        let Some(parameters) = self.present("rope_parameters").cloned() else {
            let scaling = self.present("rope_scaling").cloned();
            let factor = match scaling {
                None => None,
                Some(scaling) => Some(self.linear_factor(&scaling, "rope_scaling")?),
            };
            return Some((
                self.whole_or("rope_theta", 1_000_000)?,
                self.whole_or("rope_local_base_freq", 10_000)?,
                factor,
            ));
        };
        let (full, sliding) = (&parameters["full_attention"], &parameters["sliding_attention"]);
        let theta = whole(&full["rope_theta"]);
        let local = whole(&sliding["rope_theta"]);
        if theta.is_none() || local.is_none() {
            self.report(
                "rope_parameters",
                "must give full_attention.rope_theta and sliding_attention.rope_theta as whole numbers",
            );
        }
        let factor = match full["rope_type"].as_str() {
            None | Some("default") => None,
            Some(_) => Some(self.linear_factor(full, "rope_parameters.full_attention")?),
        };
        Some((theta?, local?, factor))
    }

    fn linear_factor(&mut self, scaling: &Value, name: &str) -> Option<usize> {
        let kind = scaling.get("rope_type").or_else(|| scaling.get("type")).and_then(Value::as_str);
        let factor = scaling.get("factor").and_then(whole).filter(|_| kind == Some("linear"));
        if factor.is_none() {
            self.report(name, "must be linear with a whole factor");
        }
        factor
    }
}

/// A whole number above zero, also where it is written with a point (`8.0`).
fn whole(value: &Value) -> Option<usize> {
    let number = match value.as_u64() {
        Some(number) => number,
        None => {
            let number =
                value.as_f64().filter(|number| number.fract() == 0.0 && (0.0..=LARGEST as f64).contains(number))?;
            number as u64
        }
    };
    usize::try_from(number).ok().filter(|number| (1..=LARGEST).contains(number))
}
