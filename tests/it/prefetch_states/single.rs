//! States that one key or one client meets: required keys, further pages, answers of another kind.

use super::*;

#[tokio::test]
async fn null_for_a_required_key_is_an_answer_and_no_412() {
    let empty = json!({"resourceType": "Bundle", "type": "searchset"});
    let foreign = json!({"resourceType": "Patient", "id": "somebody-else"});
    let wrapped = json!({"response": {"status": "404 Not Found"}});
    let condition = resource(&KINDS[0], "no-patient", "Sent words");
    for client in [Client::NoServer, Client::NoToken, Client::Token] {
        let hospital = open(true).await;
        // What is sent; whether the EHR is asked for it; the status without and with a server.
        for (sent, asked, without, with) in [
            (None, true, 412, 200),
            (Some(json!(null)), true, 200, 200),
            (Some(empty.clone()), true, 200, 200),
            (Some(the_patient()), false, 200, 200),
            (
                Some(json!({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": the_patient()}]})),
                false,
                200,
                200,
            ),
            (Some(outcome("error")), false, 412, 412),
            (Some(wrapped.clone()), false, 412, 412),
            (Some(foreign.clone()), false, 412, 412),
            (Some(condition.clone()), false, 412, 412),
            (Some(json!(7)), false, 412, 412),
        ] {
            let mut request = request(&hospital, client);
            let prefetch = request["prefetch"].as_object_mut().unwrap();
            prefetch.remove("patient");
            prefetch.extend(sent.clone().map(|sent| ("patient".to_owned(), sent)));
            prefetch.insert("conditions".into(), value(Matches, &KINDS[0], "").unwrap());
            hospital.ehr.requests.clear();
            let answer = hospital.view(&request).await;
            let served = client != Client::NoServer;
            assert_eq!(answer.status, if served { with } else { without }, "{sent:?} {client:?}: {}", answer.text);
            assert_eq!(
                !hospital.ehr.requests.under("/fhir/Patient").is_empty(),
                asked && served,
                "{sent:?} {client:?}"
            );
            if answer.status == 412 {
                let (code, diagnostics, place) = answer.outcome();
                assert_eq!((code.as_str(), place.as_str()), ("processing", "prefetch.patient"), "{diagnostics}");
                continue;
            }
            let card = answer.only_card();
            let detail = card["detail"].as_str().unwrap();
            assert!(line(detail, "Problems").contains("Sent words"), "{detail}");
            let nothing = detail.contains("- patient: the EHR sent nothing for it");
            assert_eq!(
                nothing,
                !served && (sent == Some(json!(null)) || sent.as_ref() == Some(&empty)),
                "{sent:?}: {detail}"
            );
        }
        hospital.close().await;
    }
}

#[tokio::test]
async fn what_was_sent_is_kept_where_asking_again_fails() {
    for fault in [Fault::Status(403), Fault::Status(500), Fault::ContentType("text/html".into()), Fault::Hang] {
        let hospital = open(true).await;
        for path in ["/fhir/AllergyIntolerance", "/fhir/Condition", "/fhir/Patient"] {
            hospital.ehr.faults.set(path, fault.clone());
        }
        let mut request = request(&hospital, Client::Token);
        request["prefetch"] =
            json!({"patient": null, "allergies": null, "conditions": value(FirstPage, &KINDS[0], "")});
        let card = hospital.view(&request).await.only_card();
        let detail = card["detail"].as_str().unwrap();
        assert_eq!(says(line(detail, "Allergies")), Some(Says::NotEstablished), "{fault:?}: {detail}");
        assert_eq!(says(line(detail, "Problems")), Some(Says::Sent), "{fault:?}: {detail}");
        assert!(detail.contains("- conditions: only the first page was received"), "{fault:?}: {detail}");
        for key in ["patient", "allergies", "conditions"] {
            let told = detail.contains(&format!("- {key}: it was asked for once more, and could not be had: "));
            assert!(told, "{key} {fault:?}: {detail}");
        }
    }
}

#[tokio::test]
async fn resources_of_another_kind_prove_nothing() {
    for holds in [false, true] {
        let hospital = open(holds).await;
        // The EHR answers a search for allergies with problems.
        let other = json!({"resourceType": "Bundle", "type": "searchset", "total": 1, "entry": [{"resource": resource(&KINDS[0], "other", "Other words")}]});
        hospital.ehr.faults.set("/fhir/AllergyIntolerance", Fault::Body(other.to_string()));
        let request = request(&hospital, Client::Token);
        let card = hospital.view(&request).await.only_card();
        let detail = card["detail"].as_str().unwrap();
        assert_eq!(says(line(detail, "Allergies")), Some(Says::NotEstablished), "{detail}");
        assert!(detail.contains("- allergies: it was answered with resources of another kind"), "{detail}");
        hospital.close().await;
    }
}

#[tokio::test]
async fn what_cannot_be_used_counts_under_every_key_it_came_under() {
    let hospital = open(false).await;
    // An allergy that says nothing comes with the problems first, then with the allergies.
    let silent = json!({"resourceType": "AllergyIntolerance", "id": "silent", "patient": {"reference": format!("Patient/{NAME}")}});
    let found = json!({"resourceType": "Bundle", "type": "searchset", "total": 1, "entry": [{"resource": silent}]});
    for path in ["/fhir/AllergyIntolerance", "/fhir/Condition"] {
        hospital.ehr.faults.set(path, Fault::Body(found.to_string()));
    }
    let card = hospital.view(&request(&hospital, Client::Token)).await.only_card();
    let detail = card["detail"].as_str().unwrap();
    for heading in ["Problems", "Allergies"] {
        assert_eq!(says(line(detail, heading)), Some(Says::NotKnown), "{heading}: {detail}");
    }
    hospital.close().await;
}

#[tokio::test]
async fn an_order_whose_patient_came_as_null_is_answered_and_no_film_is_read() {
    let answer = Step::Text(r#"{"findings":[],"urgency":"routine"}"#.into());
    let hospital = Plan::new(vec![patient("demo")], Engine::scripted(scripted_model(), vec![answer])).open().await;
    let found =
        hospital.client.get(format!("{}/ImagingStudy/demo-current", hospital.ehr.fhir_base)).send().await.unwrap();
    let study: Value = serde_json::from_str(&found.text().await.unwrap()).unwrap();
    let mut request = hospital.ehr.request("demo").unwrap();
    request.as_object_mut().unwrap().remove("fhirServer");
    let studies = json!({"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": study}]});
    request["prefetch"] = json!({"patient": null, "studies": studies});
    let card = hospital.sign(&request).await.only_card();
    let detail = card["detail"].as_str().unwrap();
    assert!(
        detail.contains("No draft was written") && detail.contains("- patient: the EHR sent nothing for it"),
        "{card}"
    );
    assert_eq!((hospital.app.engine.calls(), hospital.ehr.requests.under("/dicomweb").len()), (0, 0));
    hospital.close().await;
}

#[tokio::test]
async fn the_next_page_of_a_prefetched_bundle_is_asked_of_the_ehr_and_nobody_else() {
    let (traps, listening) = Traps::set(&["127.0.0.1:0".parse().unwrap()]).await;
    for client in [Client::NoServer, Client::NoToken, Client::Token] {
        let hospital = open(true).await;
        let mut request = request(&hospital, client);
        let mut first = value(FirstPage, &KINDS[2], "").unwrap();
        first["link"][0]["url"] = json!(format!("http://{}/fhir/AllergyIntolerance?page=2", listening[0]));
        request["prefetch"]["allergies"] = first;
        let card = hospital.view(&request).await.only_card();
        let told = card["detail"].as_str().unwrap().contains("- allergies: only the first page was received");
        assert_eq!(told, client != Client::Token, "{card}");
        assert_eq!(traps.caught(), Vec::<String>::new());
        hospital.close().await;
    }
}
