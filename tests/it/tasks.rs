//! The services whose model picks from the chart or answers a question, and the language they answer in.

use curbside::{
    engine::{Engine, Part, Step},
    task::Question,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Answer, Hospital, Plan, patient, record_of, recording, scripted_model};

const PICKED: &str =
    r#"{"statements":[{"evidence":"E1","value":"87","unit":"mg/L","date":"2025-11-20","flag":"high"}]}"#;
const YES: &str = r#"{"answer":"yes","evidence":["E1"]}"#;
const PLACE: &str = r#"extension["curbside-question"]"#;

/// A patient of whom nothing but this is recorded, and a model that says `steps`.
async fn with(resource: Value, steps: Vec<Step>) -> (Hospital, TempDir) {
    let copy = record_of(&patient("no-imaging"), |resources| {
        resources.retain(|resource| resource["resourceType"] != "Observation");
        resources.push(resource);
    });
    let data = TempDir::new().unwrap();
    let mut plan = Plan::new(vec![copy.path().to_owned()], Engine::scripted(scripted_model(), steps));
    plan.kept.push(copy);
    plan.data = Some(data.path().to_owned());
    (plan.open().await, data)
}

fn high_value() -> Value {
    let coded = |system: &str, code: &str| json!([{ "coding": [{ "system": system, "code": code }] }]);
    let terminology = "http://terminology.hl7.org/CodeSystem";
    json!({
        "resourceType": "Observation", "id": "crp", "status": "final", "subject": { "reference": "Patient/no-imaging" },
        "category": coded(&format!("{terminology}/observation-category"), "laboratory"),
        "code": { "coding": [{ "system": "http://loinc.org", "code": "1988-5" }], "text": "C reactive protein" },
        "valueQuantity": { "value": 87, "unit": "mg/L" }, "effectiveDateTime": "2025-11-20",
        "interpretation": coded(&format!("{terminology}/v3-ObservationInterpretation"), "H"),
    })
}

fn allergy() -> Value {
    json!({ "resourceType": "AllergyIntolerance", "id": "allergy", "patient": { "reference": "Patient/no-imaging" },
        "clinicalStatus": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": "active" }] },
        "code": { "text": "Penicillin" } })
}

/// The only folder's request of the hook that the service is for, with that extension.
fn request(hospital: &Hospital, hook: &str, extension: Value) -> Value {
    let name = hospital.ehr.names().next().unwrap().to_owned();
    let mut request = match hook {
        "patient-view" => hospital.view_request(&name),
        _ => hospital.ehr.authorized_request(&name).unwrap(),
    };
    request["extension"] = extension;
    request
}

async fn view(hospital: &Hospital, service: &str, extension: Value) -> Answer {
    hospital.call(service, &request(hospital, "patient-view", extension), None).await
}

fn question(code: &str) -> Value {
    json!({ "curbside-question": code })
}

async fn audited(data: &TempDir, service: &str) -> i64 {
    let db = sqlx::SqlitePool::connect(&format!("sqlite:{}/curbside.db", data.path().display())).await.unwrap();
    let count = sqlx::query_scalar("SELECT count(*) FROM audit WHERE action = 'hook' AND target = ? AND outcome = 200");
    count.bind(service).fetch_one(&db).await.unwrap()
}

#[tokio::test]
async fn what_the_model_picks_is_a_card_that_is_kept_and_audited_and_nothing_is_published() {
    let (hospital, data) = with(high_value(), vec![Step::Text(PICKED.into())]).await;
    let asked = request(&hospital, "patient-view", Value::Null);
    let answer = hospital.call("flagged-results", &asked, None).await;
    let card = answer.only_card();
    let detail = card["detail"].as_str().unwrap();
    assert!(detail.contains("C reactive protein: 87 mg/L") && detail.contains("2025-11-20"), "{detail}");
    assert!(detail.contains("AI-generated draft, review before signing") && card.get("links").is_none(), "{card}");
    assert_eq!((hospital.reports().await, hospital.app.engine.calls()), (0, 1));
    let again = hospital.call("flagged-results", &asked, None).await;
    assert_eq!((again.text, hospital.app.engine.calls()), (answer.text, 1), "the same call gets the same answer");
    assert_eq!(audited(&data, "flagged-results").await, 2);
    hospital.close().await;
}

#[tokio::test]
async fn a_value_that_is_not_the_records_is_dropped_and_told() {
    let wrong = PICKED.replace("87", "8.7");
    let (hospital, _data) = with(high_value(), vec![Step::Text(wrong)]).await;
    let card = view(&hospital, "flagged-results", Value::Null).await.only_card();
    let detail = card["detail"].as_str().unwrap();
    assert!(detail.contains("value, unit, date or flag differ from those of the record"), "{detail}");
    assert!(!card.to_string().contains("8.7"), "{card}");
    hospital.close().await;
}

#[tokio::test]
async fn a_question_about_the_chart_is_answered() {
    let (hospital, data) = with(allergy(), vec![Step::Text(YES.into())]).await;
    let asked = request(&hospital, "patient-view", question("allergy-penicillin"));
    let answer = hospital.call("chart-question", &asked, None).await;
    let said = answer.only_card().to_string();
    assert!(said.contains("s an allergy to penicillin recorded? Yes."), "{said}");
    let again = hospital.call("chart-question", &asked, None).await;
    assert_eq!((again.text, hospital.app.engine.calls()), (answer.text, 1));
    // The same but for the question is another call.
    let mut other = asked.clone();
    other["extension"] = question("allergy-latex");
    hospital.call("chart-question", &other, None).await.only_card();
    assert_eq!((hospital.app.engine.calls(), hospital.reports().await), (2, 0));
    assert_eq!(audited(&data, "chart-question").await, 3);
    hospital.close().await;
}

#[tokio::test]
async fn a_question_about_the_film_is_answered() {
    let engine = Engine::scripted(scripted_model(), vec![Step::Text(YES.into())]);
    let hospital = Plan::new(vec![patient("demo")], engine).open().await;
    let asked = request(&hospital, "order-sign", question("effusion-left"));
    let said = hospital.call("film-question", &asked, None).await.only_card().to_string();
    assert!(said.contains("s there an effusion on the left? Yes.") && said.contains("E1: current film"), "{said}");
    assert_eq!(hospital.reports().await, 0);
    hospital.close().await;
}

#[tokio::test]
async fn who_asks_nothing_gets_no_card_and_nothing_is_fetched() {
    for extension in [Value::Null, json!({}), json!({ "curbside-question": null }), json!(1), json!({ "other": "x" })] {
        let (hospital, _data) = with(allergy(), vec![]).await;
        assert_eq!(view(&hospital, "chart-question", extension.clone()).await.text, r#"{"cards":[]}"#, "{extension}");
        let order = request(&hospital, "order-sign", extension);
        assert_eq!(hospital.call("film-question", &order, None).await.text, r#"{"cards":[]}"#);
        assert!(hospital.ehr.requests.all().is_empty());
        hospital.close().await;
    }
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_with_what_can() {
    let (hospital, _data) = with(allergy(), vec![]).await;
    let asked =
        [("patient-view", "chart-question", "allergy-penicillin"), ("order-sign", "film-question", "effusion-left")];
    for (hook, service, known) in asked {
        let other = if hook == "patient-view" { "effusion-left" } else { "allergy-penicillin" };
        let unknown =
            [json!(other), json!("effusion"), json!("Effusion-left"), json!(["effusion-left"]), json!(7), json!({})];
        for code in unknown {
            let body = request(&hospital, hook, json!({ "curbside-question": code }));
            let answer = hospital.call(service, &body, None).await;
            let (issue, diagnostics, place) = answer.outcome();
            assert_eq!((answer.status, issue.as_str(), place.as_str()), (400, "invalid", PLACE), "{code}");
            assert!(diagnostics.contains(known), "{diagnostics}");
        }
        let twice = request(&hospital, hook, question("x")).to_string();
        let twice = twice.replace(
            r#""curbside-question":"x""#,
            &format!(r#""curbside-question":"{known}","curbside-question":"{known}""#),
        );
        assert_eq!(hospital.post(&format!("/cds-services/{service}"), twice).await.status, 400, "{service}");
    }
    assert!(hospital.ehr.requests.all().is_empty() && hospital.app.engine.calls() == 0);
    hospital.close().await;
}

#[tokio::test]
async fn every_question_goes_out_in_its_own_words_in_the_language_asked_for() {
    let (engine, mut asked) = recording(r#"{"answer":"cannot_determine","evidence":[]}"#);
    let hospital = Plan::new(vec![patient("demo")], engine).open().await;
    for wanted in Question::ALL {
        let film = Question::all_about(true).contains(&wanted);
        let (hook, service) = if film { ("order-sign", "film-question") } else { ("patient-view", "chart-question") };
        for (accept, language) in
            [("en-GB", curbside::task::Language::English), ("ko-KR, en;q=0.8", curbside::task::Language::Korean)]
        {
            let body = request(&hospital, hook, question(&wanted.code()));
            let answer = hospital.call(service, &body, Some(accept)).await;
            assert_eq!(answer.headers["content-language"], language.word());
            answer.only_card();
            let prompt = asked.recv().await.unwrap();
            let texts = prompt
                .parts
                .iter()
                .filter_map(|part| if let Part::Text(text) = part { Some(text.as_str()) } else { None });
            let text: String = texts.collect();
            assert!(text.lines().next().unwrap().ends_with(&wanted.text(language)), "{text}");
            let pictures = prompt.parts.iter().filter(|part| matches!(part, Part::Image(_))).count();
            assert_eq!(pictures, usize::from(film), "{text}");
        }
    }
    hospital.close().await;
}

#[tokio::test]
async fn the_language_is_part_of_what_was_asked() {
    let (hospital, _data) = with(high_value(), vec![Step::Text(PICKED.into())]).await;
    let asked = request(&hospital, "patient-view", Value::Null);
    let mut uuids = Vec::new();
    for (accept, language, calls) in [
        (None, "en", 1),
        (Some("ko"), "ko", 2),
        (Some("de, *;q=0"), "en", 2),
        (Some("ko;q=0.1"), "ko", 2),
        (Some(";;q=ko"), "en", 2),
    ] {
        let answer = hospital.call("flagged-results", &asked, accept).await;
        assert_eq!(
            (answer.headers["content-language"].to_str().unwrap(), hospital.app.engine.calls()),
            (language, calls)
        );
        let card = answer.only_card();
        let korean = |text: &str| text.chars().any(|c| ('가'..='힣').contains(&c));
        for member in [&card["summary"], &card["detail"], &card["source"]["label"]] {
            assert_eq!(korean(member.as_str().unwrap()), language == "ko", "{member}");
        }
        uuids.push((language, card["uuid"].clone()));
    }
    uuids.sort_by_key(|(language, _)| *language);
    uuids.dedup();
    assert_eq!(uuids.len(), 2, "{uuids:?}");
    let summary = hospital.call("chart-summary", &asked, Some("ko")).await;
    assert_eq!(summary.headers["content-language"], "ko");
    assert!(summary.only_card()["summary"].as_str().unwrap().contains("기록"), "{}", summary.text);
    hospital.close().await;
}

#[tokio::test]
async fn a_language_the_model_was_not_taught_is_not_asked_in() {
    let mut model = scripted_model();
    model.scope.as_mut().unwrap().languages = vec!["en".into()];
    let engine = Engine::scripted(model, vec![Step::Text(r#"{"findings":[],"urgency":"routine"}"#.into())]);
    let hospital = Plan::new(vec![patient("demo")], engine).open().await;
    let asked = request(&hospital, "order-sign", Value::Null);
    let card = hospital.call("imaging-draft-report", &asked, Some("ko")).await.only_card();
    assert!(card["detail"].as_str().unwrap().contains("does not read this language (ko)"), "{card}");
    assert_eq!((hospital.app.engine.calls(), hospital.reports().await), (0, 0));
    hospital.call("imaging-draft-report", &asked, Some("en")).await.only_card();
    assert_eq!((hospital.app.engine.calls(), hospital.reports().await), (1, 1));
    hospital.close().await;
}
