//! Searching our own reports.

use super::*;

#[tokio::test]
async fn a_search_finds_what_it_names() {
    let (_folder, app) = server().await;
    let caller = caller("t", &[A]);
    for (resource_type, query, expected) in [
        ("DiagnosticReport", "", "r1 r2 r3 r4"),
        ("DiagnosticReport", "patient=1", "r1 r2"),
        ("DiagnosticReport", "patient=Patient/1", "r1 r2"),
        ("DiagnosticReport", "subject=Patient/1,Patient/2", "r1 r2 r3"),
        ("DiagnosticReport", "patient=1&patient=2", ""),
        ("DiagnosticReport", "patient=https://b.example/fhir/Patient/1", "r4"),
        ("DiagnosticReport", "patient=https%3A%2F%2Fb.example%2Ffhir%2FPatient%2F1", "r4"),
        ("DiagnosticReport", "patient=https://c.example/fhir/Patient/1", ""),
        ("DiagnosticReport", "_id=r1,r3,x1", "r1 r3"),
        ("DiagnosticReport", "_id=r1&_format=json", "r1"),
        ("DiagnosticReport", "status=partial", "r1 r2 r4"),
        ("DiagnosticReport", "status=partial,registered", "r1 r2 r3 r4"),
        ("DiagnosticReport", "status=http://hl7.org/fhir/diagnostic-report-status%7Cpartial,final", "r1 r2 r4"),
        ("DiagnosticReport", "status=http://other%7Cpartial", ""),
        ("DiagnosticReport", "status=final", ""),
        ("DiagnosticReport", "date=2025-06-02", "r1"),
        ("DiagnosticReport", "date=eq2025", "r1 r2"),
        ("DiagnosticReport", "date=2025-06,2025-07", "r1 r2"),
        ("Observation", "date=2025-07", "r2-o"),
        ("DiagnosticReport", "date=ne2025", "r4"),
        ("DiagnosticReport", "date=gt2025-06-02", "r2"),
        ("DiagnosticReport", "date=ge2025-06-02", "r1 r2"),
        ("DiagnosticReport", "date=ge2025-06-02T10:00:00+02:00", "r1 r2"),
        ("DiagnosticReport", "date=lt2025-06-02T08:00:00Z", "r4"),
        ("DiagnosticReport", "date=le2025-06-02T08:00Z", "r1 r4"),
        ("DiagnosticReport", "date=sa2025-06", "r2"),
        ("DiagnosticReport", "date=eb2025-06", "r4"),
        ("DiagnosticReport", "date=ge2025-06&date=lt2025-07", "r1"),
        ("Observation", "patient=2", "r3-o"),
        ("Provenance", "patient=2", "r3-p"),
        ("Provenance", "target=DiagnosticReport/r1", "r1-p"),
        ("Provenance", "target=https://curbside.example/fhir/DiagnosticReport/r1", "r1-p"),
        ("Provenance", "target=https://elsewhere.example/fhir/DiagnosticReport/r1", ""),
        ("Provenance", "target=DiagnosticReport/x1", ""),
        ("Device", "_id=model&status=active", "model"),
    ] {
        let bundle = searched(&app, &caller, resource_type, query, HeaderMap::new()).await.unwrap();
        let found = ids(&bundle);
        assert_eq!(found.join(" "), expected, "{resource_type}?{query}");
        assert_eq!(bundle["total"].to_string(), found.len().to_string());
        assert_eq!(bundle.get("entry").is_some(), !found.is_empty(), "an empty array is no FHIR");
    }
}

#[tokio::test]
async fn a_search_that_is_not_understood_is_refused() {
    let (_folder, app) = server().await;
    let caller = caller("t", &[A]);
    let long = format!("_id={}", "x".repeat(10_000));
    let many = format!("_id={}", "x,".repeat(300));
    for (resource_type, query) in [
        ("DiagnosticReport", "code=1"),
        ("DiagnosticReport", "patient:missing=true"),
        ("DiagnosticReport", "subject:Patient=1"),
        ("DiagnosticReport", "patient.name=x"),
        ("DiagnosticReport", "_include=DiagnosticReport:result"),
        ("DiagnosticReport", "_has:Provenance:target:agent=1"),
        ("DiagnosticReport", "target=DiagnosticReport/r1"),
        ("DiagnosticReport", "patient="),
        ("DiagnosticReport", "patient=Group/1"),
        ("DiagnosticReport", "patient=1%27%20OR%201=1"),
        ("DiagnosticReport", "_id=r1,"),
        ("DiagnosticReport", "date=yesterday"),
        ("DiagnosticReport", "date=ap2025"),
        ("DiagnosticReport", "_count=-1"),
        ("DiagnosticReport", "_count=ten"),
        ("DiagnosticReport", "_count="),
        ("DiagnosticReport", "_page=forged"),
        ("DiagnosticReport", "_page="),
        ("Provenance", "target=r1"),
        ("Device", "patient=1"),
        ("DiagnosticReport", &long),
        ("DiagnosticReport", &many),
    ] {
        let error = searched(&app, &caller, resource_type, query, HeaderMap::new()).await.unwrap_err();
        assert_eq!(error.kind, Kind::Invalid, "{query:.60}");
        assert!(!error.message.contains("yesterday") && !error.message.contains("OR 1"), "no echo");
    }
    for resource_type in ["Patient", "diagnosticreport", "DiagnosticReport; DROP TABLE resource", ""] {
        let error = searched(&app, &caller, resource_type, "", HeaderMap::new()).await.unwrap_err();
        assert_eq!(error.kind, Kind::NotFound);
    }
    let xml = headers(&[("accept", "application/fhir+xml")]);
    assert_eq!(searched(&app, &caller, "Device", "", xml).await.unwrap_err().kind, Kind::NotAcceptable);
}

#[tokio::test]
async fn characters_of_sql_are_only_characters() {
    let (_folder, app) = server().await;
    for value in ["'", "r1' OR '1'='1", "%25", "r_", "\\", "\"", "r1'; DROP TABLE resource; --", "r1%00", "?", "*"] {
        for query in [format!("_id={value}"), format!("status={value}")] {
            let bundle =
                searched(&app, &caller("t", &[A]), "DiagnosticReport", &query, HeaderMap::new()).await.unwrap();
            assert!(ids(&bundle).is_empty(), "{query}");
        }
    }
    let all = searched(&app, &caller("t", &[A]), "DiagnosticReport", "", HeaderMap::new()).await.unwrap();
    assert_eq!(ids(&all).len(), 4);
}

#[tokio::test]
async fn an_unqualified_patient_is_refused_where_there_are_several_bases() {
    let (_folder, app) = server().await;
    for bases in [&[A, B][..], &[]] {
        let caller = caller("t", bases);
        for query in ["patient=1", "patient=Patient/1", "subject=1"] {
            let error = searched(&app, &caller, "DiagnosticReport", query, HeaderMap::new()).await.unwrap_err();
            assert_eq!(error.kind, Kind::Invalid, "{query}");
        }
        let qualified = format!("patient={A}/Patient/1");
        let bundle = searched(&app, &caller, "DiagnosticReport", &qualified, HeaderMap::new()).await.unwrap();
        assert_eq!(ids(&bundle), ["r1", "r2"]);
    }
}

#[tokio::test]
async fn a_lenient_client_is_told_what_was_ignored() {
    let (_folder, app) = server().await;
    let prefer = headers(&[("prefer", "return=minimal, handling=lenient")]);
    let bundle = searched(&app, &caller("t", &[A]), "DiagnosticReport", "code=secret&patient=2", prefer).await.unwrap();
    assert_eq!(bundle["link"][0]["url"], "https://curbside.example/fhir/DiagnosticReport?patient=2");
    assert_eq!(bundle["total"].to_string(), "1");
    assert_eq!(bundle["entry"][0]["search"]["mode"], "match");
    assert_eq!(bundle["entry"][0]["fullUrl"], "https://curbside.example/fhir/DiagnosticReport/r3");
    assert_eq!(bundle["entry"][1]["search"]["mode"], "outcome");
    assert_eq!(bundle["entry"][1]["resource"]["issue"][0]["severity"], "warning");
    assert!(!bundle.to_string().contains("secret"));
}

#[tokio::test]
async fn pages_are_stable_while_reports_arrive() {
    let (_folder, app) = server().await;
    let caller = caller("t", &[A]);
    let (mut query, mut seen) = ("_count=1".to_owned(), Vec::new());
    loop {
        let bundle = searched(&app, &caller, "DiagnosticReport", &query, HeaderMap::new()).await.unwrap();
        seen.extend(ids(&bundle));
        report(&app.store, "t", A, "9", &format!("new{}", seen.len()), json!({"status": "registered"})).await;
        let Some(next) = bundle["link"][1]["url"].as_str() else { break };
        query = next.split_once('?').unwrap().1.to_owned();
        assert!(query.starts_with("_count=1&_page="), "{query}");
    }
    seen.sort();
    assert_eq!(seen, ["r1", "r2", "r3", "r4"]);
}

#[tokio::test]
async fn the_page_size_is_bounded() {
    let (_folder, app) = server().await;
    let caller = caller("t", &[A]);
    for (query, shown, entries) in [
        ("_count=0", "_count=0", 0),
        ("_count=201", "_count=200", 4),
        ("_count=4294967296", "_count=200", 4),
        ("_count=99999999999999999999999999", "_count=200", 4),
    ] {
        let bundle = searched(&app, &caller, "DiagnosticReport", query, HeaderMap::new()).await.unwrap();
        assert_eq!(bundle["link"][0]["url"], format!("https://curbside.example/fhir/DiagnosticReport?{shown}"));
        assert_eq!((ids(&bundle).len(), bundle["total"].to_string().as_str()), (entries, "4"));
        assert!(bundle["link"][1].is_null());
    }
}

#[tokio::test]
async fn a_page_link_leads_nowhere_but_into_the_callers_own_tenant() {
    let (_folder, app) = server().await;
    let first = searched(&app, &caller("t", &[A]), "DiagnosticReport", "_count=1", HeaderMap::new()).await.unwrap();
    let next = first["link"][1]["url"].as_str().unwrap().split_once('?').unwrap().1.to_owned();
    // A position after everything, as anyone could write it.
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let forged = format!("_page={}", URL_SAFE_NO_PAD.encode(format!("{}.~", i64::MAX)));
    for query in [next.as_str(), forged.as_str()] {
        let bundle = searched(&app, &caller("other", &[A]), "DiagnosticReport", query, HeaderMap::new()).await.unwrap();
        assert_eq!(bundle["total"].to_string(), "1");
        assert!(ids(&bundle).iter().all(|id| id == "x1"), "{query}");
    }
    for text in ["", ".", "1", "x.y", "99999999999999999999.a", "1.' OR 1=1"] {
        let query = format!("_page={}", URL_SAFE_NO_PAD.encode(text));
        if let Ok(bundle) = searched(&app, &caller("t", &[A]), "DiagnosticReport", &query, HeaderMap::new()).await {
            assert!(ids(&bundle).is_empty(), "{text}");
        }
    }
}
