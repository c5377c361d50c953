mod korean;
mod sample;

use serde_json::json;

use super::*;

const BANNER: &str = "AI-generated draft, review before signing";
use sample::{BASE, MARKER, Sample, attached, bare, sample};

fn every() -> Vec<Sample> {
    vec![sample(), attached(), bare()]
}

fn of<'a>(draft: &'a Draft, resource_type: &str) -> Vec<&'a Value> {
    draft.resources.iter().filter(|r| r["resourceType"] == resource_type).collect()
}

/// Every member of a value by its path, arrays without index.
fn walk<'a>(value: &'a Value, path: &str, visit: &mut impl FnMut(&str, &'a Value)) {
    visit(path, value);
    match value {
        Value::Array(items) => items.iter().for_each(|item| walk(item, path, visit)),
        Value::Object(members) => {
            members.iter().for_each(|(name, member)| walk(member, &format!("{path}.{name}"), visit))
        }
        _ => {}
    }
}

fn labelled(resource: &Value) -> bool {
    let has =
        |labels: &Value| labels.as_array().is_some_and(|labels| labels.iter().any(|label| label["code"] == "AIAST"));
    has(&resource["meta"]["security"])
}

#[test]
fn a_draft_is_never_final() {
    for mut sample in every() {
        for status in [DraftStatus::Partial, DraftStatus::Preliminary] {
            sample.options.draft_status = status;
            let draft = sample.draft();
            assert_eq!(of(&draft, "DiagnosticReport")[0]["status"], status.word());
            assert!(of(&draft, "Observation").iter().all(|o| o["status"] == "preliminary"));
            assert!(!draft.resources.iter().any(|r| r["status"] == "final" || r.get("resultsInterpreter").is_some()));
        }
    }
}

#[test]
fn no_device_performs_a_report() {
    for sample in every() {
        for resource in sample.draft().resources {
            let performers = resource["performer"].as_array().cloned().unwrap_or_default();
            assert!(performers.iter().all(|p| p.get("reference").is_none() && p["display"].is_string()), "{resource}");
        }
    }
    let draft = sample().draft();
    let report = of(&draft, "DiagnosticReport")[0];
    let device = format!("Device/{}", of(&draft, "Device")[0]["id"].as_str().unwrap());
    assert_eq!(report["performer"][1]["extension"][0]["valueReference"]["reference"], device);
    assert!(of(&draft, "Observation").iter().all(|o| o["device"]["reference"] == device));
}

#[test]
fn the_ai_device_type_and_the_agent_role_are_exactly_the_code() {
    let exactly = json!({ "coding": [{ "system": code::AI_DEVICE_TYPE, "code": "Artificial-Intelligence" }] });
    let draft = sample().draft();
    assert_eq!(of(&draft, "Device")[0]["type"], exactly);
    for provenance in of(&draft, "Provenance") {
        assert_eq!(provenance["agent"][0]["role"], json!([exactly]));
        assert_eq!(provenance["agent"][0]["type"]["coding"][0]["code"], "author");
        assert_eq!(provenance["agent"][1]["who"]["reference"], format!("{BASE}/Practitioner/9"));
        assert_eq!(provenance["reason"][0]["coding"][0]["code"], "AIAST");
    }
}

#[test]
fn the_same_model_is_the_same_device() {
    let device = |sample: &Sample| of(&sample.draft(), "Device")[0].clone();
    let first = sample();
    let mut later = bare();
    later.model = sample().model;
    later.chart.subject.reference = format!("{BASE}/Patient/99");
    assert_eq!(device(&first), device(&later));
    later.model.weights_sha256 = "dd44".into();
    assert_ne!(device(&first)["id"], device(&later)["id"]);
}

#[test]
fn what_a_model_stated_is_labelled() {
    for sample in every() {
        let draft = sample.draft();
        for resource in of(&draft, "DiagnosticReport").into_iter().chain(of(&draft, "Observation")) {
            assert!(labelled(resource), "{resource}");
            assert!(resource["text"]["div"].as_str().unwrap().contains(BANNER));
        }
        let report = of(&draft, "DiagnosticReport")[0];
        assert!(report["conclusion"].as_str().unwrap().starts_with(BANNER));
        assert_eq!(report["_conclusion"]["extension"][0]["valueCoding"]["code"], "AIAST");
        assert_eq!(report["meta"]["security"][1]["code"], "PROCESSINLINELABEL");
        assert!(!labelled(of(&draft, "Device")[0]));
    }
}

#[test]
fn a_reader_sees_what_was_looked_for_whatever_was_found() {
    let told = |sample: &Sample| {
        let draft = sample.draft();
        let report = of(&draft, "DiagnosticReport")[0];
        let looked_for = grounding::looked_for(sample.language);
        let said =
            [&report["conclusion"], &report["text"]["div"]].map(|text| text.as_str().unwrap().contains(&looked_for));
        assert_eq!((said, draft.page["looked_for"].as_str()), ([true; 2], Some(looked_for.as_str())), "{report}");
        report["conclusion"].as_str().unwrap().contains("No finding is stated")
    };
    for mut sample in every() {
        told(&sample);
        sample.assessment.sections.iter_mut().for_each(|section| section.statements.clear());
        assert!(told(&sample));
    }
}

#[test]
fn every_shown_piece_of_evidence_is_an_entity() {
    let sample = sample();
    let draft = sample.draft();
    let whole = of(&draft, "Provenance")[0];
    let sources: Vec<&Value> =
        whole["entity"].as_array().unwrap().iter().filter(|e| e["role"] == "source").map(|e| &e["what"]).collect();
    assert_eq!(sources.len(), sample.assessment.ledger.shown.len());
    for id in &sample.assessment.ledger.shown {
        let evidence = sample.chart.evidence(*id).unwrap();
        let named = |what: &&&Value| match evidence.reference.starts_with("urn:") {
            true => what["identifier"] == json!({ "system": "urn:dicom:uid", "value": evidence.reference }),
            false => what["reference"] == evidence.reference.as_str(),
        };
        assert_eq!(sources.iter().filter(named).count(), 1, "{id}");
    }
    let derived: Vec<&Value> =
        whole["entity"].as_array().unwrap().iter().filter(|e| e["role"] == "derivation").collect();
    assert_eq!(derived[0]["what"]["identifier"], json!({ "system": "urn:curbside:prompt-sha256", "value": "aa11" }));
    assert_eq!(derived[1]["what"]["identifier"], json!({ "system": "urn:curbside:weights-sha256", "value": "cc33" }));
}

#[test]
fn a_statement_names_what_it_cites_even_where_an_observation_may_not() {
    let sample = sample();
    let draft = sample.draft();
    let statement = of(&draft, "Observation")[0];
    let derived: Vec<&str> =
        statement["derivedFrom"].as_array().unwrap().iter().map(|d| d["reference"].as_str().unwrap()).collect();
    assert_eq!(derived, ["ImagingStudy/s3", "ImagingStudy/s2", "Observation/o1"].map(|r| format!("{BASE}/{r}")));
    let target = format!("Observation/{}/_history/1", statement["id"].as_str().unwrap());
    let provenances = of(&draft, "Provenance");
    let own = provenances.iter().find(|p| p["target"][0]["reference"] == target.as_str()).unwrap();
    assert_eq!(own["target"][0]["extension"][0]["valueString"], "Observation.value");
    let cited: Vec<&str> =
        own["entity"].as_array().unwrap().iter().filter_map(|e| e["what"]["reference"].as_str()).collect();
    assert_eq!(cited, ["Observation/o1", "Condition/c1", "MedicationRequest/m1"].map(|r| format!("{BASE}/{r}")));
    for resource in of(&draft, "Observation") {
        for derived in resource["derivedFrom"].as_array().unwrap() {
            let reference = Reference::parse(derived["reference"].as_str().unwrap()).unwrap();
            assert!(["ImagingStudy", "Media", "Observation", "DocumentReference"].contains(&reference.resource_type));
        }
    }
}

#[test]
fn a_finding_is_coded_from_the_closed_vocabulary() {
    let draft = sample().draft();
    let words: Vec<&str> = of(&draft, "Observation")[0]["component"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["valueCodeableConcept"]["text"].as_str().unwrap())
        .collect();
    assert_eq!(words, ["effusion", "left", "lower", "large", "same"]);
    assert_eq!(of(&draft, "Observation")[2]["component"][0]["valueCodeableConcept"]["text"], "urgent");
}

#[test]
fn nothing_is_empty_anywhere() {
    for sample in every() {
        for resource in sample.draft().resources {
            walk(&resource, "", &mut |path, value| {
                let empty = match value {
                    Value::Null => true,
                    Value::String(text) => text.trim().is_empty(),
                    Value::Array(items) => items.is_empty(),
                    Value::Object(members) => members.is_empty(),
                    _ => false,
                };
                assert!(!empty, "{}{path}", resource["resourceType"]);
            });
        }
    }
}

#[test]
fn references_to_the_ehr_are_absolute_and_ours_resolve() {
    for sample in every() {
        let draft = sample.draft();
        let ours: Vec<String> = draft
            .resources
            .iter()
            .map(|r| format!("{}/{}", r["resourceType"].as_str().unwrap(), r["id"].as_str().unwrap()))
            .collect();
        assert_eq!(ours.iter().collect::<std::collections::HashSet<_>>().len(), ours.len(), "ids differ");
        for resource in &draft.resources {
            assert!(Uuid::parse_str(resource["id"].as_str().unwrap()).is_ok());
            walk(resource, "", &mut |path, value| {
                if path.ends_with(".reference") {
                    let text = value.as_str().unwrap();
                    let known = text.starts_with(&format!("{BASE}/"))
                        || ours.iter().any(|id| text.split("/_history/").next() == Some(id));
                    assert!(known, "{path}: {text}");
                }
            });
        }
    }
}

#[test]
fn text_of_a_chart_is_never_a_code_a_link_or_an_id_and_is_escaped() {
    let mut sample = sample();
    // Even where a text that should be an address is not one.
    sample.chart.evidence[3].reference = format!("javascript:{MARKER}");
    sample.chart.requester = Some(MARKER.into());
    let draft = sample.draft();
    let mut seen = 0;
    for resource in &draft.resources {
        walk(resource, "", &mut |path, value| {
            let Some(text) = value.as_str().filter(|t| t.contains("zq")) else { return };
            seen += 1;
            let member = path.rsplit('.').next().unwrap();
            assert!(["div", "display", "valueString", "text", "conclusion"].contains(&member), "{path}: {text}");
            assert!(member != "div" || !text.contains("<script"), "{text}");
            assert!(!text.contains('\u{202e}'));
        });
    }
    assert!(seen >= 4, "the marker was planted");
}

#[test]
fn a_report_holds_what_its_profiles_require() {
    for sample in every() {
        let draft = sample.draft();
        let report = of(&draft, "DiagnosticReport")[0];
        assert_eq!(report["category"][0]["coding"][0]["code"], "LP29684-5");
        assert_eq!(report["category"][0]["coding"][1]["code"], "RAD");
        assert_eq!(report["category"][1]["coding"][0]["code"], "85430-7");
        assert_eq!(report["subject"]["reference"], format!("{BASE}/Patient/12"));
        for resource in of(&draft, "DiagnosticReport").into_iter().chain(of(&draft, "Observation")) {
            let day = resource["effectiveDateTime"].as_str().is_some_and(|date| date.len() >= 10);
            assert!(day != resource["effectivePeriod"]["end"].is_string(), "{resource}");
        }
    }
    let draft = sample().draft();
    let report = of(&draft, "DiagnosticReport")[0];
    assert_eq!(report["effectiveDateTime"], "2034-08-15");
    assert_eq!(report["code"]["coding"][0]["code"], code::CHEST_XRAY);
    assert_eq!(report["imagingStudy"][1]["identifier"]["value"], "urn:oid:1.2.2");
    assert_eq!(report["result"].as_array().unwrap().len(), 3);
    let mut coarse = sample();
    coarse.chart.reading.as_mut().and_then(|r| r.study.as_mut()).unwrap().date = Date::parse("2034-08");
    assert_eq!(of(&coarse.draft(), "DiagnosticReport")[0]["effectiveDateTime"], "2034-08-15", "the film's own day");
    let draft = bare().draft();
    assert_eq!(of(&draft, "DiagnosticReport")[0]["code"]["coding"][0]["code"], code::IMAGING_STUDY);
}

/// A film that did not fit the prompt is found evidence, and nothing the report compares with.
#[test]
fn only_what_the_model_was_shown_is_a_picture_of_the_report() {
    let mut sample = sample();
    sample.assessment.ledger.shown.retain(|id| *id != EvidenceId(2));
    let draft = sample.draft();
    assert_eq!(draft.pictures.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["3".repeat(64)]);
    assert_eq!(draft.page["pictures"].as_array().unwrap().len(), 1);
    assert_eq!((&draft.page["pictures"][0]["role"], &draft.page["prior"]), (&json!("current"), &Value::Null));
    assert_eq!(of(&draft, "DiagnosticReport")[0]["imagingStudy"].as_array().unwrap().len(), 1);
    assert!(!draft.resources.iter().any(|resource| resource.to_string().contains("ImagingStudy/s2")));
    assert_eq!(draft.page["evidence"][1]["shown"], false);
}

/// R4 has a place for a Media among a report's key images, and for a DocumentReference only below its Observations.
#[test]
fn a_picture_outside_dicom_is_named_by_its_record() {
    let draft = attached().draft();
    let report = of(&draft, "DiagnosticReport")[0];
    let media = format!("{BASE}/Media/m7");
    assert_eq!(report["media"], json!([{ "link": { "reference": media } }]));
    assert_eq!(report.get("imagingStudy"), None);
    assert!(report["text"]["div"].as_str().unwrap().contains("Picture read"), "{report}");
    let statement = of(&draft, "Observation")[0];
    assert_eq!(statement["derivedFrom"][0]["reference"], media.as_str());
    let shown = &of(&draft, "Provenance")[0]["entity"][0]["what"];
    assert_eq!((&shown["reference"], shown.get("identifier")), (&json!(media), None));
    assert!(shown["display"].as_str().unwrap().contains("media type image/png"), "{shown}");
    let picture = &draft.page["pictures"][0];
    assert_eq!((&picture["record"], &picture["media_type"]), (&json!(media), &json!("image/png")));
    assert!(["transfer_syntax", "instance_uid", "window"].iter().all(|name| picture[name].is_null()), "{picture}");

    let mut document = attached();
    let reference = format!("{BASE}/DocumentReference/d1");
    document.chart.evidence[0].reference = reference.clone();
    document.chart.reading.as_mut().and_then(|r| r.study.as_mut()).unwrap().reference = reference.clone();
    let draft = document.draft();
    let report = of(&draft, "DiagnosticReport")[0];
    assert_eq!((report.get("media"), report.get("imagingStudy")), (None, None));
    assert_eq!(of(&draft, "Observation")[0]["derivedFrom"][0]["reference"], reference.as_str());
}

#[test]
fn drafting_again_gives_the_same_report() {
    let (first, second) = (sample().draft(), sample().draft());
    assert_eq!(first.resources, second.resources);
    assert_eq!(first.page, second.page);
    assert_eq!(
        first.pictures.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["3".repeat(64), "2".repeat(64)]
    );
}

#[test]
fn uids_and_times_are_written_as_fhir_wants_them() {
    assert_eq!(oid("1.2.840.0.5").as_deref(), Some("urn:oid:1.2.840.0.5"));
    assert_eq!(oid("urn:oid:1.02").as_deref(), Some("urn:oid:1.02"), "archives hold such UIDs");
    for text in ["", "1..2", "1.2.x", "urn:uuid:1", &format!("1.{}", "1".repeat(63))] {
        assert_eq!(oid(text), None, "{text}");
    }
    for (text, written) in [("2034-08", "2034-08"), ("2034-08-15t08:00:00z", "2034-08-15T08:00:00Z")] {
        assert_eq!(date_time(&Date::parse(text).unwrap()), written);
    }
}

#[test]
fn the_page_holds_all_of_the_report_and_no_number() {
    let draft = sample().draft();
    walk(&draft.page, "", &mut |path, value| assert!(!value.is_number(), "{path}"));
    let page = &draft.page;
    assert_eq!(page["banner"], BANNER);
    assert_eq!(page["sections"][0]["statements"][0]["evidence"], json!(["E1", "E2", "E3", "E4", "E5"]));
    assert_eq!(page["evidence"][7]["why_not"], "over the line budget");
    assert_eq!(page["evidence"][0]["cited_by"], json!(["1", "2"]));
    assert_eq!(page["pictures"][0]["role"], "prior");
    assert_eq!(page["failed"][0]["what"], "allergies");
    assert!(page["study"].as_str().unwrap().contains("not the ordered examination"));
}

#[test]
fn the_options_take_no_other_status() {
    let options = |text: &str| serde_json::from_str::<Options>(text);
    assert_eq!(options("{}").unwrap(), Options::default());
    assert_eq!(options(r#"{"draft_status":"preliminary"}"#).unwrap().draft_status, DraftStatus::Preliminary);
    assert!(options(r#"{"draft_status":"final"}"#).is_err() && options(r#"{"status":"partial"}"#).is_err());
}

#[test]
fn every_resource_is_fit_to_be_stored() {
    for sample in every() {
        for resource in sample.draft().resources {
            let checked = crate::fhir::check(&resource);
            assert!(checked.is_ok(), "{}: {checked:?}", resource["resourceType"]);
        }
    }
}
