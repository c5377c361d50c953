//! Whether an answer is one that the OpenAPI document tells of; for unit and integration tests alike.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use jsonschema::Validator;
use serde_json::{Value, json};

/// The document, and what its schemas were made into.
pub struct Document {
    pub json: Value,
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

/// An answer as far as a document speaks of it.
pub struct Answer<'a> {
    pub status: u16,
    pub header: &'a dyn Fn(&str) -> Option<String>,
    pub body: &'a [u8],
}

impl Document {
    pub fn new(json: Value) -> Document {
        Document { json, validators: Mutex::default() }
    }

    /// Panics where a request to `target` was answered otherwise than the document says.
    #[track_caller]
    pub fn check(&self, method: &str, target: &str, answer: &Answer) {
        let path = target.split('?').next().unwrap_or_default();
        let what = format!("{method} {path}: {}", answer.status);
        let response = self.response(method, path, answer.status);
        let response = response.unwrap_or_else(|| panic!("{what}: the document does not tell of that status"));
        for (name, _) in response["headers"].as_object().into_iter().flatten() {
            assert!((answer.header)(name).is_some(), "{what}: without {name}");
        }
        let Some(content) = response["content"].as_object() else {
            return assert!(answer.body.is_empty(), "{what}: the document tells of no body");
        };
        let media_type = (answer.header)("content-type").unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default();
        let content =
            content.get(media_type).unwrap_or_else(|| panic!("{what}: the document tells of no {media_type:?}"));
        if method != "HEAD" && media_type.ends_with("json") {
            let body: Value = serde_json::from_slice(answer.body).unwrap_or_else(|e| panic!("{what}: {e}"));
            if let Err(error) = self.validator(&content["schema"]).validate(&body) {
                panic!("{what}: {error} at {}: {body}", error.instance_path());
            }
        }
    }

    /// What the document says of that status; of a path or a method that is none, the refusals that all have in common.
    fn response(&self, method: &str, path: &str, status: u16) -> Option<&Value> {
        let templates = self.json["paths"].as_object()?;
        let matching = templates.iter().filter(|(template, _)| matches(template, path));
        // A path of its own comes before one that any name would fit.
        let operations = matching.min_by_key(|(template, _)| template.matches('{').count()).map(|(_, methods)| methods);
        let method = if method == "HEAD" { "get".to_owned() } else { method.to_lowercase() };
        let response = match operations.map(|methods| &methods[method]) {
            Some(operation) if operation.is_object() => &operation["responses"][status.to_string()],
            none => {
                let kind = match (status, none) {
                    (400, _) => "Invalid",
                    (403, _) => "Forbidden",
                    (404, None) => "NotFound",
                    (405, Some(_)) => "MethodNotAllowed",
                    _ => return None,
                };
                &self.json["components"]["responses"][kind]
            }
        };
        let referred = response["$ref"].as_str().and_then(|reference| self.json.pointer(reference.strip_prefix('#')?));
        referred.or(Some(response)).filter(|response| response.is_object())
    }

    /// A validator of a schema that stands in the document.
    pub fn validator(&self, schema: &Value) -> Arc<Validator> {
        let mut made = self.validators.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let make = || {
            let mut schema = schema.clone();
            schema["components"] = json!({ "schemas": self.json["components"]["schemas"] });
            Arc::new(jsonschema::draft202012::new(&schema).expect("a schema"))
        };
        made.entry(schema.to_string()).or_insert_with(make).clone()
    }
}

fn matches(template: &str, path: &str) -> bool {
    let (template, path): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), path.split('/').collect());
    let fits = |(wanted, given): (&&str, &&str)| wanted == given || wanted.starts_with('{') && !given.is_empty();
    template.len() == path.len() && template.iter().zip(&path).all(fits)
}
