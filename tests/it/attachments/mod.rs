//! Pictures outside the archive: in a Media or a DocumentReference, in the record itself or at an address of the EHR.

mod bytes;
mod choice;

use std::path::PathBuf;

use curbside::engine::{Engine, Step};
use serde_json::{Value, json};

use crate::harness::{Hospital, Plan, patient, record_of, scripted_model};

const ANSWER: &str = r#"{"findings":[{"kind":"effusion","side":"left","region":"lower","severity":"large","change":"unknown","evidence":["E1"]}],"urgency":"urgent"}"#;

fn engine(side: u32) -> Engine {
    let mut model = scripted_model();
    model.image_size = side;
    Engine::scripted(model, vec![Step::Text(ANSWER.into())])
}

async fn hospital(folder: PathBuf) -> Hospital {
    Plan::new(vec![folder], engine(224)).open().await
}

/// A fixture patient with a changed record.
async fn open(name: &str, change: impl FnOnce(&mut Vec<Value>)) -> Hospital {
    let copy = record_of(&patient(name), change);
    let mut plan = Plan::new(vec![copy.path().to_owned()], engine(224));
    plan.kept.push(copy);
    plan.open().await
}

/// The fixture patient whose film is a Media, with that Media changed.
async fn with_media(change: impl FnOnce(&mut Value)) -> Hospital {
    open("media-film", |resources| change(of_type(resources, "Media"))).await
}

fn of_type<'a>(resources: &'a mut [Value], kind: &str) -> &'a mut Value {
    resources.iter_mut().find(|r| r["resourceType"] == kind).expect("the resource")
}

fn request(hospital: &Hospital) -> Value {
    let name = hospital.ehr.names().next().expect("a folder").to_owned();
    hospital.ehr.authorized_request(&name).expect("a request")
}

async fn sign(hospital: &Hospital) -> Value {
    hospital.sign(&request(hospital)).await.only_card()
}

/// Signs an order that names these resources.
async fn sign_naming(hospital: &Hospital, references: &[&str]) -> Value {
    let mut request = request(hospital);
    let info: Vec<Value> = references.iter().map(|reference| json!({ "reference": reference })).collect();
    request["context"]["draftOrders"]["entry"][0]["resource"]["supportingInfo"] = json!(info);
    hospital.sign(&request).await.only_card()
}

fn words(card: &Value) -> String {
    format!("{} {}", card["summary"].as_str().unwrap(), card["detail"].as_str().unwrap())
}

/// The card says these words, the model was not asked and nothing was stored.
async fn abstains(hospital: &Hospital, card: &Value, said: &[&str]) {
    for word in said {
        assert!(words(card).contains(word), "{word:?} is not in {}", words(card));
    }
    assert!(card.get("links").is_none(), "{card}");
    assert_eq!((hospital.app.engine.calls(), hospital.reports().await), (0, 0), "{}", words(card));
}
