//! Every file of a model directory cut, flipped, replaced or gone: refused by a sentence that names it, or harmless and why.

use std::{
    fs::{self, File},
    os::unix::fs::symlink,
    path::Path,
    process::Command,
};

use curbside::engine::stage;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::{command_line::run, harness::fixtures, tiny_checkpoint};

/// Files that are not read, or read for their syntax alone: what is wrong in them reaches nobody.
/// A recorded answer that was changed is one the model does not give, and loading fails by it.
const NOT_USED: [&str; 3] = ["chat_template.jinja", "tokenizer_config.json", "canary.json"];
const OPTIONAL: [&str; 5] =
    ["processor_config.json", "generation_config.json", "curbside.json", "tokenizer_config.json", "canary.json"];
const NOT_READ: [&str; 1] = ["chat_template.jinja"];

/// A checkpoint whose `curbside.json` binds all of its files.
fn bound_tiny() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    tiny_checkpoint::write(dir.path());
    let hash = |name: &str| format!("{:x}", Sha256::digest(fs::read(dir.path().join(name)).unwrap()));
    let files: serde_json::Map<String, Value> = [
        "config.json",
        "generation_config.json",
        "preprocessor_config.json",
        "processor_config.json",
        "tokenizer.json",
    ]
    .map(|name| (name.to_owned(), json!(hash(name))))
    .into_iter()
    .collect();
    let scope = json!({"contract": 2, "tasks": ["imaging-draft"], "modalities": ["DX"], "body_parts": ["CHEST"],
        "views": ["PA"], "languages": ["en"], "sources": ["curbside phantom"], "weights_sha256": hash("model.safetensors"),
        "files_sha256": files});
    fs::write(dir.path().join("curbside.json"), scope.to_string()).unwrap();
    dir
}

/// The bundled checkpoint, as links: a test puts something else in the place of one.
fn bundled() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(fixtures().join("model")).unwrap().flatten() {
        symlink(entry.path(), dir.path().join(entry.file_name())).unwrap();
    }
    dir
}

fn names(dir: &Path) -> Vec<String> {
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap()).filter(|entry| entry.path().is_file());
    let mut names: Vec<String> = files.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// What is said of the directory; none where it is served.
fn problems(dir: &Path) -> Vec<String> {
    stage::stage(dir, None).err().unwrap_or_default().iter().map(|problem| problem.to_string()).collect()
}

/// Puts the content in the place of the file or link.
fn replace(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Refused by sentences of which one names the file, each one whole and of a bounded length.
fn is_named(dir: &Path, name: &str, what: &str) {
    let said = problems(dir);
    assert!(said.iter().any(|sentence| sentence.contains(name)), "{what}: {said:?}");
    for sentence in said {
        assert!(sentence.ends_with('.') && sentence.len() < 400 && !sentence.contains('\n'), "{what}: {sentence}");
    }
}

fn each_file(make: fn() -> TempDir, flips: usize) {
    let whole = make();
    assert_eq!(problems(whole.path()), Vec::<String>::new());
    for name in names(whole.path()) {
        let at = |dir: &TempDir| dir.path().join(&name);
        let bytes = fs::read(at(&whole)).unwrap();

        let dir = make();
        fs::remove_file(at(&dir)).unwrap();
        // Without it the files are bound to nothing; it is not needed, and a general model is told as one.
        match OPTIONAL.contains(&name.as_str()) || NOT_READ.contains(&name.as_str()) {
            true if name == "curbside.json" => {
                let staged = stage::stage(dir.path(), None).unwrap_or_else(|p| panic!("{p:?}"));
                assert!(staged.info.scope.is_none());
            }
            // A file that is bound must be there.
            true if !NOT_USED.contains(&name.as_str()) => is_named(dir.path(), &name, &format!("{name} missing")),
            true => assert_eq!(problems(dir.path()), Vec::<String>::new(), "{name} missing"),
            false => is_named(dir.path(), &name, &format!("{name} missing")),
        }
        if NOT_READ.contains(&name.as_str()) {
            continue;
        }
        for length in [0, 1, 7, 8, 9, bytes.len() / 3, bytes.len() / 2, bytes.len() - 2] {
            let dir = make();
            replace(&at(&dir), &bytes[..length]);
            is_named(dir.path(), &name, &format!("{name} cut to {length}"));
        }
        let dir = make();
        for flip in 0..flips {
            // Spread over the file, its first and last bytes among them.
            let place = flip * (bytes.len() - 1) / (flips - 1);
            let mut changed = bytes.clone();
            changed[place] ^= 1 << (flip % 8);
            replace(&at(&dir), &changed);
            let said = problems(dir.path());
            // A flip in what curbside.json says of itself can still be JSON: it states another scope, never other files.
            let stays = NOT_USED.contains(&name.as_str())
                || name == "curbside.json"
                || changed.trim_ascii() == bytes.trim_ascii();
            assert!(stays || !said.is_empty(), "{name} with byte {place} flipped is served");
            assert!(
                said.is_empty()
                    || said.iter().any(|s| s.contains(&name) || s.contains("curbside.json") || name == "config.json"),
                "{name}, byte {place}: {said:?}"
            );
        }
        for (what, put) in REPLACED {
            let dir = make();
            fs::remove_file(at(&dir)).unwrap();
            put(&at(&dir));
            is_named(dir.path(), &name, &format!("{name} as {what}"));
        }
    }
}

type Put = fn(&Path);

/// What may stand in the place of a file, and must neither be waited for nor be read whole.
const REPLACED: [(&str, Put); 6] = [
    ("a folder", |path| fs::create_dir(path).unwrap()),
    ("a dangling link", |path| symlink(path.with_extension("nowhere"), path).unwrap()),
    ("a link to itself", |path| symlink(path, path).unwrap()),
    ("a pipe", |path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success())),
    ("a device without an end", |path| symlink("/dev/zero", path).unwrap()),
    ("a terabyte of nothing", |path| File::create(path).unwrap().set_len(1 << 40).unwrap()),
];

#[test]
fn each_file_of_the_tiny_checkpoint() {
    each_file(bound_tiny, 24);
}

#[test]
fn each_file_of_the_bundled_checkpoint() {
    // Hashing 15 MB takes a while unoptimised, so the flips are few.
    each_file(bundled, 4);
}

/// INVARIANT: a_changed_byte_of_a_bound_file_is_refused
#[test]
fn a_changed_byte_of_a_bound_file_is_refused() {
    // A digit of the rope's frequency and a word of the vocabulary: each is as valid as what it was.
    for (name, from, to) in [
        ("config.json", "\"rope_theta\":1000000", "\"rope_theta\":1000001"),
        ("tokenizer.json", "\"<0x41>\":69", "\"<0x42>\":69"),
        ("generation_config.json", "[1,380]", "[1,381]"),
    ] {
        let dir = bound_tiny();
        let path = dir.path().join(name);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{name}: {}", &text[..text.len().min(600)]);
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
        let said = problems(dir.path());
        assert_eq!(
            said,
            [format!(
                "{name} is not the file whose hash stands in curbside.json: it was changed or does not belong to it."
            )]
        );
        // Without the hashes nobody could tell.
        let path = dir.path().join("curbside.json");
        let mut scope: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        scope.as_object_mut().unwrap().remove("files_sha256");
        fs::write(&path, scope.to_string()).unwrap();
        assert_eq!(problems(dir.path()), Vec::<String>::new());
    }
    for (files, words) in [
        (json!({"config.json": "00"}), "config.json is not the file"),
        (json!({"pytorch_model.bin": "00"}), "pytorch_model.bin"),
        (json!({"../x": "00"}), "no file that is used"),
        (json!(["config.json"]), "curbside.json"),
        (json!({"config.json": 7}), "curbside.json"),
    ] {
        let dir = bound_tiny();
        let path = dir.path().join("curbside.json");
        let mut scope: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        scope["files_sha256"] = files.clone();
        fs::write(&path, scope.to_string()).unwrap();
        assert!(problems(dir.path()).concat().contains(words), "{files}: {:?}", problems(dir.path()));
    }
}

/// A header may claim anything; only what fits the file and the network is taken.
#[test]
fn a_header_that_claims_too_much_is_refused() {
    let header = |text: &str| {
        let mut file = (text.len() as u64).to_le_bytes().to_vec();
        file.extend(text.as_bytes());
        file
    };
    let most = u64::MAX;
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let many: Vec<String> =
        (0..100_000).map(|n| format!(r#""t{n}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#)).collect();
    for file in [
        header(&format!(r#"{{"a":{{"dtype":"U8","shape":[{most}],"data_offsets":[0,{most}]}}}}"#)),
        header(&format!(r#"{{"a":{{"dtype":"F32","shape":[{most},{most}],"data_offsets":[0,8]}}}}"#)),
        header(r#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,8]}}"#),
        header(r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#),
        header(r#"{"a":{"dtype":"F32","shape":[1e400],"data_offsets":[0,8]}}"#),
        header(r#"{"a":{"dtype":"F99","shape":[2],"data_offsets":[0,8]}}"#),
        header(&deep),
        header(&format!(r#"{{"__metadata__":{deep}}}"#)),
        header(&format!("{{{}}}", many.join(","))),
        u64::MAX.to_le_bytes().to_vec(),
        (16u64 << 20).to_le_bytes().to_vec(),
        b"PK\x03\x04 a zip archive of a pickle".to_vec(),
    ] {
        let dir = bound_tiny();
        fs::write(dir.path().join("model.safetensors"), file).unwrap();
        let said = problems(dir.path());
        assert!(!said.is_empty() && said.iter().all(|s| s.len() < 400), "{said:?}");
    }
}

#[test]
fn a_json_file_that_is_odd_is_refused() {
    let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    for name in [
        "config.json",
        "preprocessor_config.json",
        "processor_config.json",
        "generation_config.json",
        "tokenizer_config.json",
        "curbside.json",
        "tokenizer.json",
        "model.safetensors.index.json",
    ] {
        for text in
            [deep.as_str(), "[]", "null", "7", "\"text\"", "{\"a\":1}{}", "\u{feff}{}", "{\"a\":1e400,}", "{'a':1}"]
        {
            let dir = bound_tiny();
            fs::write(dir.path().join(name), text).unwrap();
            is_named(dir.path(), name, &format!("{name} with {}", &text[..text.len().min(20)]));
        }
        let dir = bound_tiny();
        fs::write(dir.path().join(name), b"{\"a\":\"\xff\"}").unwrap();
        is_named(dir.path(), name, &format!("{name} with no UTF-8"));
        File::create(dir.path().join(name)).unwrap().set_len(200 << 20).unwrap();
        is_named(dir.path(), name, &format!("{name} of 200 MiB"));
    }
}

#[test]
fn check_model_says_what_is_wrong_and_its_exit_code_is_1() {
    let dir = bound_tiny();
    let path = dir.path().join("tokenizer.json");
    fs::remove_file(&path).unwrap();
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let (output, text) = run(&["check-model", "--no-load", &dir.path().display().to_string()]);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("- tokenizer.json is not a regular file.") && !text.contains("panicked"), "{text}");
}

/// The engine says the same sentence, and so does /readyz, which prints what the engine's health says.
#[cfg(feature = "mistralrs")]
#[tokio::test]
async fn the_engine_says_the_same_sentence_as_check_model() {
    use curbside::engine::{Config, Engine, Health};

    let dir = bound_tiny();
    fs::remove_file(dir.path().join("tokenizer.json")).unwrap();
    let engine = Engine::load(Config { model: Some(dir.path().to_path_buf()), ..Config::default() });
    assert!(engine.wait_ready().await.is_err());
    let Health::Dead { reason } = engine.health() else { panic!("{:?}", engine.health()) };
    assert_eq!(problems(dir.path()), [reason]);
}
