//! Where requests and tokens go: a generated matrix of look-alike addresses, driven through every way in, with listeners
//! that nothing may reach.

use std::{net::SocketAddr, process::Stdio};

use curbside::{
    demo::{self, Fault},
    egress::{self, Base, destination},
    engine::{Engine, Step},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;

use crate::{
    command_line::curbside,
    harness::{Hospital, Plan, TOKEN_FREE, patient, scripted_model},
    look_alikes::{Target, Verdict, lands},
    relay::Traps,
};

const SHARED: &str = "http://fhir.org/argonaut/smart-imaging/StructureDefinition/requires-access-token";

#[test]
fn no_look_alike_has_a_destination() {
    let target = |scheme, host: &str, port, path| Target { scheme, host: host.into(), port, path };
    let (mut tried, mut reached) = (0, 0);
    for target in [
        target("https", "ehr.example", None, "/fhir"),
        target("https", "ehr.example", Some(8443), "/hospital/fhir"),
        target("http", "127.0.0.1", Some(8081), "/fhir"),
        target("https", "10.0.0.5", None, "/dicom-web"),
        target("https", "[2001:db8::5]", Some(9443), "/r4"),
    ] {
        for (address, origin, root) in [
            (format!("{}/", target.base()), target.base().trim_end_matches(target.path).to_owned(), target.path),
            ("http://10.9.8.7:8080/r4".to_owned(), "http://10.9.8.7:8080".to_owned(), "/r4"),
        ] {
            let base = |text: &str| Url::parse(text).unwrap();
            let allowed = [Base::new(base(&target.base()), base(&address))];
            for (text, verdict) in target.all() {
                tried += 1;
                let to = egress::address(&text).and_then(|url| destination(&url, &allowed));
                if let Some(to) = &to {
                    reached += 1;
                    assert!(lands(to.as_str(), &origin, root), "{text} goes to {to}");
                }
                match verdict {
                    Verdict::Same => assert!(to.is_some(), "{text} is not reached"),
                    Verdict::Elsewhere => assert!(to.is_none(), "{text} goes to {}", to.unwrap()),
                    Verdict::Odd => {}
                }
            }
        }
    }
    println!("{tried} addresses, {reached} with a destination");
    assert!(tried > 300_000 && reached > 1_000, "{tried} {reached}");
}

/// A hospital, and the addresses of its servers with traps beside them: the same port at another address, another port at
/// the same one.
async fn surrounded(folder: &str) -> (Hospital, Target, Target, Traps) {
    let answer = r#"{"findings":[],"urgency":"routine"}"#;
    let engine = Engine::scripted(scripted_model(), vec![Step::Text(answer.into())]);
    let mut plan = Plan::new(vec![patient(folder)], engine).with_deadline(60_000);
    plan.imaging.max_films_per_study = 1000;
    let hospital = plan.open().await;
    let target = |base: &Url, path| Target { scheme: "http", host: "127.0.0.1".into(), port: base.port(), path };
    let (fhir, dicomweb) = (target(&hospital.ehr.fhir_base, "/fhir"), target(&hospital.ehr.dicomweb_base, "/dicomweb"));
    let mut addresses: Vec<SocketAddr> = vec!["127.0.0.1:0".parse().unwrap()];
    for port in [fhir.port.unwrap(), dicomweb.port.unwrap()] {
        for host in ["127.0.0.2", "[::1]"] {
            addresses.push(format!("{host}:{port}").parse().unwrap());
        }
        addresses.push(format!("127.0.0.1:{}", port.wrapping_add(1).max(1024)).parse().unwrap());
    }
    let (traps, listening) = Traps::set(&addresses).await;
    assert!(listening.iter().any(|address| address.ip().to_string() == "127.0.0.2"), "{listening:?}");
    (hospital, fhir, dicomweb, traps)
}

/// Nothing reached a trap, and the hospital's own servers were asked for nothing outside their bases.
#[track_caller]
fn nothing_strayed(hospital: &Hospital, traps: &Traps) {
    assert_eq!(traps.caught(), Vec::<String>::new());
    for request in hospital.ehr.requests.all() {
        let inside = ["/fhir", "/dicomweb"].iter().any(|root| lands(&request.path, "", root));
        assert!(inside && request.method == "GET", "{request:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_named_is_contacted_only_if_it_is_the_one_allowed() {
    let (hospital, fhir, _, traps) = surrounded("no-imaging").await;
    let mut request = hospital.view_request("no-imaging");
    let mut named = 0;
    let cases = fhir.one_change();
    for (text, verdict) in &cases {
        // As a base it is: without the resource that the other ways in ask for.
        let text = text.replace("/Patient/1", "");
        request["fhirServer"] = json!(text);
        hospital.ehr.requests.clear();
        let answer = hospital.view(&request).await;
        if *verdict == Verdict::Elsewhere {
            assert_eq!(answer.status, 400, "{text:?}: {}", answer.text);
            assert_eq!(answer.outcome().2, "fhirServer", "{text:?}");
            assert!(hospital.ehr.requests.all().is_empty(), "{text:?}");
        }
        assert!(answer.status == 200 || answer.status == 400, "{text:?}: {}", answer.text);
        named += usize::from(answer.status == 200);
        nothing_strayed(&hospital, &traps);
    }
    assert!(cases.len() > 150 && named >= 3, "{} {named}", cases.len());
    hospital.close().await;
}

#[tokio::test]
async fn a_next_link_that_leaves_the_base_is_not_followed() {
    let (hospital, fhir, _, traps) = surrounded("no-imaging").await;
    let searches = ["Condition", "MedicationRequest", "AllergyIntolerance", "ImagingStudy", "DiagnosticReport"];
    let keys = ["conditions", "medications", "allergies", "studies", "reports"];
    let cases = fhir.one_change();
    for cases in cases.chunks(searches.len()) {
        hospital.ehr.faults.clear();
        hospital.ehr.requests.clear();
        for (search, (link, _)) in searches.iter().zip(cases) {
            let bundle =
                json!({"resourceType": "Bundle", "type": "searchset", "link": [{"relation": "next", "url": link}]});
            hospital.ehr.faults.once(&format!("/fhir/{search}?"), Fault::Body(bundle.to_string()));
        }
        let request = hospital.view_request("no-imaging");
        let detail = hospital.view(&request).await.only_card()["detail"].as_str().unwrap().to_owned();
        for ((search, key), (link, verdict)) in searches.iter().zip(keys).zip(cases) {
            let told = detail.contains(&format!("- {key}: the next page of a search lies outside the EHR's base"));
            let asked = hospital.ehr.requests.under(&format!("/fhir/{search}?")).len();
            // A link without scheme or with a path alone is resolved against the page it stands on.
            let relative = Url::parse(link).is_err();
            match verdict {
                Verdict::Elsewhere if !relative => assert!(told && asked == 1, "{link:?} {asked}: {detail}"),
                Verdict::Same => assert!(!told, "{link:?}: {detail}"),
                _ => {}
            }
        }
        nothing_strayed(&hospital, &traps);
    }
    hospital.close().await;
}

/// The request of the demonstration's order with a study of as many series as there are endpoints.
fn with_endpoints(request: &Value, study: &Value, endpoints: &[(Value, Option<Value>)]) -> Value {
    let mut study = study.clone();
    let series = study["series"][0].clone();
    study["contained"] = endpoints.iter().filter_map(|(_, contained)| contained.clone()).collect();
    study["series"] = (1..)
        .zip(endpoints)
        .map(|(n, (reference, _))| {
            let mut series = series.clone();
            series["uid"] = json!(format!("1.2.3.{n}"));
            series["instance"][0]["uid"] = json!(format!("1.2.3.{n}.1"));
            series["endpoint"] = json!([{"reference": reference}]);
            series
        })
        .collect();
    study.as_object_mut().unwrap().remove("endpoint");
    let mut request = request.clone();
    request["prefetch"] =
        json!({"studies": {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": study}]}});
    request
}

/// What the card says of the film `1.2.3.{n}.1`.
fn told(detail: &str, n: usize) -> Vec<&str> {
    detail.lines().filter(|line| line.contains(&format!(" 1.2.3.{n}.1: "))).collect()
}

async fn demo_study(hospital: &Hospital) -> Value {
    let found =
        hospital.client.get(format!("{}/ImagingStudy/demo-current", hospital.ehr.fhir_base)).send().await.unwrap();
    let study = serde_json::from_str(&found.text().await.unwrap()).unwrap();
    hospital.ehr.requests.clear();
    study
}

#[tokio::test]
async fn an_archive_elsewhere_is_asked_for_nothing() {
    let (hospital, _, dicomweb, traps) = surrounded("demo").await;
    let study = demo_study(&hospital).await;
    let cases = dicomweb.one_change();
    let endpoint = |(n, (address, _)): (usize, &(String, Verdict))| {
        let contained = json!({"resourceType": "Endpoint", "id": format!("e{n}"), "status": "active", "connectionType": {"code": "dicom-wado-rs"},
            "address": address, "extension": [{"url": SHARED, "valueBoolean": true}]});
        (json!(format!("#e{n}")), Some(contained))
    };
    for cases in cases.chunks(60) {
        let endpoints: Vec<_> = (1..).zip(cases).map(endpoint).collect();
        let request = with_endpoints(&hospital.ehr.authorized_request("demo").unwrap(), &study, &endpoints);
        hospital.ehr.requests.clear();
        let card = hospital.sign(&request).await.only_card();
        let detail = card["detail"].as_str().unwrap();
        for (n, (address, verdict)) in (1..).zip(cases) {
            let [line] = told(detail, n)[..] else { panic!("{address:?} is not told of in {detail}") };
            let refused = ["is not one this server may contact", "address is not a URL", "is that of another study"];
            let asked =
                hospital.ehr.requests.under("/dicomweb").iter().any(|r| r.path.contains(&format!("/1.2.3.{n}.1")));
            match verdict {
                Verdict::Elsewhere => {
                    assert!(refused.iter().any(|r| line.contains(r)) && !asked, "{address:?}: {line}")
                }
                Verdict::Same => assert!(asked, "{address:?}: {line}"),
                Verdict::Odd => {}
            }
        }
        nothing_strayed(&hospital, &traps);
    }
    hospital.close().await;
}

#[tokio::test]
async fn a_reference_elsewhere_is_not_followed() {
    let (hospital, fhir, _, traps) = surrounded("demo").await;
    let study = demo_study(&hospital).await;
    let cases: Vec<(String, Verdict)> = fhir
        .one_change()
        .into_iter()
        .map(|(text, verdict)| (text.replace("/Patient/1", "/Endpoint/demo-endpoint"), verdict))
        .collect();
    for cases in cases.chunks(60) {
        let endpoints: Vec<_> = cases.iter().map(|(text, _)| (json!(text), None)).collect();
        let request = with_endpoints(&hospital.ehr.authorized_request("demo").unwrap(), &study, &endpoints);
        hospital.ehr.requests.clear();
        let card = hospital.sign(&request).await.only_card();
        let detail = card["detail"].as_str().unwrap();
        for (n, (text, verdict)) in (1..).zip(cases) {
            let found =
                hospital.ehr.requests.under("/dicomweb").iter().any(|r| r.path.contains(&format!("/1.2.3.{n}.1")));
            // References without a scheme are relative, and those to no Endpoint name none.
            let absolute = text.contains("://") && text.ends_with("/Endpoint/demo-endpoint");
            if *verdict == Verdict::Elsewhere && absolute {
                assert!(!found, "{text:?}");
                let [line] = told(detail, n)[..] else { panic!("{text:?} is not told of in {detail}") };
                assert!(line.contains("Endpoint was not found"), "{text:?}: {line}");
            }
        }
        assert!(hospital.ehr.requests.under("/fhir/Endpoint").iter().all(|r| r.path == "/fhir/Endpoint/demo-endpoint"));
        nothing_strayed(&hospital, &traps);
    }
    assert_eq!(hospital.app.engine.calls(), 0);
    hospital.close().await;
}

#[tokio::test]
async fn a_study_that_cannot_be_followed_is_not_replaced_by_another() {
    let (hospital, fhir, _, traps) = surrounded("demo").await;
    let elsewhere = |(text, verdict): &(String, Verdict)| {
        *verdict == Verdict::Elsewhere && text.contains("://") && text.ends_with("/Patient/1")
    };
    for (text, _) in fhir.one_change().iter().filter(|case| elsewhere(case)) {
        let text = text.replace("/Patient/1", "/ImagingStudy/demo-current");
        let mut request = hospital.ehr.authorized_request("demo").unwrap();
        request["context"]["draftOrders"]["entry"][0]["resource"]["supportingInfo"] = json!([{"reference": text}]);
        let card = hospital.sign(&request).await.only_card();
        let told = card["detail"].as_str().unwrap().contains("lies on another server, which is not contacted");
        assert!(told, "{text:?}: {card}");
        nothing_strayed(&hospital, &traps);
    }
    assert_eq!(hospital.app.engine.calls(), 0);
    hospital.close().await;
}

#[tokio::test]
async fn no_redirect_is_followed_wherever_it_leads() {
    let (hospital, _, _, traps) = surrounded("demo").await;
    let (trap, listening) = Traps::set(&["127.0.0.1:0".parse().unwrap()]).await;
    for status in [300, 301, 302, 303, 304, 307, 308] {
        for to in
            [format!("http://{}/fhir/Condition", listening[0]), "/fhir/Practitioner".into(), "/admin".into(), "".into()]
        {
            hospital.ehr.faults.clear();
            hospital.ehr.requests.clear();
            for path in ["/fhir/Condition", "/dicomweb"] {
                hospital.ehr.faults.set(
                    path,
                    Fault::Answer(status, vec![("location", to.clone()), ("refresh", format!("0;url={to}"))], vec![]),
                );
            }
            let card = hospital.sign_order_of("demo").await.only_card();
            let detail = card["detail"].as_str().unwrap();
            assert!(
                detail.contains("- conditions: the EHR answered with a redirect, which is not followed"),
                "{status}: {detail}"
            );
            assert!(
                detail.contains(&format!("the archive answered with a redirect, which is not followed ({status})")),
                "{detail}"
            );
            assert_eq!(hospital.ehr.requests.under("/fhir/Condition").len(), 1);
            assert_eq!(hospital.ehr.requests.under("/fhir/Practitioner").len(), 0);
            nothing_strayed(&hospital, &traps);
        }
    }
    assert_eq!((trap.caught().len(), hospital.app.engine.calls()), (0, 0));
    hospital.close().await;
}

#[tokio::test]
async fn an_ehr_is_asked_where_it_is_reached_and_cited_as_it_is_named() {
    const NAMED: &str = "https://ehr.example/fhir";
    const ARCHIVE: &str = "https://pacs.example/dicomweb/";
    let answer = r#"{"findings":[],"urgency":"routine"}"#;
    let engine = Engine::scripted(scripted_model(), vec![Step::Text(answer.into())]);
    let mut plan = Plan::new(vec![patient("demo")], engine).with_deadline(60_000);
    plan.site = Some(Box::new(|ehr| {
        let mut base = ehr.allowed_base();
        base.fhir = Base::new(NAMED.parse().unwrap(), ehr.fhir_base.clone());
        base.dicomweb = vec![Base::new(ARCHIVE.parse().unwrap(), ehr.dicomweb_base.clone())];
        base
    }));
    let hospital = plan.open().await;
    let mut study = demo_study(&hospital).await;
    study["endpoint"] = json!([{"reference": "#e"}]);
    study["contained"] = json!([{"resourceType": "Endpoint", "id": "e", "status": "active", "connectionType": {"code": "dicom-wado-rs"}, "address": ARCHIVE}]);
    study["subject"]["reference"] = json!(format!("{NAMED}/Patient/demo"));
    for named in [NAMED, &format!("{NAMED}/")] {
        let mut request = hospital.ehr.authorized_request("demo").unwrap();
        request["fhirServer"] = json!(named);
        request["prefetch"] =
            json!({"studies": {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": study}]}});
        hospital.ehr.requests.clear();
        let card = hospital.sign(&request).await.only_card();
        let page = hospital.page(&card).await;
        assert_eq!(hospital.ehr.requests.under("/dicomweb").len(), 1, "{card}");
        assert!(hospital.ehr.requests.under("/fhir").iter().all(|r| r.authorization));
        // Nowhere is it told where the EHR is reached.
        let stored = [page.to_string(), card.to_string()].concat();
        for port in [hospital.ehr.fhir_base.port(), hospital.ehr.dicomweb_base.port()] {
            assert!(!stored.contains(&format!("127.0.0.1:{}", port.unwrap())), "{stored}");
        }
        assert!(page.to_string().contains(&format!("{NAMED}/ImagingStudy/demo-current")), "{page}");
        let found = hospital.get(&format!("/fhir/DiagnosticReport?patient={NAMED}/Patient/demo")).await.json();
        assert!(found["total"].as_u64() > Some(0), "{found}");
    }
    // By the address it is reached at, it is not a server anybody named.
    let mut request = hospital.ehr.authorized_request("demo").unwrap();
    request["fhirServer"] = json!(hospital.ehr.fhir_base.as_str());
    assert_eq!(hospital.sign(&request).await.outcome().2, "fhirServer");
    hospital.close().await;
}

/// The real binary, whose environment names a proxy in every way there is.
#[tokio::test]
async fn proxies_named_by_the_environment_are_not_used() {
    let (trap, listening) = Traps::set(&["127.0.0.1:0".parse().unwrap()]).await;
    let ehr = demo::start(&[patient("no-imaging")], TOKEN_FREE, TOKEN_FREE).await.unwrap();
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("curbside.toml");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = format!(
        "listen = \"{free}\"\n[[ehr]]\nfhir = \"https://ehr.example/fhir\"\nreachable = {{ \"https://ehr.example/fhir\" = \"{}\" }}\n[store]\npath = {:?}\n",
        ehr.fhir_base,
        folder.path().join("c.db").display().to_string(),
    );
    std::fs::write(&config, text).unwrap();
    let mut command = curbside(&["serve", "--config", &config.display().to_string()]);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "FTP_PROXY", "SOCKS_PROXY", "PROXY"] {
        for name in [name.to_owned(), name.to_lowercase()] {
            command.env(name, format!("http://{}", listening[0]));
        }
    }
    command.env("NO_PROXY", "").env("no_proxy", "").env_remove("REQUEST_METHOD");
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = ehr.authorized_request("no-imaging").unwrap();
    request["hook"] = json!("patient-view");
    request["fhirServer"] = json!("https://ehr.example/fhir");
    request["context"].as_object_mut().unwrap().remove("draftOrders");
    let mut answer = None;
    for _ in 0..600 {
        let call =
            client.post(format!("http://{free}/cds-services/chart-summary")).header("content-type", "application/json");
        match call.body(request.to_string()).send().await {
            Ok(response) => {
                answer = Some((response.status().as_u16(), response.text().await.unwrap()));
                break;
            }
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let (status, text) = answer.expect("an answer");
    assert_eq!((status, trap.caught()), (200, vec![]), "{text}");
    assert!(text.contains("none recorded in the EHR"), "the EHR was read: {text}");
    assert!(ehr.requests.under("/fhir/AllergyIntolerance").iter().all(|r| r.authorization));
    ehr.shutdown().await;
}
