pub mod documented;

use std::sync::OnceLock;

use axum::{
    body::to_bytes,
    http::{Method, StatusCode},
};
use serde_json::Value;

use self::documented::Document;
use super::*;
use crate::http::{
    router,
    tests::{ask, send},
};

/// What the routes say of themselves.
pub fn document() -> &'static Document {
    static DOCUMENT: OnceLock<Document> = OnceLock::new();
    let base = || Url::parse("https://curbside.example").unwrap();
    DOCUMENT.get_or_init(|| Document::new(serde_json::to_value(router::routes(&base()).into_openapi()).unwrap()))
}

#[tokio::test]
async fn the_document_is_served() {
    let response = send(None, ask(Method::GET, "/openapi.json")).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
    let served: Value = serde_json::from_slice(&to_bytes(response.into_body(), 1 << 20).await.unwrap()).unwrap();
    assert_eq!(served, document().json);
    assert_eq!(
        (&served["openapi"], &served["servers"][0]["url"]),
        (&"3.1.0".into(), &"https://curbside.example".into())
    );
    let text = served.to_string();
    for word in ["sqlx", "crate::", "src/", env!("CARGO_MANIFEST_DIR")] {
        assert!(!text.contains(word), "{word}");
    }
}

#[test]
fn no_route_is_without_its_description() {
    // Pages in place of the start page are no interface.
    let router = include_str!("../../router.rs").replacen("routes.merge(site(app.clone()))", "", 1);
    // Every other way to add a route leaves it out of the document.
    for undescribed in [".route(", ".route_service(", ".fallback(", ".nest(", ".nest_service(", ".merge("] {
        assert!(!router.contains(undescribed), "{undescribed}");
    }
    let added = router.matches(".routes(routes!(").count();
    let paths = document().json["paths"].as_object().unwrap();
    assert_eq!(paths.values().map(|methods| methods.as_object().unwrap().len()).sum::<usize>(), added);
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().unwrap() {
            let said = |member: &str| operation[member].as_str().is_some_and(|text| !text.is_empty());
            assert!(said("summary") && said("operationId"), "{method} {path}");
            assert_eq!(operation["tags"].as_array().unwrap().len(), 1, "{method} {path}");
            let named = path.matches('{').count();
            let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
            assert_eq!(parameters.iter().filter(|p| p["in"] == "path").count(), named, "{method} {path}");
            assert!(parameters.iter().all(|p| p["description"].is_string() && p["schema"].is_object()), "{path}");
            for (status, response) in operation["responses"].as_object().unwrap() {
                let told =
                    response["$ref"].is_string() || response["description"].as_str().is_some_and(|d| !d.is_empty());
                assert!(told, "{method} {path} {status}");
            }
        }
    }
}

#[tokio::test]
async fn every_kind_of_refusal_is_described_as_it_is_answered() {
    let document = document();
    for kind in Kind::ALL {
        let described = &document.json["components"]["responses"][name(kind)];
        let response = Error::new(kind, "a sentence").at("context.patientId").into_response();
        assert_eq!(described["headers"]["Retry-After"].is_object(), response.headers().contains_key("retry-after"));
        let content = described["content"].as_object().unwrap();
        assert_eq!(content.keys().collect::<Vec<_>>(), ["application/fhir+json"]);
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        let validator = document.validator(&content["application/fhir+json"]["schema"]);
        assert!(validator.is_valid(&body), "{kind:?}: {body}");
        let mut wrong = body.clone();
        wrong["issue"][0]["code"] = "marker".into();
        assert!(!validator.is_valid(&wrong) && !validator.is_valid(&Value::Null), "{kind:?}");
    }
}

/// Every operation says of its own refusals what the tables say of their kinds.
#[test]
fn a_status_refers_to_a_kind_of_that_status() {
    for (path, methods) in document().json["paths"].as_object().unwrap() {
        for operation in methods.as_object().unwrap().values() {
            let responses = operation["responses"].as_object().unwrap();
            for always in ["400", "403", "500"] {
                assert!(responses.contains_key(always), "{path} {always}");
            }
            for (code, response) in responses {
                let Some(reference) = response["$ref"].as_str() else { continue };
                let kind = Kind::ALL.into_iter().find(|kind| reference.ends_with(&format!("/{}", name(*kind))));
                assert_eq!(status(kind.unwrap()).as_str(), code, "{path}");
            }
        }
    }
}
