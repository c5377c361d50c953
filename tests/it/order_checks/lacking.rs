//! What could not be had, may not be all, or was sent and not asked for, is told.

use curbside::demo::Fault;
use serde_json::{Value, json};

use super::{allergy, ask, detail, examination, hospital, medicine, request};

#[tokio::test]
async fn an_allergy_list_that_cannot_be_read_is_told() {
    let hospital = hospital(vec![allergy(json!({"text": "amoxicillin"}), json!({}))], true).await;
    for fault in [Fault::Status(500), Fault::Status(403), Fault::Truncate, Fault::ContentType("text/html".into())] {
        hospital.ehr.faults.set("/fhir/AllergyIntolerance", fault);
        let card = ask(&hospital, &request(&hospital, &[medicine("a", "amoxicillin")], None)).await.only_card();
        assert_eq!(card["indicator"], "warning");
        assert!(card["summary"].as_str().unwrap().contains("not all was compared: allergies: "), "{}", card["summary"]);
        assert!(detail(&card).contains("- allergies: "), "{}", detail(&card));
        // Where allergies are no matter, that they cannot be read is none.
        let film = request(&hospital, &[examination("x", "XR Chest")], None);
        assert!(ask(&hospital, &film).await.cards().is_empty());
    }
    hospital.close().await;
}

#[tokio::test]
async fn a_prefetched_empty_list_without_a_token_is_no_proof() {
    let hospital = hospital(vec![], true).await;
    let mut request = request(&hospital, &[medicine("a", "amoxicillin")], None);
    assert!(ask(&hospital, &request).await.cards().is_empty(), "searched to the last page, and there are none");
    request.as_object_mut().unwrap().remove("fhirAuthorization");
    request["prefetch"] = json!({"allergies": {"resourceType": "Bundle", "type": "searchset", "entry": []}});
    let card = ask(&hospital, &request).await.only_card();
    assert!(detail(&card).contains("that none exist was not established"), "{}", detail(&card));
    hospital.close().await;
}

#[tokio::test]
async fn a_list_that_may_not_be_all_is_told_whatever_is_on_it() {
    let hospital = hospital(vec![], true).await;
    let mut request = request(&hospital, &[medicine("a", "azithromycin")], None);
    let mut penicillin = allergy(json!({"text": "Penicillin"}), json!({}));
    penicillin["id"] = json!("p");
    let warning = json!({"resourceType": "OperationOutcome", "issue": [{"severity": "warning", "code": "suppressed"}]});
    let list = |entries: Value| json!({"resourceType": "Bundle", "type": "searchset", "entry": entries});
    let mut marked = list(json!([{"resource": penicillin}]));
    marked["meta"] = json!({"tag": [{"code": "SUBSETTED"}]});
    for (list, words) in [
        (list(json!([{"resource": penicillin}])), None),
        (list(json!([{"resource": penicillin}, {"resource": warning}])), Some("may not be all (suppressed)")),
        (
            list(json!([{"resource": penicillin}, {"fullUrl": "urn:uuid:1"}])),
            Some("1 of the Bundle's entries hold no record"),
        ),
        (marked, Some("marks its answer as a part")),
    ] {
        request["prefetch"] = json!({ "allergies": list });
        let answer = ask(&hospital, &request).await;
        let Some(words) = words else {
            assert!(answer.cards().is_empty(), "{}", answer.text);
            continue;
        };
        let card = answer.only_card();
        assert!(detail(&card).contains("- allergies: ") && detail(&card).contains(words), "{}", detail(&card));
    }
    hospital.close().await;
}

#[tokio::test]
async fn what_was_sent_unasked_is_told() {
    let hospital = hospital(vec![], true).await;
    let mut request = request(&hospital, &[medicine("a", "amoxicillin")], None);
    request["prefetch"] = json!({ "ours": null });
    assert!(ask(&hospital, &request).await.cards().is_empty(), "nothing is under it");
    let penicillin = allergy(json!({"text": "Penicillin"}), json!({}));
    let list = json!({"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": penicillin}]});
    for sent in [list, penicillin, json!(7)] {
        request["prefetch"]["ours"] = sent;
        let card = ask(&hospital, &request).await.only_card();
        assert!(detail(&card).contains("- prefetch: 1 of the keys sent were not asked for"), "{}", detail(&card));
    }
    hospital.close().await;
}

#[tokio::test]
async fn orders_that_are_said_and_not_there_are_told() {
    let hospital = hospital(vec![], true).await;
    let whole = request(&hospital, &[medicine("a", "amoxicillin")], None);
    assert!(ask(&hospital, &whole).await.cards().is_empty());
    let changes: [(&str, &str, Value); 4] = [
        (
            "entry",
            "1 of the Bundle's entries hold no record",
            json!([null, whole["context"]["draftOrders"]["entry"][0]]),
        ),
        ("entry", "1 of the Bundle's entries hold no record", json!([whole["context"]["draftOrders"]["entry"][0], {}])),
        ("total", "more orders than it holds", json!(5)),
        ("link", "more orders than it holds", json!([{"relation": "next", "url": "https://ehr.example/2"}])),
    ];
    for (member, words, value) in changes {
        let mut request = whole.clone();
        request["context"]["draftOrders"][member] = value;
        let card = ask(&hospital, &request).await.only_card();
        assert!(detail(&card).contains(words), "{words}: {}", detail(&card));
    }
    hospital.close().await;
}
