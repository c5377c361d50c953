//! Hostile films through the whole server: an order is signed, the archive sends the file, a card says why it is not read.

use std::fs;

use curbside::engine::{Engine, Step};
use tempfile::TempDir;

use super::{alone, corpus, status};
use crate::{
    film_file,
    harness::{Hospital, Plan, patient, record_of, scripted_model},
};

const ANSWER: &str = r#"{"findings":[],"urgency":"routine"}"#;

/// A copy of the demonstration patient's folder whose record names the films that are made here.
pub fn demonstration() -> TempDir {
    record_of(&patient("demo"), |resources| {
        for resource in resources {
            if resource["id"] == "demo-current" {
                resource["identifier"][0]["value"] = format!("urn:oid:{}", film_file::STUDY).into();
                resource["series"][0]["uid"] = film_file::SERIES.into();
                resource["series"][0]["instance"][0]["uid"] = film_file::INSTANCE.into();
            }
            if resource["resourceType"] == "Patient" {
                let numbers = resource["identifier"].as_array_mut().unwrap();
                let number = numbers.iter_mut().find(|i| i["type"]["coding"][0]["code"] == "MR");
                number.expect("a record number")["value"] = film_file::PATIENT.into();
            }
        }
    })
}

async fn open() -> (Hospital, std::path::PathBuf) {
    let copy = demonstration();
    let film = copy.path().join("images/current.dcm");
    fs::write(&film, good()).unwrap();
    let engine = Engine::scripted(scripted_model(), vec![Step::Text(ANSWER.into()); 3]);
    let mut plan = Plan::new(vec![copy.path().to_owned()], engine).with_deadline(30_000);
    plan.kept.push(copy);
    (plan.open().await, film)
}

fn good() -> Vec<u8> {
    film_file::film(224, |x, y| (x ^ y) as u8).bytes()
}

#[test]
fn a_hostile_film_is_a_card_that_says_why_it_is_not_read() {
    alone("served::some");
}

#[test]
#[ignore = "takes minutes; every fourth film is part of every run"]
fn every_hostile_film_is_a_card_that_says_why_it_is_not_read() {
    alone("served::every");
}

#[tokio::test]
#[ignore = "run by a_hostile_film_is_a_card_that_says_why_it_is_not_read, in a process of its own"]
async fn some() {
    sign(4).await;
}

#[tokio::test]
#[ignore = "run by every_hostile_film_is_a_card_that_says_why_it_is_not_read, in a process of its own"]
async fn every() {
    sign(1).await;
}

/// What an archive sends is held in memory, here twice since the archive is in this process; larger ones are measured without it.
const LARGEST: usize = 1 << 20;

async fn sign(step: usize) {
    let (hospital, film) = open().await;
    let name = hospital.ehr.names().next().unwrap().to_owned();
    let words = |card: &serde_json::Value| {
        format!("{} {}", card["summary"].as_str().unwrap(), card["detail"].as_str().unwrap())
    };
    let card = hospital.sign_order_of(&name).await.only_card();
    assert!(card.get("links").is_some(), "the good film is read: {card}");
    let (calls, reports) = (hospital.app.engine.calls(), hospital.reports().await);
    assert_eq!((calls, reports), (1, 1));

    let mut traps = corpus::films();
    traps.retain(|trap| trap.kind != corpus::NOISE && trap.bytes.len() <= LARGEST);
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = status("self", "VmRSS").unwrap();
    let mut told = 0;
    for trap in traps.iter().step_by(step) {
        fs::write(&film, &trap.bytes).unwrap();
        let card = hospital.sign_order_of(&name).await.only_card();
        let said = words(&card);
        let which = format!("{}: {}: {card}", trap.kind, trap.what);
        assert!(said.contains("No AI draft") && said.contains("no film of the study could be read"), "{which}");
        assert!(card.get("links").is_none(), "{which}");
        told += 1;
    }
    let grown = status("self", "VmHWM").unwrap().saturating_sub(before);
    assert_eq!((hospital.app.engine.calls(), hospital.reports().await), (calls, reports), "no call, nothing stored");
    println!("{told} hostile films through the server, which grew by {:.1} MiB", grown as f64 / 1024.0);
    assert!(grown <= 32 << 10, "{grown} KiB");
    assert_eq!(hospital.app.decoder.idle(), 2);

    fs::write(&film, good()).unwrap();
    let card = hospital.sign_order_of(&name).await.only_card();
    assert!(card.get("links").is_some(), "the next good film is read: {card}");
    assert_eq!((hospital.app.engine.calls(), hospital.reports().await), (calls + 1, reports + 1));
    hospital.close().await;
}
