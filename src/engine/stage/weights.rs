//! The weight files of a checkpoint: which there are, whether they hold exactly the tensors the network needs, and their hash.
//!
//! The runtime skips files it does not know in silence, falls back to pickles, and replaces a missing linear weight by a layer
//! that fails when it is used; so all of this is settled before it sees the directory.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use safetensors::{Dtype, tensor::Metadata};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Problem, geometry::Geometry, problem, read_object};

/// Longest header read. Gemma 3 27B needs about 150 kB.
const LONGEST_HEADER: u64 = 16 << 20;
const INDEX: &str = "model.safetensors.index.json";
const WEIGHT_ENDINGS: [&str; 16] = [
    "safetensors",
    "bin",
    "pt",
    "pth",
    "ckpt",
    "gguf",
    "ggml",
    "uqff",
    "h5",
    "msgpack",
    "onnx",
    "npz",
    "npy",
    "pkl",
    "pickle",
    "tflite",
];

/// The weight files and what their headers say.
pub struct Weights {
    /// Name in the staged directory and the real file behind it, in order.
    pub files: Vec<(String, PathBuf)>,
    pub parameters: u64,
    pub stored_dtype: String,
}

impl Weights {
    /// Finds the weight files among the directory's entries and compares their headers with the network.
    pub fn read(
        dir: &Path,
        names: &[String],
        geometry: Option<&Geometry>,
        problems: &mut Vec<Problem>,
    ) -> Option<Weights> {
        let before = problems.len();
        let files = find(dir, names, problems)?;
        let mut tensors: BTreeMap<String, (String, Dtype, Vec<usize>)> = BTreeMap::new();
        for (name, path) in &files {
            match header(path) {
                Err(sentence) => problems.push(problem!("{name}: {sentence}")),
                Ok(metadata) => {
                    for (tensor, info) in metadata.tensors() {
                        if let Some((other, ..)) =
                            tensors.insert(tensor.clone(), (name.clone(), info.dtype, info.shape.clone()))
                        {
                            problems.push(problem!("{name}: tensor {tensor} stands in {other} too."));
                        }
                    }
                }
            }
        }
        if problems.len() > before {
            return None;
        }
        if names.iter().any(|name| name == INDEX) {
            check_index(dir, &tensors, problems);
        }
        for (tensor, shape) in geometry.map(expected).unwrap_or_default() {
            match tensors.get(&tensor) {
                None => problems.push(problem!("Tensor {tensor} is missing from the weights.")),
                Some((file, _, found)) if *found != shape => {
                    problems
                        .push(problem!("{file}: tensor {tensor} has shape {found:?}, config.json asks for {shape:?}."));
                }
                Some((file, dtype, _)) if !matches!(dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16) => {
                    problems.push(problem!("{file}: tensor {tensor} is {dtype:?}; only F32, F16 and BF16 are served."));
                }
                Some(_) => {}
            }
        }
        let parameters = tensors.values().map(|(_, _, shape)| shape.iter().map(|n| *n as u64).product::<u64>()).sum();
        let dtypes: BTreeSet<String> = tensors.values().map(|(_, dtype, _)| format!("{dtype:?}")).collect();
        let stored_dtype = dtypes.into_iter().collect::<Vec<_>>().join(", ");
        (problems.len() == before).then_some(Weights { files, parameters, stored_dtype })
    }
}

/// SHA-256 of a file's content, hex.
pub fn sha256(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(format!("{:x}", hasher.finalize())),
            read => hasher.update(&buffer[..read]),
        }
    }
}

fn find(dir: &Path, names: &[String], problems: &mut Vec<Problem>) -> Option<Vec<(String, PathBuf)>> {
    let before = problems.len();
    let mut shards: BTreeMap<(u32, u32), &String> = BTreeMap::new();
    let mut single = false;
    for name in names {
        let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase();
        if name == "model.safetensors" {
            single = true;
        } else if let Some(part) = shard(name) {
            shards.insert(part, name);
        } else if WEIGHT_ENDINGS.contains(&ending.as_str()) {
            problems.push(problem!("{name}: this weight file is not served; keep only model.safetensors or model-0000X-of-0000Y.safetensors in the directory."));
        }
    }
    let total = shards.keys().next().map_or(0, |(_, of)| *of);
    if single && total > 0 {
        problems.push(problem!(
            "model.safetensors stands beside model-...-of-....safetensors: remove one of the two sets."
        ));
    } else if !single && total == 0 {
        problems
            .push(problem!("There are no weights: model.safetensors or model-0000X-of-0000Y.safetensors is missing."));
    } else if total > 0 && !shards.keys().copied().eq((1..=total).map(|part| (part, total))) {
        problems.push(problem!(
            "The weight files model-...-of-{total:05}.safetensors are not complete: {} of {total} are there.",
            shards.len()
        ));
    }
    if problems.len() > before {
        return None;
    }
    let names = if single { vec!["model.safetensors".to_string()] } else { shards.into_values().cloned().collect() };
    // The staged directory links to the real file, so that a link in a download cache works from anywhere.
    names
        .into_iter()
        .map(|name| match dir.join(&name).canonicalize() {
            Ok(path) if path.is_file() => Some((name, path)),
            _ => {
                problems.push(problem!("{name}: the file cannot be read, or its link leads nowhere."));
                None
            }
        })
        .collect()
}

/// Part and total of `model-00001-of-00005.safetensors`.
fn shard(name: &str) -> Option<(u32, u32)> {
    let (part, total) = name.strip_prefix("model-")?.strip_suffix(".safetensors")?.split_once("-of-")?;
    let number = |digits: &str| (digits.len() == 5).then(|| digits.parse::<u32>().ok()).flatten();
    Some((number(part)?, number(total)?)).filter(|(part, total)| 1 <= *part && part <= total && *total <= 999)
}

fn header(path: &Path) -> Result<Metadata, &'static str> {
    const CUT: &str = "the file is cut or is not a safetensors file; copy it again.";
    let mut file = File::open(path).map_err(|_| "the file cannot be opened.")?;
    let size = file.metadata().map_err(|_| "the file cannot be read.")?.len();
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(|_| CUT)?;
    let length = u64::from_le_bytes(length);
    if length > LONGEST_HEADER || length + 8 > size {
        return Err(CUT);
    }
    let mut text = vec![0; usize::try_from(length).map_err(|_| CUT)?];
    file.read_exact(&mut text).map_err(|_| CUT)?;
    let metadata: Metadata = serde_json::from_slice(&text).map_err(|_| CUT)?;
    if metadata.data_len() as u64 + length + 8 != size {
        return Err(CUT);
    }
    Ok(metadata)
}

fn check_index(dir: &Path, tensors: &BTreeMap<String, (String, Dtype, Vec<usize>)>, problems: &mut Vec<Problem>) {
    let Some(index) = read_object(dir, INDEX, problems) else { return };
    let Some(map) = index.get("weight_map").and_then(Value::as_object) else {
        problems.push(problem!("{INDEX}: weight_map is missing; remove the file or copy it again."));
        return;
    };
    let wrong = map.iter().find(|(tensor, file)| tensors.get(*tensor).is_none_or(|(there, ..)| *file != there));
    if let Some((tensor, _)) = wrong {
        problems.push(problem!("{INDEX}: tensor {tensor} is not in the file the index names; the weights and the index do not belong together."));
    }
}

/// Every tensor the network needs, with its shape.
pub fn expected(geometry: &Geometry) -> Vec<(String, Vec<usize>)> {
    let Geometry { text, vision, .. } = geometry;
    let (queries, keys) = (text.heads * text.head_dim, text.kv_heads * text.head_dim);
    let mut tensors = vec![
        ("language_model.model.embed_tokens.weight".to_string(), vec![text.vocabulary, text.hidden]),
        ("language_model.model.norm.weight".to_string(), vec![text.hidden]),
    ];
    for layer in 0..text.layers {
        let at = |name: &str, shape: Vec<usize>| (format!("language_model.model.layers.{layer}.{name}.weight"), shape);
        tensors.extend([
            at("self_attn.q_proj", vec![queries, text.hidden]),
            at("self_attn.k_proj", vec![keys, text.hidden]),
            at("self_attn.v_proj", vec![keys, text.hidden]),
            at("self_attn.o_proj", vec![text.hidden, queries]),
            at("self_attn.q_norm", vec![text.head_dim]),
            at("self_attn.k_norm", vec![text.head_dim]),
            at("input_layernorm", vec![text.hidden]),
            at("post_attention_layernorm", vec![text.hidden]),
            at("pre_feedforward_layernorm", vec![text.hidden]),
            at("post_feedforward_layernorm", vec![text.hidden]),
            at("mlp.gate_proj", vec![text.intermediate, text.hidden]),
            at("mlp.up_proj", vec![text.intermediate, text.hidden]),
            at("mlp.down_proj", vec![text.hidden, text.intermediate]),
        ]);
    }
    let patches = vision.image_size / vision.patch_size;
    let mut tower = vec![
        ("embeddings.patch_embedding.weight".to_string(), vec![vision.hidden, 3, vision.patch_size, vision.patch_size]),
        ("embeddings.patch_embedding.bias".to_string(), vec![vision.hidden]),
        ("embeddings.position_embedding.weight".to_string(), vec![patches * patches, vision.hidden]),
        ("post_layernorm.weight".to_string(), vec![vision.hidden]),
        ("post_layernorm.bias".to_string(), vec![vision.hidden]),
    ];
    for layer in 0..vision.layers {
        let mut both = |name: &str, shape: Vec<usize>| {
            tower.push((format!("encoder.layers.{layer}.{name}.bias"), vec![shape[0]]));
            tower.push((format!("encoder.layers.{layer}.{name}.weight"), shape));
        };
        for name in ["q_proj", "k_proj", "v_proj", "out_proj"] {
            both(&format!("self_attn.{name}"), vec![vision.hidden, vision.hidden]);
        }
        both("mlp.fc1", vec![vision.intermediate, vision.hidden]);
        both("mlp.fc2", vec![vision.hidden, vision.intermediate]);
        both("layer_norm1", vec![vision.hidden]);
        both("layer_norm2", vec![vision.hidden]);
    }
    tensors.extend(tower.into_iter().map(|(name, shape)| (format!("vision_tower.vision_model.{name}"), shape)));
    tensors.push(("multi_modal_projector.mm_input_projection_weight".to_string(), vec![vision.hidden, text.hidden]));
    tensors.push(("multi_modal_projector.mm_soft_emb_norm.weight".to_string(), vec![vision.hidden]));
    tensors
}
