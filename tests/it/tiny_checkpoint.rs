//! A tiny random checkpoint of the served architecture, made from a seed: it proves plumbing, never medicine.
//!
//! Only ASCII has byte tokens. With the upper bytes a random model often ends inside a character, which has its own test
//! ([`write_with_all_bytes`]).

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::random::Random;

const HIDDEN: usize = 32;
const VOCABULARY: usize = 384;
const CONTROL: [&str; 9] = [
    "<pad>",
    "<eos>",
    "<bos>",
    "<unk>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<start_of_image>",
    "<end_of_image>",
    "<image_soft_token>",
];

/// Writes the checkpoint into `dir`: 2,048 tokens of context, pictures of 32 x 32 pixels, 4 tokens each.
pub fn write(dir: &Path) {
    write_with_bytes(dir, 0x80);
}

/// The same with tokens for all 256 bytes.
#[cfg(feature = "mistralrs")]
pub fn write_with_all_bytes(dir: &Path) {
    write_with_bytes(dir, 0x100);
}

fn write_with_bytes(dir: &Path, bytes: usize) {
    let json = |name: &str, value: Value| fs::write(dir.join(name), value.to_string()).unwrap();
    json("config.json", config());
    json("tokenizer.json", tokenizer(bytes));
    json("tokenizer_config.json", json!({"bos_token": "<bos>", "eos_token": "<eos>"}));
    json("generation_config.json", json!({"bos_token_id": 2, "eos_token_id": [1, id(5)]}));
    json("processor_config.json", json!({"image_seq_length": 4, "processor_class": "Gemma3Processor"}));
    json(
        "preprocessor_config.json",
        json!({"do_resize": true, "do_rescale": true, "do_normalize": true, "do_pan_and_scan": true,
            "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "rescale_factor": 1.0 / 255.0, "resample": 2,
            "image_seq_length": 4, "size": {"height": 32, "width": 32}}),
    );
    fs::write(dir.join("model.safetensors"), safetensors(&tensors())).unwrap();
}

/// Number of a control token: pad, eos, bos and unk come first, the other five last.
fn id(control: usize) -> usize {
    if control < 4 { control } else { VOCABULARY - 9 + control }
}

fn config() -> Value {
    json!({
        "architectures": ["Gemma3ForConditionalGeneration"],
        "image_token_index": id(8),
        "mm_tokens_per_image": 4,
        "text_config": {
            "vocab_size": VOCABULARY, "hidden_size": HIDDEN, "intermediate_size": 32, "num_hidden_layers": 2,
            "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16, "sliding_window": 64,
            "sliding_window_pattern": 2, "max_position_embeddings": 2048, "query_pre_attn_scalar": 16,
            "rope_theta": 1_000_000, "rope_local_base_freq": 10_000, "rope_scaling": {"factor": 8, "rope_type": "linear"},
        },
        "vision_config": {
            "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2,
            "image_size": 32, "patch_size": 8,
        },
    })
}

fn tokenizer(bytes: usize) -> Value {
    let mut words: Vec<String> = CONTROL[..4].iter().map(|word| word.to_string()).collect();
    words.extend((0..bytes).map(|byte| format!("<0x{byte:02X}>")));
    words.push("\u{2581}".into());
    words.extend((0x21u8..0x7f).map(|ascii| char::from(ascii).to_string()));
    let unused = VOCABULARY - 5 - words.len();
    words.extend((0..unused).map(|n| format!("<unused{n}>")));
    words.extend(CONTROL[4..].iter().map(|word| word.to_string()));
    let vocabulary: serde_json::Map<String, Value> =
        words.into_iter().enumerate().map(|(id, word)| (word, json!(id))).collect();
    let added: Vec<Value> = CONTROL
        .iter()
        .enumerate()
        .map(|(n, word)| json!({"id": id(n), "content": word, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}))
        .collect();
    let bos = json!({"SpecialToken": {"id": "<bos>", "type_id": 0}});
    let (first, second) =
        (json!({"Sequence": {"id": "A", "type_id": 0}}), json!({"Sequence": {"id": "B", "type_id": 1}}));
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "\u{2581}"},
        "pre_tokenizer": null,
        "post_processor": {"type": "TemplateProcessing", "single": [bos, first], "pair": [bos, first, second],
            "special_tokens": {"<bos>": {"id": "<bos>", "ids": [2], "tokens": ["<bos>"]}}},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "\u{2581}"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]},
        "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true, "vocab": vocabulary, "merges": []},
    })
}

/// Name, shape and values of one tensor.
pub type Tensor = (String, Vec<usize>, Vec<f32>);

/// All tensors in order. Norms of the language model and the projector are stored as w - 1, the tower's as w.
pub fn tensors() -> Vec<Tensor> {
    let mut random = Random(0x0c0a_57ed);
    let mut tensors = Vec::new();
    let mut weight = |name: String, shape: &[usize]| {
        let values = (0..shape.iter().product()).map(|_| random.normal() * 0.05).collect();
        tensors.push((name, shape.to_vec(), values));
    };
    weight("language_model.model.embed_tokens.weight".into(), &[VOCABULARY, HIDDEN]);
    for layer in 0..2 {
        let at = |name: &str| format!("language_model.model.layers.{layer}.{name}_proj.weight");
        for (name, shape) in [
            ("self_attn.q", [32, 32]),
            ("self_attn.k", [16, 32]),
            ("self_attn.v", [16, 32]),
            ("self_attn.o", [32, 32]),
            ("mlp.gate", [32, 32]),
            ("mlp.up", [32, 32]),
            ("mlp.down", [32, 32]),
        ] {
            weight(at(name), &shape);
        }
    }
    let tower = |name: &str| format!("vision_tower.vision_model.{name}");
    weight(tower("embeddings.patch_embedding.weight"), &[32, 3, 8, 8]);
    weight(tower("embeddings.position_embedding.weight"), &[16, 32]);
    for name in ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj"] {
        weight(tower(&format!("encoder.layers.0.{name}.weight")), &[32, 32]);
    }
    weight(tower("encoder.layers.0.mlp.fc1.weight"), &[64, 32]);
    weight(tower("encoder.layers.0.mlp.fc2.weight"), &[32, 64]);
    weight("multi_modal_projector.mm_input_projection_weight".into(), &[32, HIDDEN]);

    let mut constant = |name: String, size: usize, value: f32| tensors.push((name, vec![size], vec![value; size]));
    constant("language_model.model.norm.weight".into(), HIDDEN, 0.0);
    for layer in 0..2 {
        let at = |name: &str| format!("language_model.model.layers.{layer}.{name}.weight");
        for name in
            ["input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm"]
        {
            constant(at(name), HIDDEN, 0.0);
        }
        constant(at("self_attn.q_norm"), 16, 0.0);
        constant(at("self_attn.k_norm"), 16, 0.0);
    }
    constant("multi_modal_projector.mm_soft_emb_norm.weight".into(), 32, 0.0);
    constant(tower("embeddings.patch_embedding.bias"), 32, 0.0);
    for name in ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj", "mlp.fc2"] {
        constant(tower(&format!("encoder.layers.0.{name}.bias")), 32, 0.0);
    }
    constant(tower("encoder.layers.0.mlp.fc1.bias"), 64, 0.0);
    for norm in ["encoder.layers.0.layer_norm1", "encoder.layers.0.layer_norm2", "post_layernorm"] {
        constant(tower(&format!("{norm}.weight")), 32, 1.0);
        constant(tower(&format!("{norm}.bias")), 32, 0.0);
    }
    tensors
}

/// A safetensors file of F32 tensors. <https://github.com/huggingface/safetensors#format>
pub fn safetensors(tensors: &[Tensor]) -> Vec<u8> {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, shape, values) in tensors {
        let start = data.len();
        data.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        header.insert(name.clone(), json!({"dtype": "F32", "shape": shape, "data_offsets": [start, data.len()]}));
    }
    let mut header = Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header);
    file.extend(data);
    file
}

#[test]
fn two_runs_give_the_same_bytes() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(first.path());
    write(second.path());
    let mut total = 0;
    for entry in fs::read_dir(first.path()).unwrap() {
        let name = entry.unwrap().file_name();
        let bytes = fs::read(first.path().join(&name)).unwrap();
        assert_eq!(bytes, fs::read(second.path().join(&name)).unwrap(), "{name:?}");
        total += bytes.len();
    }
    assert!(total < 1_000_000);
}
