//! A store that refuses while the server runs: a clear 503, nothing acknowledged lost, and no restart needed.

use std::{
    fs::{copy, remove_file, rename},
    path::Path,
    process::Command,
};

use curbside::engine::{Engine, Step};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{post, refused};
use crate::{
    command_line::run,
    harness::{Answer, Hospital, Plan, patient, scripted_model},
};

const ANSWER: &str = r#"{"findings":[],"urgency":"routine"}"#;

async fn over(data: &Path) -> Hospital {
    let engine = Engine::scripted(scripted_model(), vec![Step::Text(ANSWER.into())]);
    let mut plan = Plan::new(vec![patient("demo")], engine).with_deadline(60_000);
    plan.data = Some(data.to_owned());
    plan.open().await
}

/// A signed order that was not signed before.
fn order(hospital: &Hospital) -> Value {
    let mut request = hospital.ehr.authorized_request("demo").expect("the folder's request");
    request["hookInstance"] = json!(uuid::Uuid::new_v4());
    request
}

async fn sign(hospital: &Hospital, order: &Value) -> Answer {
    post(hospital, "/cds-services/imaging-draft-report", order.to_string().into_bytes()).await
}

#[track_caller]
fn busy(answer: &Answer, what: &str) {
    assert_eq!(answer.status, 503, "{what}: {}", answer.text);
    refused(answer, what);
    let after: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&after), "{what}: {after}");
}

async fn readiness(hospital: &Hospital) -> (u16, String) {
    let answer = hospital.get("/readyz").await;
    (answer.status, answer.json()["reason"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_database_locked_by_another_process_is_busy_and_works_again() {
    let data = TempDir::new().unwrap();
    let hospital = over(data.path()).await;
    let kept = sign(&hospital, &order(&hospital)).await.only_card();
    let page = kept["links"][0]["url"].as_str().unwrap().to_owned();
    let other = sqlx::SqlitePool::connect(&format!("sqlite:{}/curbside.db", data.path().display())).await.unwrap();
    let lock = other.begin_with("BEGIN IMMEDIATE").await.unwrap();

    let late = order(&hospital);
    busy(&sign(&hospital, &late).await, "an order");
    busy(&hospital.get(&page).await, "a page");
    busy(&hospital.get("/fhir/DiagnosticReport").await, "a search");
    let (status, reason) = readiness(&hospital).await;
    assert!(status == 503 && reason.contains("locked"), "{reason}");
    assert_eq!(hospital.get("/livez").await.status, 200);

    lock.rollback().await.unwrap();
    assert_eq!(readiness(&hospital).await.0, 200);
    assert_eq!(hospital.get(&page).await.status, 200);
    assert_eq!(hospital.reports().await, 1, "what was refused left nothing");
    assert_eq!(sign(&hospital, &late).await.status, 200, "the same call again is answered");
    assert_eq!(hospital.reports().await, 2);
    hospital.close().await;
}

/// What is written to a file that has lost its name is gone when the server ends.
#[tokio::test]
async fn files_removed_or_replaced_under_the_server_are_told_and_nothing_more_is_acknowledged() {
    type Harm = fn(&str);
    let harms: [(&str, Harm, bool); 4] = [
        (
            "log removed",
            |path| ["-wal", "-shm"].iter().for_each(|end| remove_file(format!("{path}{end}")).unwrap()),
            true,
        ),
        (
            "all removed",
            |path| ["", "-wal", "-shm"].iter().for_each(|end| remove_file(format!("{path}{end}")).unwrap()),
            false,
        ),
        ("moved away", |path| rename(path, format!("{path}.old")).unwrap(), false),
        (
            "replaced",
            |path| {
                copy(path, format!("{path}.new")).unwrap();
                rename(format!("{path}.new"), path).unwrap();
            },
            false,
        ),
    ];
    for (what, harm, whole) in harms {
        let data = TempDir::new().unwrap();
        let hospital = over(data.path()).await;
        let first = order(&hospital);
        assert_eq!(sign(&hospital, &first).await.status, 200, "{what}");
        assert_eq!(readiness(&hospital).await, (200, String::new()), "{what}");

        harm(data.path().join("curbside.db").to_str().unwrap());
        for late in [order(&hospital), first] {
            busy(&sign(&hospital, &late).await, what);
        }
        busy(&hospital.get("/fhir/DiagnosticReport").await, what);
        let (status, reason) = readiness(&hospital).await;
        assert!(
            status == 503 && reason.contains("removed or replaced") && reason.contains("restart"),
            "{what}: {reason}"
        );
        assert_eq!(hospital.get("/livez").await.status, 200, "{what}");
        hospital.close().await;
        if whole {
            let hospital = over(data.path()).await;
            assert_eq!(readiness(&hospital).await.0, 200, "{what}");
            assert!(hospital.reports().await >= 1, "{what}: what was acknowledged is there");
            hospital.close().await;
        }
    }
}

/// Mounts a file system of so many MiB for as long as it lives.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn new(mib: u32) -> SmallDisk {
        let folder = TempDir::new().unwrap();
        let size = format!("size={mib}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "none"]).arg(folder.path()).status();
        assert!(mounted.unwrap().success(), "a small disk cannot be mounted here");
        SmallDisk(folder)
    }

    fn remount(&self, option: &str) {
        let remount = Command::new("mount").args(["-o", &format!("remount,{option}")]).arg(self.0.path()).status();
        assert!(remount.unwrap().success(), "{option}");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(self.0.path()).status().ok();
    }
}

#[tokio::test]
#[ignore = "mounts a small disk, which needs root"]
async fn a_disk_that_is_full_loses_nothing_and_works_again() {
    let disk = SmallDisk::new(8);
    let hospital = over(disk.0.path()).await;
    let mut kept = Vec::new();
    for _ in 0..3 {
        let order = order(&hospital);
        kept.push((order.clone(), sign(&hospital, &order).await.text));
    }
    let filler = disk.0.path().join("filler");
    let full = std::fs::write(&filler, vec![0; 16 << 20]).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);

    // The log still has room for some pages; what is acknowledged until it has not is kept too.
    let mut refusals = 0;
    for _ in 0..20 {
        let order = order(&hospital);
        let answer = sign(&hospital, &order).await;
        if answer.status == 200 {
            kept.push((order, answer.text));
        } else {
            busy(&answer, "an order on a full disk");
            refusals += 1;
        }
    }
    assert!(refusals > 0, "the disk was never full");
    let (status, reason) = readiness(&hospital).await;
    assert!(status == 503 && reason.contains("full"), "{status} {reason}");
    for path in ["/", "/fhir/DiagnosticReport"] {
        let answer = hospital.get(path).await;
        assert!(matches!(answer.status, 200 | 503), "{path}: {}", answer.text);
    }

    std::fs::remove_file(&filler).unwrap();
    assert_eq!(readiness(&hospital).await, (200, String::new()));
    for (order, text) in &kept {
        assert_eq!(&sign(&hospital, order).await.text, text, "the answer given is the answer kept");
    }
    let count = kept.len() as u64;
    assert_eq!(hospital.reports().await, count);
    hospital.close().await;
    let hospital = over(disk.0.path()).await;
    assert_eq!(hospital.reports().await, count, "after a restart");
    hospital.close().await;
}

#[tokio::test]
#[ignore = "mounts a small disk, which needs root"]
async fn a_disk_that_becomes_read_only_is_told() {
    let disk = SmallDisk::new(32);
    {
        let hospital = over(disk.0.path()).await;
        assert_eq!(sign(&hospital, &order(&hospital)).await.status, 200);
        hospital.close().await;
    }
    disk.remount("ro");
    let path = disk.0.path().join("curbside.db").display().to_string();
    let (output, text) = run(&["serve", "--listen", "127.0.0.1:19471", "--store", &path]);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("write access") && text.contains(&path), "{text}");
}

#[test]
fn a_store_that_cannot_be_used_is_one_sentence_and_exit_code_1() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("letter"), "This is a letter and no database. ".repeat(100)).unwrap();
    std::fs::create_dir(at("folder")).unwrap();
    assert!(Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
    for (name, words) in [
        (at("letter"), "not an SQLite database"),
        (at("folder"), "name another file"),
        (at("pipe"), "name another file"),
        (at("letter/curbside.db"), "write access"),
        ("/proc/curbside.db".into(), "write access"),
        ("/dev/full".into(), "name another file"),
    ] {
        let shown = name.display().to_string();
        let (output, text) = run(&["serve", "--listen", "127.0.0.1:19472", "--store", &shown]);
        assert_eq!(output.status.code(), Some(1), "{shown}: {text}");
        let said: Vec<&str> = text.lines().filter(|line| line.starts_with("curbside: ")).collect();
        assert_eq!(said.len(), 1, "{text}");
        assert!(said[0].contains(words) && said[0].contains(&shown), "{text}");
        assert!(!text.contains("panicked"), "{text}");
    }
}
