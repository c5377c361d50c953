//! Which picture is read for an order, and what becomes of it.

use curbside::demo::Fault;
use serde_json::{Value, json};

use super::{abstains, hospital, of_type, open, request, sign, sign_naming, with_media, words};
use crate::harness::{patient, read_json};

#[tokio::test]
async fn a_media_is_read_and_reported_as_what_it_is() {
    let hospital = hospital(patient("media-film")).await;
    let card = hospital.sign_order_of("media-film").await.only_card();
    for said in [
        "AI draft to review",
        "Picture read: Chest PA",
        "2025-11-19, the newest unreported one that fits the order",
        "current film: DX chest, PA, 2025-11-19 (Media/media-film-current)",
        "prior study: none was looked for",
    ] {
        assert!(words(&card).contains(said), "{said:?} is not in {}", words(&card));
    }
    let page = hospital.page(&card).await;
    let media = format!("{}/Media/media-film-current", hospital.ehr.fhir_base);
    assert_eq!(page["pictures"][0]["record"], media.as_str());
    assert_eq!(hospital.get(card["links"][0]["url"].as_str().unwrap()).await.status, 200);

    let id = page["report_id"].as_str().unwrap();
    let report = hospital.get(&format!("/fhir/DiagnosticReport/{id}")).await.json();
    assert_eq!(report["media"][0]["link"]["reference"], media.as_str());
    assert_eq!(report.get("imagingStudy"), None);
    assert_eq!(report["code"]["coding"][0]["code"], "30745-4", "a chest X-ray, as the Media says");
    let provenance = hospital.get(&format!("/fhir/Provenance?target=DiagnosticReport/{id}")).await.json();
    let provenance = &provenance["entry"][0]["resource"];
    assert_eq!(provenance["entity"][0]["what"]["reference"], media.as_str());
    let mut resources = vec![report.clone(), provenance.clone()];
    for result in report["result"].as_array().unwrap() {
        let observation = hospital.get(&format!("/fhir/{}", result["reference"].as_str().unwrap())).await.json();
        assert_eq!(observation["derivedFrom"][0]["reference"], media.as_str());
        resources.push(observation);
    }
    for resource in &resources {
        curbside::fhir::check(resource).unwrap_or_else(|e| panic!("{e} at {:?}: {resource}", e.expression));
    }
    hospital.close().await;
}

#[tokio::test]
async fn a_document_abstains_because_nobody_says_what_it_shows() {
    let hospital = hospital(patient("document-picture")).await;
    let card = hospital.sign_order_of("document-picture").await.only_card();
    let reason = "the loaded model cannot read such a film (modality: not stated)";
    let named = "Picture looked for: Picture brought along by the patient, 2025-11-19, named by the order";
    abstains(&hospital, &card, &[reason, named]).await;
    assert_eq!(hospital.ehr.requests.under("/fhir/Binary").len(), 1, "its bytes were read");
    let mut request = request(&hospital);
    request["context"]["draftOrders"]["entry"][0]["resource"].as_object_mut().unwrap().remove("supportingInfo");
    let card = hospital.sign(&request).await.only_card();
    abstains(&hospital, &card, &[reason, "the only one received"]).await;
    hospital.close().await;
}

#[tokio::test]
async fn several_documents_with_pictures_are_told_and_none_is_guessed() {
    let hospital = open("document-picture", |resources| {
        let mut second = of_type(resources, "DocumentReference").clone();
        second["id"] = json!("second");
        resources.push(second);
    })
    .await;
    let card = sign_naming(&hospital, &[]).await;
    abstains(&hospital, &card, &["there is no unreported DX study", "documents: 2 hold pictures"]).await;
    hospital.close().await;
}

#[tokio::test]
async fn a_picture_of_another_patient_is_dropped_and_named() {
    let hospital = with_media(|media| media["subject"]["reference"] = json!("Patient/somebody-else")).await;
    // Without a token the EHR shows everything, so that only our own check stands between.
    let mut request = hospital.ehr.request(hospital.ehr.names().next().unwrap()).unwrap();
    let order = &mut request["context"]["draftOrders"]["entry"][0]["resource"];
    order["supportingInfo"] = json!([{ "reference": "Media/media-film-current" }]);
    let card = hospital.sign(&request).await.only_card();
    abstains(&hospital, &card, &["the picture the order names could not be had: it is not this patient's"]).await;

    order_without_name(&mut request);
    let record = read_json(&patient("media-film").join("fhir.json"));
    let entries = record["entry"].as_array().unwrap();
    let mut media = entries.iter().find(|e| e["resource"]["resourceType"] == "Media").unwrap()["resource"].clone();
    media["subject"]["reference"] = json!("Patient/somebody-else");
    request["prefetch"] =
        json!({ "media": { "resourceType": "Bundle", "type": "searchset", "entry": [{ "resource": media }] } });
    request["hookInstance"] = json!("6f9f6c6e-0d5a-4d6b-8a54-0d9f0b3c1a11");
    let card = hospital.sign(&request).await.only_card();
    abstains(&hospital, &card, &["media: 1 resource(s) of another patient were received and not used"]).await;
    hospital.close().await;
}

fn order_without_name(request: &mut Value) {
    let order = &mut request["context"]["draftOrders"]["entry"][0]["resource"];
    order.as_object_mut().unwrap().remove("supportingInfo");
}

#[tokio::test]
async fn a_media_that_does_not_fit_is_not_read() {
    type Change = fn(&mut Vec<Value>);
    let changes: [(&str, &str, Change); 14] = [
        ("signed report", "", |resources| {
            resources.push(json!({
                "resourceType": "DiagnosticReport", "id": "signed", "status": "final", "code": {"text": "Chest"},
                "subject": {"reference": "Patient/media-film"}, "media": [{"link": {"reference": "Media/media-film-current"}}],
            }));
        }),
        ("after the order", "", |r| of_type(r, "Media")["createdDateTime"] = json!("2025-11-21T08:00:00Z")),
        ("before the window", "", |r| of_type(r, "Media")["createdDateTime"] = json!("2025-10-01T08:00:00Z")),
        ("another modality", "", |r| of_type(r, "Media")["modality"]["coding"][0]["code"] = json!("CT")),
        ("another body part", "1 do not state one part of the body that is known here", |r| {
            of_type(r, "Media")["bodySite"] = json!({"text": "knee"});
        }),
        ("no body part", "1 do not state one part of the body that is known here", |r| {
            of_type(r, "Media")["bodySite"] = json!(null);
        }),
        ("not completed", "it is not completed", |r| of_type(r, "Media")["status"] = json!("in-progress")),
        ("withdrawn", "it was entered in error", |r| of_type(r, "Media")["status"] = json!("entered-in-error")),
        ("changed in meaning", "modifier extension", |r| {
            of_type(r, "Media")["modifierExtension"] = json!([{"url": "urn:x", "valueBoolean": true}]);
        }),
        ("a video", "it is a recording and not one picture", |r| {
            let system = "http://terminology.hl7.org/CodeSystem/media-type";
            of_type(r, "Media")["type"] = json!({"coding": [{"system": system, "code": "video"}]});
        }),
        ("several pictures", "it is a recording and not one picture", |r| of_type(r, "Media")["frames"] = json!(2)),
        ("a length in time", "it is a recording and not one picture", |r| of_type(r, "Media")["duration"] = json!(4.5)),
        ("two parts of the body", "1 do not state one part of the body that is known here", |r| {
            of_type(r, "Media")["bodySite"] = json!({"coding": [{"code": "51185008"}, {"code": "69536005"}]});
        }),
        ("an impossible date", "the date given is not a valid date, so it was not used", |r| {
            of_type(r, "Media")["createdDateTime"] = json!("2025-11-31");
        }),
    ];
    for (why, said, change) in changes {
        let hospital = open("media-film", change).await;
        let card = sign(&hospital).await;
        println!("{why}");
        abstains(&hospital, &card, &["there is no unreported DX study of the chest", said]).await;
        hospital.close().await;
    }
}

#[tokio::test]
async fn a_media_outside_the_scope_of_the_model_is_not_read() {
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 5] = [
        ("made by: not stated", |m| m["deviceName"] = json!(null)),
        ("made by: Acme", |m| m["deviceName"] = json!("Acme")),
        ("view: not stated", |m| m["view"] = json!(null)),
        ("view: not stated", |m| m["view"] = json!({"coding": [{"code": "399067008"}]})),
        ("does not state its date", |m| m["createdDateTime"] = json!(null)),
    ];
    for (said, change) in changes {
        let hospital = with_media(change).await;
        let card = sign_naming(&hospital, &["Media/media-film-current"]).await;
        abstains(&hospital, &card, &[said, "named by the order"]).await;
        hospital.close().await;
    }
}

#[tokio::test]
async fn a_study_that_fits_comes_first_and_no_picture_is_asked_for() {
    let hospital = open("demo", |resources| {
        let record = read_json(&patient("media-film").join("fhir.json"));
        let entries = record["entry"].as_array().unwrap();
        let mut media = entries.iter().find(|e| e["resource"]["resourceType"] == "Media").unwrap()["resource"].clone();
        media["subject"]["reference"] = json!("Patient/demo");
        media["createdDateTime"] = json!("2025-11-20T08:00:00Z");
        let letter = json!({
            "resourceType": "DocumentReference", "id": "letter", "status": "current", "subject": {"reference": "Patient/demo"},
            "content": [{"attachment": {"contentType": "application/pdf", "url": "Binary/letter"}}],
        });
        resources.extend([media, letter]);
    })
    .await;
    for references in
        [vec![], vec!["DocumentReference/letter"], vec!["Media/media-film-current", "ImagingStudy/demo-current"]]
    {
        let card = sign_naming(&hospital, &references).await;
        assert!(words(&card).contains("Study read: "), "{references:?}: {card}");
    }
    assert!(hospital.ehr.requests.under("/fhir/Media").is_empty());
    assert!(hospital.ehr.requests.under("/fhir/DocumentReference?").is_empty());
    hospital.close().await;
}

#[tokio::test]
async fn a_search_for_pictures_that_fails_is_a_gap_and_no_more() {
    for fault in [
        Fault::Status(404),
        Fault::Status(500),
        Fault::Hang,
        Fault::Truncate,
        Fault::Body(
            "{\"resourceType\":\"OperationOutcome\",\"issue\":[{\"severity\":\"error\",\"code\":\"not-supported\"}]}"
                .into(),
        ),
    ] {
        let hospital = hospital(patient("no-imaging")).await;
        hospital.ehr.faults.set("/fhir/Media", fault.clone());
        hospital.ehr.faults.set("/fhir/DocumentReference", fault.clone());
        let card = hospital.sign_order_of("no-imaging").await.only_card();
        let said = ["there is no unreported DX study of the chest", "media: ", "documents: "];
        abstains(&hospital, &card, &said).await;
        hospital.close().await;
    }
}

#[tokio::test]
async fn what_the_ehr_sent_is_not_asked_for_again() {
    let hospital = hospital(patient("media-film")).await;
    let record = read_json(&patient("media-film").join("fhir.json"));
    let entries = record["entry"].as_array().unwrap();
    let media = entries.iter().find(|e| e["resource"]["resourceType"] == "Media").unwrap();
    let mut request = request(&hospital);
    request["prefetch"] = json!({
        "media": { "resourceType": "Bundle", "type": "searchset", "entry": [media] },
        "documents": { "resourceType": "Bundle", "type": "searchset" },
    });
    let card = hospital.sign(&request).await.only_card();
    let page = hospital.page(&card).await;
    assert_eq!(page["evidence"][0]["origin"], "sent with the request");
    assert_eq!(page["pictures"][0]["retrieved"], "the record itself");
    let asked = hospital.ehr.requests.all();
    assert!(asked.iter().all(|r| !r.path.contains("Media") && !r.path.contains("DocumentReference")), "{asked:?}");
    hospital.close().await;
}

/// The first resource of that type of a fixture patient.
fn held(name: &str, kind: &str) -> Value {
    let record = read_json(&patient(name).join("fhir.json"));
    record["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["resource"])
        .find(|r| r["resourceType"] == kind)
        .unwrap()
        .clone()
}

#[tokio::test]
async fn a_named_picture_that_was_sent_is_used_and_not_asked_for() {
    let (media, bundle) = (
        held("media-film", "Media"),
        |resource: &Value| json!({ "resourceType": "Bundle", "type": "searchset", "entry": [{ "resource": resource }] }),
    );
    let (mut foreign, mut other) = (media.clone(), media.clone());
    foreign["subject"]["reference"] = json!("Patient/somebody-else");
    other["deviceName"] = json!("Acme");
    for (server, sent, said) in [
        (true, json!({ "media": bundle(&media) }), "AI draft to review"),
        (true, json!({ "the hospital's own": media }), "AI draft to review"),
        (false, json!({ "media": bundle(&media) }), "AI draft to review"),
        (true, json!({ "media": bundle(&media), "own": other }), "it came twice with different contents"),
        (true, json!({ "media": bundle(&foreign) }), "could not be had: it is not this patient's"),
    ] {
        let hospital = hospital(patient("media-film")).await;
        hospital.ehr.faults.set("/fhir/Media", Fault::Status(403));
        let mut request = request(&hospital);
        order_naming(&mut request, json!({ "reference": "Media/media-film-current" }));
        if !server {
            // Without a server everything that is required has to be sent.
            request["prefetch"]["patient"] = held("media-film", "Patient");
            for member in ["fhirServer", "fhirAuthorization"] {
                request.as_object_mut().unwrap().remove(member);
            }
        }
        for (key, value) in sent.as_object().unwrap() {
            request["prefetch"][key] = value.clone();
        }
        let card = hospital.sign(&request).await.only_card();
        assert!(words(&card).contains(said), "{said:?} is not in {}", words(&card));
        if said.contains("not this patient's") {
            abstains(&hospital, &card, &[]).await;
        } else {
            let page = hospital.page(&card).await;
            assert_eq!(page["evidence"][0]["origin"], "sent with the request");
        }
        assert!(hospital.ehr.requests.under("/fhir/Media").is_empty(), "{sent}");
        hospital.close().await;
    }
}

#[tokio::test]
async fn a_named_document_that_was_sent_is_used_and_not_asked_for() {
    let hospital = hospital(patient("document-picture")).await;
    hospital.ehr.faults.set("/fhir/DocumentReference", Fault::Status(403));
    let mut request = request(&hospital);
    request["prefetch"]["the hospital's own"] = held("document-picture", "DocumentReference");
    let card = hospital.sign(&request).await.only_card();
    abstains(&hospital, &card, &["(modality: not stated)", "named by the order"]).await;
    assert!(hospital.ehr.requests.under("/fhir/DocumentReference").is_empty());
    hospital.close().await;
}

#[tokio::test]
async fn what_an_order_names_and_cannot_be_followed_is_not_replaced_by_another() {
    let hospital = hospital(patient("demo")).await;
    for info in [
        json!({ "reference": "Media/a b" }),
        json!({ "reference": format!("Media/{}", "a".repeat(129)) }),
        json!({ "reference": "ImagingStudy/" }),
        json!({ "reference": "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0", "type": "ImagingStudy" }),
        json!({ "reference": "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0", "type": "Media" }),
        json!({ "reference": "#film", "type": "Media" }),
        json!({ "reference": "#film", "type": "http://hl7.org/fhir/StructureDefinition/ImagingStudy" }),
        json!({ "identifier": { "system": "urn:accession", "value": "7" }, "type": "ImagingStudy" }),
    ] {
        let mut request = request(&hospital);
        order_naming(&mut request, info.clone());
        let card = hospital.sign(&request).await.only_card();
        println!("{info}");
        let said = "the study or picture the order names could not be had: what it gives as its name leads to none";
        abstains(&hospital, &card, &[said]).await;
    }
    for (reference, said) in [
        ("https://other.example/fhir/Media/a b", "it lies on another server"),
        ("https://other.example/fhir/Media/a", "it lies on another server"),
    ] {
        let card = sign_naming(&hospital, &[reference]).await;
        abstains(&hospital, &card, &[said]).await;
    }
    assert!(hospital.ehr.requests.under("/dicomweb").is_empty(), "no film is fetched");
    hospital.close().await;
}

fn order_naming(request: &mut Value, info: Value) {
    request["context"]["draftOrders"]["entry"][0]["resource"]["supportingInfo"] = json!([info]);
}
