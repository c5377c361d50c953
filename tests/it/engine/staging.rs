//! Which directories are served, and what is said of those that are not.

use std::{fs, path::Path, process::ExitCode};

use curbside::{
    cli::check_model::{self, Depth},
    engine::stage::{self, Staged},
    prompt::contract,
    task::TaskKind,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::{harness::fixtures, tiny_checkpoint};

fn tiny() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    tiny_checkpoint::write(dir.path());
    dir
}

fn staged(dir: &Path) -> Staged {
    stage::stage(dir, None).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// All problems of the directory, as one text.
fn problems(dir: &Path) -> String {
    let problems = stage::stage(dir, None).err().expect("the directory was served");
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

fn edit(dir: &Path, name: &str, change: impl FnOnce(&mut Value)) {
    let mut value = serde_json::from_slice(&fs::read(dir.join(name)).unwrap()).unwrap();
    change(&mut value);
    fs::write(dir.join(name), value.to_string()).unwrap();
}

fn write_tensors(dir: &Path, change: impl FnOnce(&mut Vec<tiny_checkpoint::Tensor>)) {
    let mut tensors = tiny_checkpoint::tensors();
    change(&mut tensors);
    fs::write(dir.join("model.safetensors"), tiny_checkpoint::safetensors(&tensors)).unwrap();
}

#[test]
fn the_tiny_checkpoint_is_served() {
    let dir = tiny();
    let staged = staged(dir.path());
    assert_eq!((staged.info.context, staged.info.image_size, staged.info.tokens_per_image), (2048, 32, 4));
    assert_eq!(
        staged.parameters,
        tiny_checkpoint::tensors().iter().map(|(_, _, values)| values.len() as u64).sum::<u64>()
    );
    assert_eq!((staged.stored_dtype.as_str(), staged.info.scope.is_none()), ("F32", true));
    assert!(staged.path().join("model.safetensors").is_symlink());
    assert_eq!(stage::stage(dir.path(), Some(512)).unwrap_or_else(|_| panic!()).info.context, 512);
    assert!(stage::stage(dir.path(), Some(4096)).is_err());
}

#[test]
fn every_required_field_is_named_when_it_is_missing() {
    let top = ["architectures", "image_token_index", "mm_tokens_per_image", "text_config", "vision_config"]
        .map(|name| ("", name));
    let text =
        ["hidden_size", "intermediate_size", "num_hidden_layers", "sliding_window"].map(|name| ("/text_config", name));
    let vision =
        ["hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "image_size", "patch_size"]
            .map(|name| ("/vision_config", name));
    for (place, field) in top.into_iter().chain(text).chain(vision) {
        for value in [None, Some(json!("many")), Some(json!(0)), Some(json!(1.5))] {
            let dir = tiny();
            edit(dir.path(), "config.json", |config| {
                let object = config.pointer_mut(place).unwrap().as_object_mut().unwrap();
                match &value {
                    None => object.remove(field),
                    Some(value) => object.insert(field.into(), value.clone()),
                };
            });
            let named = format!(
                "config.json: {}{field}",
                place.trim_start_matches('/').to_string() + if place.is_empty() { "" } else { "." }
            );
            let found = problems(dir.path());
            assert!(found.contains(&named), "{named} with {value:?}: {found}");
        }
    }
}

#[test]
fn what_the_runtime_would_lose_is_refused() {
    for (place, field, value) in [
        ("", "quantization_config", json!({"bits": 4})),
        ("/text_config", "rms_norm_eps", json!(1e-5)),
        ("/text_config", "final_logit_softcapping", json!(30)),
        ("/text_config", "rope_scaling", json!({"factor": 8, "rope_type": "yarn"})),
        ("/text_config", "layer_types", json!(["full_attention", "sliding_attention"])),
        ("/text_config", "num_hidden_layers", json!(100_000)),
        ("/vision_config", "layer_norm_eps", json!(1e-5)),
    ] {
        let dir = tiny();
        edit(dir.path(), "config.json", |config| config.pointer_mut(place).unwrap()[field] = value);
        assert!(problems(dir.path()).contains(field), "{field}");
    }
}

#[test]
fn both_spellings_stage_to_the_same_bytes_without_a_fraction() {
    let (old, new) = (tiny(), tiny());
    edit(old.path(), "config.json", |config| {
        config["text_config"]["rope_theta"] = json!(1_000_000.0);
        config["text_config"]["rope_scaling"]["factor"] = json!(8.0);
        config["text_config"]["rms_norm_eps"] = json!(1e-6);
        config["vision_config"]["layer_norm_eps"] = json!(1e-6);
    });
    edit(new.path(), "config.json", |config| {
        let token = config.as_object_mut().unwrap().remove("image_token_index").unwrap();
        config["image_token_id"] = token;
        let text = config["text_config"].as_object_mut().unwrap();
        for name in ["rope_theta", "rope_local_base_freq", "rope_scaling", "sliding_window_pattern"] {
            text.remove(name);
        }
        text.insert("layer_types".into(), json!(["sliding_attention", "full_attention"]));
        text.insert(
            "rope_parameters".into(),
            json!({"full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1_000_000.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0}}),
        );
    });
    let read = |dir: &TempDir| fs::read_to_string(staged(dir.path()).path().join("config.json")).unwrap();
    assert_eq!(read(&old), read(&new));
    assert!(!read(&old).contains('.'));
    assert_eq!(serde_json::from_str::<Value>(&read(&old)).unwrap()["text_config"]["rope_scaling"]["factor"], json!(8));
}

/// Row 21 of `ROWS`.
#[test]
fn pan_and_scan_is_always_off() {
    // The tiny checkpoint asks for it.
    let dir = tiny();
    let read = |path: &Path| -> Value {
        serde_json::from_slice(&fs::read(path.join("preprocessor_config.json")).unwrap()).unwrap()
    };
    assert_eq!(read(dir.path())["do_pan_and_scan"], true);
    assert_eq!(read(staged(dir.path()).path())["do_pan_and_scan"], false);
}

#[test]
fn a_tensor_that_is_dropped_reshaped_or_renamed_is_named() {
    const NAME: &str = "vision_tower.vision_model.encoder.layers.0.mlp.fc1.weight";
    let at = |tensors: &[tiny_checkpoint::Tensor]| tensors.iter().position(|(name, ..)| name == NAME).unwrap();
    let changes: [fn(&mut Vec<tiny_checkpoint::Tensor>, usize); 3] = [
        |tensors, at| drop(tensors.remove(at)),
        |tensors, at| tensors[at].1.reverse(),
        |tensors, at| tensors[at].0.push('s'),
    ];
    for change in changes {
        let dir = tiny();
        write_tensors(dir.path(), |tensors| change(tensors, at(tensors)));
        assert!(problems(dir.path()).contains(&format!("ensor {NAME} ")));
    }
}

#[test]
fn every_truncated_file_is_a_sentence_and_no_panic() {
    let whole = tiny();
    edit_scope(whole.path());
    for entry in fs::read_dir(whole.path()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let dir = tiny();
        edit_scope(dir.path());
        let bytes = fs::read(dir.path().join(&name)).unwrap();
        for length in [0, 1, 7, 8, 9, bytes.len() / 2, bytes.len() - 1] {
            fs::write(dir.path().join(&name), &bytes[..length]).unwrap();
            assert!(problems(dir.path()).contains(&name), "{name} cut to {length}");
        }
    }
}

/// Writes a `curbside.json` that belongs to the directory's weights.
fn edit_scope(dir: &Path) {
    let hash = format!("{:x}", Sha256::digest(fs::read(dir.join("model.safetensors")).unwrap()));
    let scope = json!({"contract": 2, "tasks": ["imaging-draft"], "modalities": ["DX"], "body_parts": ["CHEST"], "views": ["PA"],
        "languages": ["en"], "sources": ["curbside phantom"], "weights_sha256": hash});
    fs::write(dir.join("curbside.json"), scope.to_string()).unwrap();
}

#[test]
fn a_checkpoint_with_a_scope_is_bound_to_its_weights_and_contract() {
    let dir = tiny();
    edit_scope(dir.path());
    assert_eq!(staged(dir.path()).info.scope.unwrap().contract, 2);
    let path = dir.path().join("model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    assert!(problems(dir.path()).contains("weights_sha256"));
    edit_scope(dir.path());
    edit(dir.path(), "curbside.json", |scope| scope["contract"] = json!(1));
    let told = problems(dir.path());
    assert!(told.contains("contract is 1") && told.contains("serves 2"), "{told}");
}

/// A prompt of one contract put to a checkpoint of another gets an answer that means nothing.
#[test]
fn the_bundled_checkpoint_is_of_the_contract_that_prompts_are_written_in() {
    let scope = staged(&fixtures().join("model")).info.scope.expect("the bundled checkpoint states its scope");
    assert_eq!(format!("contract {}", scope.contract), contract::VERSION);
    assert_eq!(scope.contract, contract::CONTRACT);
    assert_eq!(scope.tasks, TaskKind::WORDS, "what services ask for and what it was taught");
}

#[test]
fn an_answer_ends_at_a_word_the_runtime_finds_again() {
    let with = |ends: Value, drop: &str| {
        let dir = tiny();
        edit(dir.path(), "generation_config.json", |generation| generation["eos_token_id"] = ends);
        edit(dir.path(), "tokenizer.json", |tokenizer| {
            tokenizer["model"]["vocab"].as_object_mut().unwrap().remove(drop);
        });
        dir
    };
    let number = |word: &str| {
        let tokenizer: Value =
            serde_json::from_slice(&fs::read(tiny().path().join("tokenizer.json")).unwrap()).unwrap();
        tokenizer["model"]["vocab"][word].as_u64().unwrap()
    };
    let unused = number("<unused0>");
    for ends in [json!(1), json!([1, unused]), json!(number("a")), Value::Null] {
        staged(with(ends, "").path());
    }
    // None, that of a byte and that of a space, whose text is another one than the word's.
    for (id, drop) in [(unused, "<unused0>"), (number("<0x41>"), ""), (number("\u{2581}"), "")] {
        for ends in [json!(id), json!([1, id])] {
            let found = problems(with(ends, drop).path());
            assert!(found.contains(&format!("generation_config.json: eos_token_id {id} ")), "{id}: {found}");
        }
    }
    for ends in [json!("<eos>"), json!([[1]]), json!(-1), json!(1.5), json!(384)] {
        assert!(problems(with(ends.clone(), "").path()).contains("eos_token_id must be"), "{ends}");
    }
}

#[test]
fn other_weight_files_are_refused_by_name() {
    for name in [
        "pytorch_model.bin",
        "adapter_model.safetensors",
        "model-00001.safetensors",
        "consolidated.safetensors",
        "model.gguf",
        "x.PTH",
    ] {
        let dir = tiny();
        fs::write(dir.path().join(name), "x").unwrap();
        assert!(problems(dir.path()).contains(name), "{name}");
    }
}

#[test]
fn weights_in_several_files_and_behind_links_are_served() {
    let dir = tiny();
    fs::remove_file(dir.path().join("model.safetensors")).unwrap();
    let tensors = tiny_checkpoint::tensors();
    let elsewhere = tempfile::tempdir().unwrap();
    for (part, half) in tensors.chunks(tensors.len() / 2 + 1).enumerate() {
        let name = format!("model-{:05}-of-00002.safetensors", part + 1);
        fs::write(elsewhere.path().join(&name), tiny_checkpoint::safetensors(half)).unwrap();
        std::os::unix::fs::symlink(elsewhere.path().join(&name), dir.path().join(&name)).unwrap();
    }
    staged(dir.path());
    let index = dir.path().join("model.safetensors.index.json");
    fs::write(&index, json!({"weight_map": {&tensors[0].0: "model-00002-of-00002.safetensors"}}).to_string()).unwrap();
    assert!(problems(dir.path()).contains(&tensors[0].0));
    fs::write(&index, json!({"weight_map": {&tensors[0].0: "model-00001-of-00002.safetensors"}}).to_string()).unwrap();
    staged(dir.path());
    fs::remove_file(elsewhere.path().join("model-00002-of-00002.safetensors")).unwrap();
    assert!(problems(dir.path()).contains("model-00002-of-00002.safetensors"));
}

/// INVARIANT: every_control_token_can_be_broken
#[test]
fn every_control_token_can_be_broken() {
    let dir = tiny();
    edit(dir.path(), "tokenizer.json", |tokenizer| {
        tokenizer["added_tokens"]
            .as_array_mut()
            .unwrap()
            .push(json!({"id": 300, "content": "### Turn", "special": true}));
    });
    assert!(problems(dir.path()).contains("token 300"));
}

#[test]
fn check_model_says_yes_or_no() {
    let dir = tiny();
    assert_eq!(check_model::run(dir.path(), Depth::Files).unwrap(), ExitCode::SUCCESS);
    fs::remove_file(dir.path().join("tokenizer.json")).unwrap();
    assert_eq!(check_model::run(dir.path(), Depth::Files).unwrap(), ExitCode::FAILURE);
}
