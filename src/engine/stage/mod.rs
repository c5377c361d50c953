//! Inspects a model directory and builds the private one the runtime is given: weights as links, every other file our own.
//!
//! The runtime is never pointed at a download: it would take a template from one file, skip another in silence, and panic on
//! a third. Whatever is wrong with a directory is said here, as sentences that name the file, the field or the tensor.

mod companions;
mod folder;
mod geometry;
mod weights;

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use self::{companions::Tokenizer, geometry::Geometry, weights::Weights};
use super::{KNOWN, Known, ModelInfo, Scope};
use crate::file;

/// Our own template: the checkpoint's is never used.
const CHAT_TEMPLATE: &str = include_str!("../chat_template.jinja");
/// The only contract between prompt, answer and checkpoint this version knows.
const CONTRACT: u32 = 2;
/// Served context where the configuration names none: prefill time grows with the square of it.
const DEFAULT_CONTEXT: usize = 4096;
/// Gemma 3's longest, its tokenizer_config.json, has 1.2 MB; parsed, such a file takes some twenty times its length.
const LONGEST_JSON: u64 = 4 << 20;
const LONGEST_TOKENIZER: u64 = 64 << 20;
const MOST_ENTRIES: usize = 10_000;

/// One thing that keeps a directory from being served: what, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem(String);

impl Problem {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! problem {
    ($($sentence:tt)*) => { $crate::engine::stage::Problem(format!($($sentence)*)) };
}
use problem;

/// A checkpoint that can be served, in a private directory that lives as long as this value.
pub struct Staged {
    pub info: ModelInfo,
    pub architecture: String,
    pub parameters: u64,
    /// Number formats the weights are stored in, such as `BF16`.
    pub stored_dtype: String,
    /// Weights and the cache of a full context, in bytes, as loaded.
    pub memory: u64,
    /// What such models were recorded to answer; no part of the revision.
    pub known: Vec<Known>,
    dir: folder::Folder,
}

impl Staged {
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn tokenizer(&self) -> PathBuf {
        self.path().join("tokenizer.json")
    }

    pub fn chat_template(&self) -> PathBuf {
        self.path().join("chat_template.jinja")
    }
}

/// Checks `dir` and stages it. `context` is the wanted number of tokens of prompt and answer; the default is at most 4096.
pub fn stage(dir: &Path, context: Option<usize>) -> Result<Staged, Vec<Problem>> {
    let mut problems = Vec::new();
    match inspect(dir, context, &mut problems) {
        Some(staged) if problems.is_empty() => Ok(staged),
        _ => Err(problems),
    }
}

fn inspect(dir: &Path, context: Option<usize>, problems: &mut Vec<Problem>) -> Option<Staged> {
    let names = list(dir, problems)?;
    let has = |name: &str| names.iter().any(|each| each == name);
    let geometry = read_object(dir, "config.json", problems).and_then(|config| Geometry::read(&config, problems));
    let weights = Weights::read(dir, &names, geometry.as_ref(), problems);
    let tokenizer_bytes = read(dir, "tokenizer.json", LONGEST_TOKENIZER, problems);
    let tokenizer = tokenizer_bytes.as_deref().and_then(|bytes| Tokenizer::parse(bytes, problems));
    let preprocessor = read_object(dir, "preprocessor_config.json", problems);
    let mut optional = |name: &str| if has(name) { read_object(dir, name, problems) } else { None };
    let (processor, generation) = (optional("processor_config.json"), optional("generation_config.json"));
    // Read for its syntax alone, so that a damaged download is noticed whichever file it hit.
    optional("tokenizer_config.json");
    let stated = if has("curbside.json") { read_scope(dir, problems) } else { None };
    let known = read_known(dir).map_err(|sentence| problems.push(Problem(sentence))).ok();
    let (geometry, weights, tokenizer, known) = (geometry?, weights?, tokenizer?, known?);

    tokenizer.check(&geometry, problems);
    let generation = tokenizer.generation(generation.as_ref(), geometry.text.vocabulary, problems);
    let preprocessor = companions::preprocessor(&preprocessor?, &geometry, problems);
    let processor = companions::processor(processor.as_ref(), &geometry, problems);
    let context = served_context(&geometry, context, problems)?;
    // Reading all weights takes long: not for a directory that is refused anyway.
    if !problems.is_empty() {
        return None;
    }
    let hashes = hash(dir, &names, &weights, problems)?;
    if let Some(stated) = &stated {
        hashes.compare(stated, problems);
    }
    if !problems.is_empty() {
        return None;
    }
    let scope = stated.map(|stated| stated.scope);

    let files = [
        ("config.json", geometry.to_config(context).to_string().into_bytes()),
        ("tokenizer_config.json", tokenizer.to_config().to_string().into_bytes()),
        ("generation_config.json", generation.to_string().into_bytes()),
        ("preprocessor_config.json", preprocessor.to_string().into_bytes()),
        ("processor_config.json", processor.to_string().into_bytes()),
        ("chat_template.jinja", CHAT_TEMPLATE.as_bytes().to_vec()),
        ("tokenizer.json", tokenizer_bytes?),
    ];
    let dir_of_ours = match folder::write(&files, &weights.files) {
        Ok(dir) => dir,
        Err(error) => {
            problems.push(problem!(
                "The private copy of the model directory cannot be written to the temporary folder: {}.",
                error.kind()
            ));
            return None;
        }
    };
    let max_images = if scope.is_some() { 2 } else { (context / 2 / (geometry.tokens_per_image + 4)).min(8) };
    let cache = [2, geometry.text.layers, geometry.text.kv_heads, geometry.text.head_dim, context, 4];
    let cache = cache.iter().fold(1u64, |product, factor| product.saturating_mul(*factor as u64));
    Some(Staged {
        info: ModelInfo {
            name: scope.as_ref().and_then(|scope| scope.name.clone()).unwrap_or_else(|| name(dir)),
            revision: hashes.revision,
            weights_sha256: hashes.weights,
            runtime: "mistralrs 0.8.1".into(),
            dtype: "F32".into(),
            context,
            image_size: u32::try_from(geometry.vision.image_size).unwrap_or(u32::MAX),
            tokens_per_image: geometry.tokens_per_image,
            max_images,
            scope,
        },
        architecture: "Gemma3ForConditionalGeneration".into(),
        parameters: weights.parameters,
        stored_dtype: weights.stored_dtype.clone(),
        memory: weights.parameters.saturating_mul(4).saturating_add(cache),
        known,
        dir: dir_of_ours,
    })
}

fn name(dir: &Path) -> String {
    let real = dir.canonicalize().unwrap_or_else(|_| dir.to_path_buf());
    real.file_name().map_or_else(|| "model".into(), |name| name.to_string_lossy().into_owned())
}

fn list(dir: &Path, problems: &mut Vec<Problem>) -> Option<Vec<String>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) => {
            problems.push(problem!("{} is not a directory that can be read: {}.", dir.display(), error.kind()));
            return None;
        }
    };
    let mut names: Vec<String> = Vec::new();
    for entry in entries.take(MOST_ENTRIES + 1).flatten() {
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    if names.len() > MOST_ENTRIES {
        problems
            .push(problem!("{} holds more than {MOST_ENTRIES} entries: it is not a model directory.", dir.display()));
        return None;
    }
    names.sort();
    Some(names)
}

fn read(dir: &Path, name: &str, most: u64, problems: &mut Vec<Problem>) -> Option<Vec<u8>> {
    let read = file::read(&dir.join(name), most);
    read.map_err(|why| problems.push(problem!("{name} {why}."))).ok()
}

fn read_object(dir: &Path, name: &str, problems: &mut Vec<Problem>) -> Option<Map<String, Value>> {
    let bytes = read(dir, name, LONGEST_JSON, problems)?;
    let object = serde_json::from_slice(&bytes);
    if object.is_err() {
        problems.push(problem!("{name} is not a JSON object: the file is cut or damaged; copy it again."));
    }
    object.ok()
}

/// What `curbside.json` says of the checkpoint, and of the files it was made with.
struct Stated {
    scope: Scope,
    /// SHA-256 by file name; empty where the checkpoint binds its weights only.
    files: BTreeMap<String, String>,
}

fn read_scope(dir: &Path, problems: &mut Vec<Problem>) -> Option<Stated> {
    let mut object = read_object(dir, "curbside.json", problems)?;
    // The number decides before the form does: another contract may well have another form.
    let contract = object.get("contract").and_then(Value::as_u64);
    if contract != Some(u64::from(CONTRACT)) {
        let stated = contract.map_or_else(|| "no number".to_owned(), |number| number.to_string());
        problems.push(problem!(
            "curbside.json: contract is {stated}, this version of curbside serves {CONTRACT}: take a checkpoint made for it."
        ));
        return None;
    }
    let files = object.remove("files_sha256").map(serde_json::from_value).transpose();
    match (serde_json::from_value(Value::Object(object)), files) {
        (Ok(scope), Ok(files)) => Some(Stated { scope, files: files.unwrap_or_default() }),
        (Err(error), _) | (_, Err(error)) => {
            problems.push(problem!("curbside.json: {error}."));
            None
        }
    }
}

/// The recorded answers beside a model; none where there is no such file. Otherwise one sentence.
pub fn read_known(dir: &Path) -> Result<Vec<Known>, String> {
    // A link that leads nowhere is there, and is told.
    if fs::symlink_metadata(dir.join(KNOWN)).is_err() {
        return Ok(Vec::new());
    }
    let mut problems = Vec::new();
    let bytes = read(dir, KNOWN, LONGEST_JSON, &mut problems);
    let bytes = bytes.ok_or_else(|| problems.first().map(Problem::to_string).unwrap_or_default())?;
    let known = serde_json::from_slice::<Vec<Known>>(&bytes).ok().filter(|known| !known.is_empty());
    known.ok_or_else(|| {
        format!("{KNOWN} is no list of recorded answers: the file is empty, cut or damaged; copy it again, or delete it and run `curbside check-model --record`.")
    })
}

fn served_context(geometry: &Geometry, wanted: Option<usize>, problems: &mut Vec<Problem>) -> Option<usize> {
    let trained = geometry.text.context;
    match wanted {
        Some(wanted) if wanted > trained => {
            problems.push(problem!(
                "engine.context is {wanted}, the checkpoint was trained for {trained} tokens: choose at most that."
            ));
            None
        }
        Some(wanted) => Some(wanted),
        None => Some(trained.min(DEFAULT_CONTEXT)),
    }
}

struct Hashes {
    /// Of model.safetensors; of several files, over their names and hashes.
    weights: String,
    /// Over the names and hashes of all files that were used.
    revision: String,
    /// The hash of each, by name.
    files: BTreeMap<String, String>,
}

impl Hashes {
    /// Whether the files are those the checkpoint was made with: a changed byte may change an answer and show nowhere.
    // INVARIANT: a_changed_byte_of_a_bound_file_is_refused
    fn compare(&self, stated: &Stated, problems: &mut Vec<Problem>) {
        if !stated.scope.weights_sha256.eq_ignore_ascii_case(&self.weights) {
            problems.push(problem!("curbside.json: weights_sha256 is not the hash of the weights in the directory: they were changed or do not belong to it."));
        }
        for (name, wanted) in &stated.files {
            match self.files.get(name) {
                Some(found) if found.eq_ignore_ascii_case(wanted) => {}
                Some(_) => problems.push(problem!(
                    "{name} is not the file whose hash stands in curbside.json: it was changed or does not belong to it."
                )),
                None => problems.push(problem!(
                    "curbside.json: files_sha256 names {}, which is no file that is used.",
                    name.escape_debug()
                )),
            }
        }
    }
}

fn hash(dir: &Path, names: &[String], weights: &Weights, problems: &mut Vec<Problem>) -> Option<Hashes> {
    let mut lines = Vec::new();
    for (name, path) in &weights.files {
        lines.push((name.as_str(), weights::sha256(path)));
    }
    let used = [
        "config.json",
        "curbside.json",
        "generation_config.json",
        "preprocessor_config.json",
        "processor_config.json",
        "tokenizer.json",
    ];
    for name in used.into_iter().filter(|name| names.iter().any(|each| each == name)) {
        lines.push((name, weights::sha256(&dir.join(name))));
    }
    let mut read = Vec::new();
    for (name, hash) in lines {
        match hash {
            Ok(hash) => read.push((name, hash)),
            Err(error) => problems.push(problem!("{name} cannot be read: {}.", error.kind())),
        }
    }
    let over = |lines: &[(&str, String)]| {
        let text: String = lines.iter().map(|(name, hash)| format!("{name} {hash}\n")).collect();
        format!("{:x}", Sha256::digest(text))
    };
    let of_weights = read.get(..weights.files.len())?;
    let weights = if let [(_, single)] = of_weights { single.clone() } else { over(of_weights) };
    let files = read.iter().map(|(name, hash)| (name.to_string(), hash.clone())).collect();
    Some(Hashes { weights, revision: over(&read), files })
}
