//! Loading: why the staged copy is needed, what loading must not hold up, and what it must not need.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use curbside::engine::{Engine, Health};
use mistralrs::{DeviceMapSetting, ModelDType, MultimodalLoaderType, MultimodalModelBuilder, TokenSource};
use serde_json::{Value, json};

use super::real::config;
use crate::{
    harness::{Plan, patient},
    tiny_checkpoint,
};

/// Row 1 of `ROWS`: the day this loads, the rewriting of numbers can go.
#[tokio::test(flavor = "multi_thread")]
async fn the_raw_configuration_still_cannot_be_loaded() {
    let load = |dir: &Path| {
        let builder = MultimodalModelBuilder::new(dir.display())
            .with_loader_type(MultimodalLoaderType::Gemma3)
            .with_token_source(TokenSource::None)
            .with_dtype(ModelDType::F32)
            .with_device_mapping(DeviceMapSetting::dummy())
            .with_force_cpu();
        async move { builder.build().await }
    };
    let dir = tempfile::tempdir().unwrap();
    tiny_checkpoint::write(dir.path());
    fs::write(dir.path().join("chat_template.jinja"), "{{ messages[0]['content'] }}").unwrap();
    assert!(load(dir.path()).await.is_ok(), "whole numbers are read");
    let path = dir.path().join("config.json");
    let mut raw: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    raw["text_config"]["rms_norm_eps"] = json!(1e-6);
    fs::write(&path, raw.to_string()).unwrap();
    let refused = load(dir.path()).await.err().expect("it loads: drop the rewriting").to_string();
    assert!(refused.contains("Gemma3Config"), "{refused}");
}

/// Row 1 of `ROWS`: numbers with a point are lost behind buffered forms only.
#[test]
fn fractional_log_probabilities_are_read_by_plain_structs_only() {
    #[derive(serde::Deserialize)]
    struct Plain {
        logprob: f64,
    }
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    #[allow(dead_code)]
    enum Buffered {
        One { logprob: f64 },
    }
    let reply = r#"{"logprob": -0.31}"#;
    assert_eq!(serde_json::from_str::<Plain>(reply).unwrap().logprob, -0.31);
    assert!(serde_json::from_str::<Buffered>(reply).is_err());
}

/// Row 15 of `ROWS`.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_server_answers_while_a_model_is_loading() {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/model");
    let engine = Engine::load(config(&model));
    let hospital = Plan::new(vec![patient("demo")], engine.clone()).open().await;
    let (mut slowest, mut answers) = (Duration::ZERO, 0);
    while matches!(engine.health(), Health::Loading { .. }) {
        let asked = Instant::now();
        assert_eq!(hospital.get("/livez").await.status, 200);
        slowest = slowest.max(asked.elapsed());
        answers += 1;
    }
    println!("/livez while a model is loading: {answers} answers, the slowest after {slowest:?}");
    assert!(answers > 10, "{answers}");
    // Generous: it fails where loading holds a thread of the server.
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    assert_eq!(engine.health(), Health::Ready);
    hospital.close().await;
}

/// Row 16 of `ROWS`.
#[test]
fn a_model_loads_without_network_and_without_a_home() {
    let dir = tempfile::tempdir().unwrap();
    tiny_checkpoint::write(dir.path());
    let binary = env!("CARGO_BIN_EXE_curbside");
    let isolated = Command::new("unshare").args(["-rn", "true"]).status().is_ok_and(|status| status.success());
    let mut command = if isolated { Command::new("unshare") } else { Command::new(binary) };
    if isolated {
        command.args(["-rn", binary]);
    }
    // Nobody can make a folder under /proc, and nobody answers at the address.
    let nowhere = "http://127.0.0.1:9";
    let output = command
        .args(["check-model", &dir.path().display().to_string()])
        .env_remove("HF_HOME")
        .envs([("HOME", "/proc"), ("HF_ENDPOINT", nowhere), ("https_proxy", nowhere), ("http_proxy", nowhere)])
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("can be served: loaded"), "{said}");
    println!("in a network of its own: {isolated}");
}

/// Row 43 of `ROWS`: a binary that needs the driver's library does not start on a machine without one.
#[test]
fn the_cpu_binary_needs_no_gpu_library() {
    if cfg!(feature = "cuda") {
        return;
    }
    let output = Command::new("readelf").args(["-d", env!("CARGO_BIN_EXE_curbside")]).output().expect("readelf");
    let text = String::from_utf8_lossy(&output.stdout);
    let needed: Vec<&str> = text.lines().filter(|line| line.contains("(NEEDED)")).collect();
    assert!(needed.iter().any(|line| line.contains("libc.so")), "{text}");
    for library in ["cuda", "cublas", "curand", "cudnn", "nvrtc", "nccl"] {
        assert!(!needed.iter().any(|line| line.contains(library)), "{needed:?}");
    }
}
