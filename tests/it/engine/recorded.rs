//! A model's recorded answers: it is served only while it gives them.

use std::{fs, path::Path, process::ExitCode};

use curbside::{
    cli::check_model::{self, Depth},
    engine::{Engine, EngineError, Health, KNOWN, Known, stage},
};
use tempfile::TempDir;

use super::real::{config, load};
use crate::tiny_checkpoint;

async fn recorded() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    tiny_checkpoint::write(dir.path());
    assert!(check(dir.path(), Depth::Record).await);
    dir
}

/// Whether `curbside check-model` is content. It starts threads of its own.
async fn check(dir: &Path, depth: Depth) -> bool {
    let dir = dir.to_owned();
    let checked = tokio::task::spawn_blocking(move || check_model::run(&dir, depth).unwrap());
    checked.await.unwrap() == ExitCode::SUCCESS
}

fn edit(dir: &Path, change: impl FnOnce(&mut Known)) {
    let mut known: Vec<Known> = serde_json::from_slice(&fs::read(dir.join(KNOWN)).unwrap()).unwrap();
    assert_eq!(known.len(), 1);
    change(&mut known[0]);
    fs::write(dir.join(KNOWN), serde_json::to_string(&known).unwrap()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_what_the_model_says_and_no_part_of_its_revision() {
    let dir = tempfile::tempdir().unwrap();
    tiny_checkpoint::write(dir.path());
    let staged = |dir: &Path| stage::stage(dir, None).unwrap_or_else(|problems| panic!("{problems:?}"));
    let before = staged(dir.path()).info;
    let dir_recorded = recorded().await;
    let after = staged(dir_recorded.path());
    assert_eq!((before.revision, after.known.len()), (after.info.revision.clone(), 1));
    let mut files: Vec<_> = fs::read_dir(after.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    files.retain(|name| name == KNOWN);
    assert!(files.is_empty());
    let engine = load(dir_recorded.path()).await;
    let known = engine.known().unwrap();
    assert_eq!(vec![known.clone()], after.known);
    assert_eq!((known.dtype.as_str(), known.device.as_str(), known.first_tokens.len()), ("F32", "cpu", 3));
    assert_eq!(known.weights_sha256, after.info.weights_sha256);
    assert_eq!(engine.ask_canary().await, Health::Ready);
}

/// INVARIANT: a_model_that_answers_otherwise_than_recorded_is_not_ready
#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_answers_otherwise_than_recorded_is_not_ready() {
    let dir = recorded().await;
    edit(dir.path(), |known| known.first_tokens[1] ^= 1);
    let engine = Engine::load(config(dir.path()));
    assert_eq!(engine.wait_ready().await, Err(EngineError::Unavailable));
    assert!(matches!(engine.health(), Health::Dead { reason } if reason.contains("otherwise than before")));
    assert!(!check(dir.path(), Depth::Load).await);
    // Unless that is wanted.
    assert!(check(dir.path(), Depth::Record).await);
    assert_eq!(load(dir.path()).await.health(), Health::Ready);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_another_device_or_number_format_says_nothing() {
    let dir = recorded().await;
    for change in [|known: &mut Known| known.device = "cuda".into(), |known: &mut Known| known.dtype = "BF16".into()] {
        let other = recorded().await;
        edit(other.path(), |known| {
            change(known);
            known.first_tokens = vec![7, 7, 7];
        });
        assert_eq!(load(other.path()).await.health(), Health::Ready);
        // And stays when this one is recorded.
        assert!(check(other.path(), Depth::Record).await);
        let all: Vec<Known> = serde_json::from_slice(&fs::read(other.path().join(KNOWN)).unwrap()).unwrap();
        assert_eq!(all.len(), 2);
    }
    for text in ["[{", "[]", ""] {
        fs::write(dir.path().join(KNOWN), text).unwrap();
        for depth in [Depth::Files, Depth::Load, Depth::Record] {
            assert!(!check(dir.path(), depth).await, "{text:?} {depth:?}");
        }
    }
}

/// INVARIANT: weights_no_record_is_of_are_not_served
#[tokio::test(flavor = "multi_thread")]
async fn weights_no_record_is_of_are_not_served() {
    let dir = recorded().await;
    let mut tensors = tiny_checkpoint::tensors();
    tensors[1].2[0] += 0.125;
    fs::write(dir.path().join("model.safetensors"), tiny_checkpoint::safetensors(&tensors)).unwrap();
    let engine = Engine::load(config(dir.path()));
    assert_eq!(engine.wait_ready().await, Err(EngineError::Unavailable));
    assert!(matches!(engine.health(), Health::Dead { reason } if reason.contains("recorded for other weights")));
    assert!(!check(dir.path(), Depth::Load).await);
    // Unless these are wanted: the record of the others stays, and no longer matters.
    assert!(check(dir.path(), Depth::Record).await);
    assert_eq!(load(dir.path()).await.health(), Health::Ready);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bundled_model_has_its_record() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/model");
    let engine = load(&dir).await;
    let recorded: Vec<Known> = serde_json::from_slice(&fs::read(dir.join(KNOWN)).unwrap()).unwrap();
    assert_eq!(recorded, [engine.known().unwrap()]);
}
