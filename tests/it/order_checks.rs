//! Order checks over HTTP, on both hooks: what a rule finds, what could not be evaluated, and that neither is ever silence.

mod lacking;

use curbside::engine::Engine;
use serde_json::{Value, json};

use crate::harness::{Answer, Hospital, Plan, patient, record_of};

const ALLERGY: &str = "penicillin";

fn allergy(code: Value, more: Value) -> Value {
    let mut allergy = json!({"resourceType": "AllergyIntolerance", "id": ALLERGY, "patient": {"reference": "Patient/no-imaging"}, "code": code});
    allergy.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    allergy
}

fn medicine(id: &str, text: &str) -> Value {
    json!({"resourceType": "MedicationRequest", "id": id, "status": "draft", "intent": "order",
        "subject": {"reference": "Patient/no-imaging"}, "medicationCodeableConcept": {"text": text}})
}

fn examination(id: &str, text: &str) -> Value {
    json!({"resourceType": "ServiceRequest", "id": id, "status": "draft", "intent": "order", "authoredOn": "2025-11-20T10:00:00Z",
        "subject": {"reference": "Patient/no-imaging"}, "code": {"text": text}})
}

/// A hospital without a model, where the one patient has these records beside their own.
async fn hospital(records: Vec<Value>, suggestions: bool) -> Hospital {
    let folder = record_of(&patient("no-imaging"), |resources| {
        resources.retain(|resource| resource["resourceType"] != "AllergyIntolerance");
        resources.extend(records);
    });
    let mut plan = Plan::new(vec![folder.path().to_owned()], Engine::absent());
    plan.intended_use = None;
    plan.site = Some(Box::new(move |ehr| curbside::caller::AllowedBase { suggestions, ..ehr.allowed_base() }));
    plan.kept.push(folder);
    plan.open().await
}

fn request(hospital: &Hospital, orders: &[Value], selections: Option<Value>) -> Value {
    let name = hospital.ehr.names().next().unwrap().to_owned();
    let mut request = hospital.ehr.authorized_request(&name).unwrap();
    let entry: Vec<Value> = orders.iter().map(|order| json!({ "resource": order })).collect();
    request["context"]["draftOrders"] = json!({"resourceType": "Bundle", "type": "collection", "entry": entry});
    if let Some(selections) = selections {
        request["hook"] = json!("order-select");
        request["context"]["selections"] = selections;
    }
    request
}

async fn ask(hospital: &Hospital, request: &Value) -> Answer {
    hospital.post("/cds-services/order-checks", request.to_string()).await
}

fn detail(card: &Value) -> &str {
    card["detail"].as_str().unwrap()
}

#[tokio::test]
async fn one_id_is_offered_on_both_hooks_without_an_intended_use() {
    let hospital = hospital(vec![], false).await;
    let services = hospital.get("/cds-services").await.json();
    let of = |service: &&Value| service["id"] == "order-checks";
    let hooks: Vec<&Value> = services["services"].as_array().unwrap().iter().filter(of).map(|s| &s["hook"]).collect();
    assert_eq!(hooks, ["order-select", "order-sign"]);
    let mut other = request(&hospital, &[], None);
    other["hook"] = json!("patient-view");
    assert_eq!(ask(&hospital, &other).await.outcome().2, "hook");
    let mut bare = request(&hospital, &[], Some(json!([])));
    bare["context"].as_object_mut().unwrap().remove("selections");
    assert_eq!(ask(&hospital, &bare).await.outcome().2, "context.selections");
    bare["context"]["selections"] = json!("MedicationRequest/a");
    assert_eq!(ask(&hospital, &bare).await.status, 400);
    hospital.close().await;
}

#[tokio::test]
async fn an_allergy_to_what_is_ordered_is_a_warning_with_its_rule_and_its_record() {
    let coded = json!({"coding": [{"system": "http://snomed.info/sct", "code": "764146007", "display": "Penicillin"}]});
    let reaction = json!({"reaction": [{"manifestation": [{"text": "Urticaria"}]}], "criticality": "low"});
    let hospital = hospital(vec![allergy(coded, reaction)], false).await;
    let orders = [medicine("a", "Amoxicillin 500 mg capsule"), medicine("b", "Azithromycin 250 mg")];
    for selections in [None, Some(json!(["MedicationRequest/a"]))] {
        let request = request(&hospital, &orders, selections);
        let answer = ask(&hospital, &request).await;
        let card = answer.only_card();
        assert_eq!(card["indicator"], "warning");
        assert_eq!(card["source"]["label"], "Rule from published sources (curbside), no AI");
        assert_eq!(card["source"]["topic"]["code"], "ordercheckallergypenicillins");
        assert!(card["summary"].as_str().unwrap().starts_with("Allergy: Amoxicillin 500 mg capsule is ordered"));
        for words in [
            "no model was asked",
            "an allergy to Penicillin is recorded (E1;",
            "the same class",
            "Criticality: low. Reaction: Urticaria.",
            "(rule penicillins 1.2.0)",
            "Demonstration rule, not reviewed by a clinician",
            "AllergyIntolerance/penicillin",
            "`https://doi.org/10.3390/pharmacy7030103`",
        ] {
            assert!(detail(&card).contains(words), "{words}: {}", detail(&card));
        }
        let reasons = card["overrideReasons"].as_array().unwrap();
        assert!(!reasons.is_empty() && reasons.iter().all(|reason| reason["display"].is_string()));
        assert!(card.get("suggestions").is_none() && card.get("selectionBehavior").is_none());
        assert_eq!(ask(&hospital, &request).await.text, answer.text, "the same call gets the same answer");
    }
    let other = request(&hospital, &orders, Some(json!(["MedicationRequest/b"])));
    assert!(ask(&hospital, &other).await.cards().is_empty(), "what was not selected is not advised on");
    hospital.close().await;
}

#[tokio::test]
async fn a_recorded_danger_is_critical() {
    let hospital = hospital(vec![allergy(json!({"text": "amoxicillin"}), json!({"criticality": "high"}))], false).await;
    let request = request(&hospital, &[medicine("a", "amoxicillin")], None);
    assert_eq!(ask(&hospital, &request).await.only_card()["indicator"], "critical");
    hospital.close().await;
}

#[tokio::test]
async fn nothing_found_and_everything_evaluated_is_no_card() {
    let hospital = hospital(vec![allergy(json!({"text": "Penicillin"}), json!({}))], true).await;
    let laboratory = json!({"resourceType": "ServiceRequest", "id": "l", "status": "draft", "intent": "order",
        "subject": {"reference": "Patient/no-imaging"}, "code": {"text": "CBC"}, "category": {"text": "Laboratory procedure"}});
    for orders in [vec![], vec![medicine("a", "azithromycin")], vec![laboratory], vec![examination("x", "XR Chest")]] {
        let answer = ask(&hospital, &request(&hospital, &orders, None)).await;
        assert_eq!(answer.text, r#"{"cards":[]}"#, "{orders:?}");
    }
    hospital.close().await;
}

#[tokio::test]
async fn what_was_not_evaluated_is_told() {
    let hospital = hospital(vec![allergy(json!({"text": "Red pills"}), json!({}))], true).await;
    let nutrition =
        json!({"resourceType": "NutritionOrder", "id": "n", "subject": {"reference": "Patient/no-imaging"}});
    let nameless =
        json!({"resourceType": "MedicationRequest", "id": "m", "subject": {"reference": "Patient/no-imaging"}});
    for (orders, words) in [
        (vec![medicine("a", "amoxicillin")], "allergy to Red pills"),
        (vec![medicine("a", "House mixture")], "draft order 1: House mixture: no rule knows it"),
        (vec![nutrition], "no check looks at an order of this type"),
        (vec![nameless], "it does not say what is ordered"),
        (vec![examination("x", "XR Knee")], "no rule knows this examination"),
        (vec![examination("x", "Evaluation")], "no rule knows what it orders, and its category is not stated"),
        (vec![medicine("a", "Metformin XR")], "draft order 1: Metformin XR: no rule knows it"),
    ] {
        let card = ask(&hospital, &request(&hospital, &orders, None)).await.only_card();
        assert_eq!(card["indicator"], "info");
        assert_eq!(card["source"]["topic"]["code"], "ordercheck");
        assert!(detail(&card).contains(words), "{words}: {}", detail(&card));
        assert!(card.get("suggestions").is_none());
    }
    let selected = request(&hospital, &[medicine("a", "azithromycin")], Some(json!(["MedicationRequest/z"])));
    assert!(detail(&ask(&hospital, &selected).await.only_card()).contains("selections: 1 of them"));
    hospital.close().await;
}

#[tokio::test]
async fn an_order_is_offered_for_removal_only_where_the_client_can_do_it() {
    for suggestions in [false, true] {
        let hospital = hospital(vec![allergy(json!({"text": "amoxicillin"}), json!({}))], suggestions).await;
        let card = ask(&hospital, &request(&hospital, &[medicine("a-1", "amoxicillin")], None)).await.only_card();
        assert_eq!(card.get("suggestions").is_some(), suggestions);
        if suggestions {
            assert_eq!(card["selectionBehavior"], "any");
            let action = &card["suggestions"][0]["actions"][0];
            assert_eq!((&action["type"], &action["resourceId"]), (&json!("delete"), &json!("MedicationRequest/a-1")));
            assert!(action["description"].is_string() && action.get("resource").is_none());
            let nameless = request(&hospital, &[medicine("../x", "amoxicillin")], None);
            assert!(ask(&hospital, &nameless).await.only_card().get("suggestions").is_none());
        }
        hospital.close().await;
    }
}

#[tokio::test]
async fn an_examination_done_or_ordered_a_short_time_ago_is_told() {
    let subject = json!({"reference": "Patient/no-imaging"});
    let study = json!({"resourceType": "ImagingStudy", "id": "s", "status": "available", "subject": subject, "started": "2025-11-19T09:00:00Z",
        "modality": [{"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "DX"}], "description": "Chest PA"});
    let open = json!({"resourceType": "ServiceRequest", "id": "o", "status": "active", "intent": "order", "subject": subject,
        "authoredOn": "2025-11-20T08:00:00Z", "code": {"text": "CXR"}});
    let hospital = hospital(vec![study, open], false).await;
    let request = request(&hospital, &[examination("x", "XR Chest 2 Views"), examination("y", "흉부 X선")], None);
    let cards = ask(&hospital, &request).await.cards();
    assert_eq!(cards.len(), 2);
    for (card, words) in [
        (
            &cards[0],
            [
                "one of the same kind is recorded on 2025-11-19",
                "(E1)",
                "an order of the same kind, written on 2025-11-20, is open",
            ],
        ),
        (&cards[1], ["draft order 1 is of the same kind", "ImagingStudy/s", "ServiceRequest/o"]),
    ] {
        assert_eq!(card["indicator"], "info");
        assert_eq!(card["source"]["topic"]["code"], "ordercheckduplicateimagingduplicateimaging");
        let text = format!("{} {}", card["summary"].as_str().unwrap(), detail(card));
        words.iter().for_each(|words| assert!(text.contains(words), "{words}: {text}"));
    }
    hospital.close().await;
}

#[tokio::test]
async fn a_korean_card_says_what_the_english_one_says() {
    let subject = json!({"reference": "Patient/no-imaging"});
    let study = json!({"resourceType": "ImagingStudy", "id": "s", "status": "available", "subject": subject, "started": "2025-11-19T09:00:00Z",
        "modality": [{"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "DX"}], "description": "흉부 후전면"});
    let reaction = json!({"reaction": [{"manifestation": [{"text": "두드러기"}]}], "criticality": "high"});
    let hospital = hospital(vec![allergy(json!({"text": "페니실린"}), reaction), study], true).await;
    let (allergic, repeated, unknown) = (
        [medicine("a", "아목시실린 500밀리그램")],
        [examination("x", "흉부 X선"), examination("y", "흉부 X선")],
        [medicine("m", "원내 조제약")],
    );
    for (orders, summary, words) in [
        (
            &allergic[..],
            "알레르기: 처방 아목시실린 500밀리그램; 기록된 알레르기 페니실린, 위험도 높음 또는 아나필락시스로 기록됨",
            &[
                "AI가 아닌 규칙으로 찾음",
                "같은 계열",
                "위험도: 높음. 반응: 두드러기.",
                "명칭으로 인식",
                "**근거**",
                "**규칙**",
            ][..],
        ),
        (
            &repeated,
            "중복 가능성: 흉부 X선; 같은 종류의 검사가 기록되어 있음 2025-11-19",
            &["기록되어 있음 (2025-11-19, E1)"],
        ),
        (&unknown, "처방 점검: 점검하지 못한 항목 1건", &["AI가 아닌 규칙으로 점검함", "**점검하지 못한 항목: 1**"]),
    ] {
        let request = request(&hospital, orders, None);
        let english = hospital.call("order-checks", &request, Some("en")).await.cards();
        let korean = hospital.call("order-checks", &request, Some("ko-KR, en;q=0.5")).await.cards();
        assert_eq!(korean.len(), english.len());
        assert_eq!(korean[0]["summary"], summary);
        assert_eq!(korean[0]["source"]["label"], "공개된 문헌에 근거한 규칙 (curbside), AI 아님");
        for (english, korean) in english.iter().zip(&korean) {
            // What a rule says of itself and why something was not evaluated is English, and the card says so.
            assert!(detail(korean).contains("영어로 표기함"), "{}", detail(korean));
            assert!(!detail(english).contains("영어"));
            assert_ne!(english["uuid"], korean["uuid"]);
            for same in ["indicator", "selectionBehavior", "overrideReasons"] {
                assert_eq!(english.get(same), korean.get(same));
            }
            let removed = |card: &Value| card["suggestions"][0]["actions"][0]["resourceId"].clone();
            assert_eq!(removed(english), removed(korean));
            assert_eq!(figures(detail(english)), figures(detail(korean)));
        }
        words.iter().for_each(|words| assert!(detail(&korean[0]).contains(words), "{words}: {}", detail(&korean[0])));
    }
    hospital.close().await;
}

/// Ids, versions, days and numbers of a text.
fn figures(text: &str) -> Vec<&str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || "./-".contains(c)));
    let words = words.map(|word| word.trim_matches(['.', '-', '/']));
    let mut figures: Vec<&str> = words.filter(|word| word.chars().any(|c| c.is_ascii_digit())).collect();
    figures.sort_unstable();
    figures
}

#[tokio::test]
async fn text_of_orders_and_allergies_is_data() {
    let hostile = "[amoxicillin](https://evil.example) <img src=x> **now** `x`";
    let hospital = hospital(
        vec![allergy(json!({ "text": hostile }), json!({"reaction": [{"manifestation": [{"text": hostile}]}]}))],
        true,
    )
    .await;
    let card =
        ask(&hospital, &request(&hospital, &[medicine("a", hostile), medicine("b", &format!("x{hostile}"))], None))
            .await;
    for card in card.cards() {
        for never in ["[amoxicillin](", "<img", "**now**"] {
            assert!(!detail(&card).contains(never), "{never}: {}", detail(&card));
        }
        // Summary and label are plain text, where only a bare address could become a link.
        let shown = format!("{} {} {}", card["summary"], detail(&card), card["suggestions"]);
        for never in ["://evil", "evil.example"] {
            assert!(!shown.contains(never), "{never}: {shown}");
        }
        assert!(card.get("links").is_none());
    }
    hospital.close().await;
}

#[tokio::test]
async fn what_was_not_evaluated_stands_in_full_on_the_first_card_and_is_counted_on_others() {
    let hospital = hospital(vec![allergy(json!({"text": "penicillin"}), json!({}))], true).await;
    let orders = [medicine("a", "amoxicillin"), medicine("b", "ampicillin"), medicine("c", "House mixture")];
    let cards = ask(&hospital, &request(&hospital, &orders, None)).await.cards();
    assert_eq!(cards.len(), 2);
    assert!(detail(&cards[0]).contains("**Not evaluated: 1**"), "{}", detail(&cards[0]));
    assert!(detail(&cards[0]).contains("draft order 3: House mixture"), "{}", detail(&cards[0]));
    assert!(detail(&cards[1]).contains("Not evaluated: 1, listed on the first card."), "{}", detail(&cards[1]));
    assert!(!detail(&cards[1]).contains("House mixture"), "{}", detail(&cards[1]));
    hospital.close().await;
}

#[tokio::test]
async fn an_override_of_one_rule_leaves_every_other() {
    let hospital = hospital(vec![allergy(json!({"text": "amoxicillin"}), json!({"criticality": "high"}))], true).await;
    let orders = [medicine("a", "cefalexin"), medicine("b", "ampicillin"), medicine("c", "amoxicillin")];
    let cards = ask(&hospital, &request(&hospital, &orders, None)).await.cards();
    let mut topics: Vec<&str> = cards.iter().map(|c| c["source"]["topic"]["code"].as_str().unwrap()).collect();
    assert!(topics.iter().all(|topic| topic.bytes().all(|b| b.is_ascii_alphanumeric())), "{topics:?}");
    topics.sort_unstable();
    topics.dedup();
    assert_eq!(topics.len(), 3, "{topics:?}");
    hospital.close().await;
}

#[tokio::test]
async fn five_hundred_orders_are_answered_within_bounds_and_what_was_not_checked_is_told() {
    let hospital = hospital(vec![allergy(json!({"text": "penicillin"}), json!({}))], true).await;
    let orders: Vec<Value> = (0..500).map(|n| medicine(&format!("m{n}"), "amoxicillin")).collect();
    let cards = ask(&hospital, &request(&hospital, &orders, None)).await.cards();
    assert_eq!(cards.len(), 8);
    assert!(detail(&cards[0]).contains("300 of them were not, from draft order 201 on"), "{}", detail(&cards[0]));
    assert!(detail(&cards[7]).contains("and 153 more"), "{}", detail(&cards[7]));
    hospital.close().await;
}
