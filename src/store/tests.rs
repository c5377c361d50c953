mod damaged;
mod opening;

use std::{fs, path::Path, sync::Arc};

use chrono::DateTime;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::*;
use crate::{caller::AllowedBase, error::Kind};

const EHR: &str = "https://ehr.example/fhir";
const PATIENT: &str = "https://ehr.example/fhir/Patient/1";

fn caller(tenant: &str) -> Caller {
    let fhir = EHR.parse().unwrap();
    let base = AllowedBase {
        fhir,
        dicomweb: Vec::new(),
        patient_id_systems: Vec::new(),
        dicomweb_takes_token: false,
        suggestions: false,
    };
    Caller { tenant: tenant.into(), client: "local".into(), allowed_bases: vec![base] }
}

fn key(hook_instance: &str) -> Key {
    Key { source_base: EHR.into(), service: "chest".into(), hook_instance: hook_instance.into(), asked: "00".into() }
}

fn event() -> Event {
    Event {
        action: Action::Hook,
        target: "chest".into(),
        patient: Some(patient()),
        outcome: 200,
        request_id: "r1".into(),
    }
}

fn patient() -> Patient {
    Patient { source_base: EHR.into(), reference: PATIENT.into() }
}

fn sha() -> String {
    format!("{:x}", Sha256::digest([1, 2, 3]))
}

fn loinc(code: &str) -> Value {
    json!({"coding": [{"system": "http://loinc.org", "code": code}]})
}

fn draft(id: &str) -> Draft {
    Draft {
        report_id: id.into(),
        source_base: EHR.into(),
        patient: PATIENT.into(),
        resources: vec![
            json!({"resourceType": "Device", "id": "model-1", "status": "active"}),
            json!({"resourceType": "DiagnosticReport", "id": id, "status": "registered", "subject": {"reference": PATIENT},
                "category": [loinc("LP29684-5")], "code": loinc("30745-4")}),
            json!({"resourceType": "Observation", "id": format!("{id}-o"), "meta": {"profile": ["p"]}, "status": "preliminary",
                "category": [loinc("LP29684-5")], "code": loinc("59776-5"), "subject": {"reference": PATIENT},
                "valueQuantity": serde_json::from_str::<Value>(r#"{"value": 72.50}"#).unwrap()}),
            json!({"resourceType": "Provenance", "id": format!("{id}-p"), "target": [{"reference": format!("DiagnosticReport/{id}")}],
                "recorded": "2025-06-02T08:00:00Z", "agent": [{"who": {"reference": "Device/model-1"}}]}),
        ],
        page: json!({"service": id, "issued": "now"}),
        pictures: vec![(sha(), Arc::new(vec![1, 2, 3]))],
    }
}

fn commit(hook_instance: &str, id: &str) -> Commit {
    Commit { key: Some(key(hook_instance)), answer: format!("answer {id}"), report: Some(draft(id)), event: event() }
}

fn config(folder: &Path) -> Config {
    Config { path: folder.join("data/curbside.db") }
}

async fn store() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&config(folder.path())).await.unwrap();
    (folder, store)
}

async fn rows(store: &Store, table: &'static str) -> i64 {
    sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}")))
        .fetch_one(&store.writer)
        .await
        .unwrap()
}

const TABLES: [&str; 6] = ["resource", "link", "picture", "report_page", "answer", "audit"];

#[tokio::test]
async fn a_restart_loses_nothing() {
    let (folder, store) = store().await;
    let caller = caller("a");
    store.commit(&caller, commit("h", "1")).await.unwrap();
    let before = store.read(&caller, "Observation", "1-o").await.unwrap();
    // As in a crash: the file and its log are all that is left.
    let crashed = folder.path().join("crashed");
    fs::create_dir(&crashed).unwrap();
    for file in fs::read_dir(folder.path().join("data")).unwrap().map(|file| file.unwrap().path()) {
        fs::copy(&file, crashed.join(file.file_name().unwrap())).unwrap();
    }
    store.close().await;
    assert!(!folder.path().join("data/curbside.db-wal").exists(), "closing moves everything into one file");

    for path in [config(folder.path()).path, crashed.join("curbside.db")] {
        let store = Store::open(&Config { path }).await.unwrap();
        let after = store.read(&caller, "Observation", "1-o").await.unwrap();
        assert_eq!((after.resource, after.last_updated), (before.resource.clone(), before.last_updated));
        assert_eq!(store.picture(&caller, &sha()).await.unwrap().png, [1, 2, 3]);
        assert_eq!(store.page(&caller, "1").await.unwrap().json, r#"{"service":"1","issued":"now"}"#);
        assert_eq!(store.answered(&caller, &key("h")).await.unwrap().as_deref(), Some("answer 1"));
        assert_eq!(rows(&store, "audit").await, 1);
    }
}

#[tokio::test]
async fn version_and_time_are_the_stores_and_decimals_stay_text() {
    let (_folder, store) = store().await;
    store.commit(&caller("a"), commit("h", "1")).await.unwrap();
    let stored = store.read(&caller("a"), "Observation", "1-o").await.unwrap();
    let resource: Value = serde_json::from_str(&stored.resource).unwrap();
    assert_eq!(resource["meta"]["versionId"], "1");
    assert_eq!(resource["meta"]["profile"], json!(["p"]));
    let shown: DateTime<Utc> = resource["meta"]["lastUpdated"].as_str().unwrap().parse().unwrap();
    assert_eq!(shown, stored.last_updated);
    assert!(stored.resource.contains("72.50"), "{}", stored.resource);
    assert_eq!(stored.patient, Some(patient()));
    assert_eq!(store.read(&caller("a"), "Device", "model-1").await.unwrap().patient, None);
}

#[tokio::test]
async fn a_commit_is_whole_or_absent() {
    let (_folder, store) = store().await;
    let caller = caller("a");
    let mut broken = commit("h", "1");
    broken.report.as_mut().unwrap().pictures.push(("too short".into(), Arc::new(vec![4])));
    let error = store.commit(&caller, broken).await.unwrap_err();
    assert_eq!(error.kind, Kind::Fault);
    for table in TABLES {
        assert_eq!(rows(&store, table).await, 0, "{table}");
    }
    store.commit(&caller, commit("h", "1")).await.unwrap();
    assert!(store.answered(&caller, &key("h")).await.unwrap().is_some());
}

#[tokio::test]
async fn the_same_key_keeps_the_first_answer() {
    let (_folder, store) = store().await;
    let caller = caller("a");
    assert_eq!(store.commit(&caller, commit("h", "1")).await.unwrap(), "answer 1");
    assert_eq!(store.commit(&caller, commit("h", "2")).await.unwrap(), "answer 1", "the answer to give");
    assert_eq!(store.answered(&caller, &key("h")).await.unwrap().as_deref(), Some("answer 1"));
    assert_eq!(store.read(&caller, "DiagnosticReport", "2").await.unwrap_err().kind, Kind::NotFound);
    assert_eq!(rows(&store, "audit").await, 2, "both were answered");
    let other = Key { asked: "01".into(), ..key("h") };
    assert_eq!(store.answered(&caller, &other).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_equal_calls_at_once_make_one_report() {
    let (_folder, store) = store().await;
    let calls = (0..50).map(|n| {
        let store = store.clone();
        tokio::spawn(async move { store.commit(&caller("a"), commit("h", &n.to_string())).await })
    });
    let answers = futures::future::join_all(calls).await.into_iter().map(|call| call.unwrap().unwrap());
    assert_eq!(answers.collect::<std::collections::HashSet<_>>().len(), 1);
    assert_eq!(rows(&store, "report_page").await, 1);
    assert_eq!(rows(&store, "resource").await, 4);
}

#[tokio::test]
async fn one_device_serves_every_report_and_no_other_id_is_taken_twice() {
    let (_folder, store) = store().await;
    let caller = caller("a");
    store.commit(&caller, commit("h", "1")).await.unwrap();
    store.commit(&caller, commit("i", "2")).await.unwrap();
    assert_eq!(rows(&store, "resource").await, 7);
    assert_eq!(store.commit(&caller, commit("j", "2")).await.unwrap_err().kind, Kind::Fault);
    assert_eq!(store.answered(&caller, &key("j")).await.unwrap(), None);
}

#[tokio::test]
async fn a_tenant_sees_nothing_of_another() {
    let (_folder, store) = store().await;
    store.commit(&caller("a"), commit("h", "1")).await.unwrap();
    let other = caller("b");
    assert_eq!(store.answered(&other, &key("h")).await.unwrap(), None);
    assert_eq!(store.read(&other, "DiagnosticReport", "1").await.unwrap_err().kind, Kind::NotFound);
    assert_eq!(store.picture(&other, &sha()).await.unwrap_err().kind, Kind::NotFound);
    assert_eq!(store.page(&other, "1").await.unwrap_err().kind, Kind::NotFound);
    let client = Caller { client: "another".into(), ..caller("a") };
    assert_eq!(store.answered(&client, &key("h")).await.unwrap(), None);
    // The same ids are free to the other tenant.
    store.commit(&other, commit("h", "1")).await.unwrap();
    assert_eq!(store.answered(&other, &key("h")).await.unwrap().as_deref(), Some("answer 1"));
}

#[tokio::test]
async fn a_report_never_mixes_patients() {
    let (_folder, store) = store().await;
    let of = |change: fn(&mut Draft)| {
        let mut commit = commit("h", "1");
        change(commit.report.as_mut().unwrap());
        commit
    };
    for broken in [
        of(|draft| draft.resources[1]["subject"]["reference"] = json!("https://ehr.example/fhir/Patient/2")),
        of(|draft| draft.resources[1]["subject"]["reference"] = json!("Patient/1")),
        of(|draft| draft.patient = "Patient/1".into()),
        of(|draft| draft.source_base = "https://other.example/fhir".into()),
        of(|draft| draft.resources.push(json!({"resourceType": "Observation"}))),
        of(|draft| draft.resources.push(json!(["no object"]))),
    ] {
        assert_eq!(store.commit(&caller("a"), broken).await.unwrap_err().kind, Kind::Fault);
    }
    assert_eq!(rows(&store, "audit").await, 0);
    store.commit(&caller("a"), of(|draft| draft.source_base.push('/'))).await.unwrap();
}

#[tokio::test]
async fn what_is_not_valid_fhir_is_not_stored() {
    let (_folder, store) = store().await;
    for (place, value) in
        [("status", json!("unheard-of")), ("status", json!(7)), ("colour", json!("red")), ("code", json!({}))]
    {
        for resource in 0..4 {
            let mut broken = commit("h", "1");
            broken.report.as_mut().unwrap().resources[resource][place] = value.clone();
            let error = store.commit(&caller("a"), broken).await.unwrap_err();
            assert_eq!(
                (error.kind, error.message.as_str()),
                (Kind::Fault, "a drafted resource is not fit to be stored")
            );
            assert!(error.source.is_some());
        }
    }
    for table in TABLES {
        assert_eq!(rows(&store, table).await, 0, "{table}");
    }
}

#[tokio::test]
async fn the_newest_reports_of_the_tenant_come_first() {
    let (_folder, store) = store().await;
    for (tenant, id, hour) in [("a", "2", 2), ("a", "9", 9), ("b", "7", 7), ("a", "5", 5)] {
        let (mut draft, now) = (draft(id), DateTime::from_timestamp(hour * 3600, 0).unwrap());
        let rows = resource::rows(&mut draft, now).unwrap();
        store.write(async |db| insert(db, &caller(tenant), draft, &rows, now.timestamp_millis()).await).await.unwrap();
    }
    let of = async |tenant, count| store.recent(&caller(tenant), count).await.unwrap();
    let ids = |recent: Vec<Recent>| recent.into_iter().map(|recent| recent.report_id).collect::<Vec<_>>();
    assert_eq!(ids(of("a", 2).await), ["9", "5"]);
    assert_eq!(ids(of("a", 10).await), ["9", "5", "2"]);
    assert_eq!(of("b", 10).await, [Recent { report_id: "7".into(), service: "7".into(), issued: "now".into() }]);
    assert!(of("c", 10).await.is_empty());
}

#[tokio::test]
async fn the_audit_trail_is_append_only() {
    let (_folder, store) = store().await;
    store.audit(&caller("a"), event()).await.unwrap();
    for statement in [
        "UPDATE audit SET outcome = 404",
        "DELETE FROM audit",
        "REPLACE INTO audit SELECT sequence, 0, tenant, client, action, target, source_base, patient, outcome, request_id FROM audit",
    ] {
        let error = sqlx::query(statement).execute(&store.writer).await.unwrap_err();
        assert!(error.to_string().contains("append-only"), "{statement}: {error}");
    }
    store.audit(&caller("a"), event()).await.unwrap();
    assert_eq!(rows(&store, "audit").await, 2);
}

#[tokio::test]
async fn old_answers_are_forgotten_some_at_a_time() {
    let (_folder, store) = store().await;
    for n in 0..150 {
        let mut db = store.writer.acquire().await.unwrap();
        sql::insert_answer(&mut db, &caller("a"), &key(&n.to_string()), "old", 0).await.unwrap();
    }
    store.commit(&caller("a"), commit("h", "1")).await.unwrap();
    assert_eq!(rows(&store, "answer").await, 51);
    store.commit(&caller("a"), commit("i", "2")).await.unwrap();
    assert_eq!(rows(&store, "answer").await, 2);
}

#[tokio::test]
async fn a_full_disk_is_busy_and_leaves_nothing() {
    let (_folder, store) = store().await;
    assert!(store.check().await.is_ok());
    sqlx::query("PRAGMA max_page_count = 1").execute(&store.writer).await.unwrap();
    let mut large = commit("h", "1");
    large.report.as_mut().unwrap().pictures[0].1 = Arc::new(vec![0; 1 << 20]);
    let error = store.commit(&caller("a"), large).await.unwrap_err();
    assert_eq!((error.kind, error.message.as_str()), (Kind::Busy, "the store cannot write"));
    assert_eq!(rows(&store, "resource").await, 0);
    store.close().await;
    assert!(store.check().await.is_err());
    assert_eq!(store.audit(&caller("a"), event()).await.unwrap_err().kind, Kind::Busy);
}

#[tokio::test]
async fn a_locked_database_is_not_writable() {
    let (folder, store) = store().await;
    let options = SqliteConnectOptions::new().filename(config(folder.path()).path);
    let other = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
    let lock = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    assert!(store.check().await.is_err());
    lock.rollback().await.unwrap();
    assert!(store.check().await.is_ok());
}

#[tokio::test]
async fn every_connection_is_durable() {
    let (_folder, store) = store().await;
    for pool in [&store.writer, &store.readers] {
        let pragma = async |name: &'static str| sqlx::query_scalar::<_, i64>(name).fetch_one(pool).await.unwrap();
        assert_eq!(pragma("PRAGMA synchronous").await, 2);
        assert_eq!(pragma("PRAGMA foreign_keys").await, 1);
    }
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&store.writer).await.unwrap();
    assert_eq!(mode, "wal");
}
