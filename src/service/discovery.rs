//! What `GET /cds-services` shows. <https://cds-hooks.hl7.org/2.0/#discovery>

use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::{PrefetchTemplate, Service};

/// The body of discovery; `services` may be empty, never absent.
#[derive(Serialize, ToSchema)]
pub struct Discovery<'a> {
    services: Vec<Entry<'a>>,
}

/// A service offered, and what to send it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Service)]
struct Entry<'a> {
    hook: &'a str,
    id: &'a str,
    title: &'a str,
    description: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty", serialize_with = "in_order")]
    #[schema(value_type = Option<std::collections::BTreeMap<String, String>>, nullable = false)]
    prefetch: &'a [PrefetchTemplate],
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    usage_requirements: Option<&'a str>,
    /// A proposal (FHIR-57316): the client shows a wait indicator.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    potentially_long_running: bool,
}

/// A template may depend on one before it, so their order is part of the message.
fn in_order<S: Serializer>(templates: &[PrefetchTemplate], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(templates.iter().map(|template| (&template.key, &template.query)))
}

/// What is shown of these services.
pub fn discovery<'a>(services: impl IntoIterator<Item = &'a Service>) -> Discovery<'a> {
    let entry = |service: &'a Service| Entry {
        hook: &service.hook,
        id: &service.id,
        title: &service.title,
        description: &service.description,
        prefetch: &service.prefetch,
        usage_requirements: service.usage_requirements.as_deref(),
        potentially_long_running: service.task.is_some(),
    };
    Discovery { services: services.into_iter().map(entry).collect() }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::service::load;

    #[test]
    fn no_services_is_an_empty_array() {
        assert_eq!(serde_json::to_string(&discovery([])).unwrap(), r#"{"services":[]}"#);
    }

    #[test]
    fn optional_members_are_left_out_never_null() {
        let services = load(None).unwrap();
        let shown = serde_json::to_value(discovery(&services.0)).unwrap();
        for entry in shown["services"].as_array().unwrap() {
            let entry = entry.as_object().unwrap();
            assert!(["hook", "id", "description"].iter().all(|member| entry[*member].is_string()));
            assert!(entry.values().all(|value| !value.is_null() && value != ""));
            assert!(entry["prefetch"].as_object().unwrap().values().all(Value::is_string));
        }
        assert!(shown["services"].as_array().unwrap().iter().any(|entry| entry.get("usageRequirements").is_none()));
    }

    #[test]
    fn only_services_with_a_model_say_that_they_may_be_slow() {
        let services = load(None).unwrap();
        let shown = serde_json::to_value(discovery(&services.0)).unwrap();
        for (service, shown) in services.0.iter().zip(shown["services"].as_array().unwrap()) {
            assert_eq!(shown.get("potentiallyLongRunning").is_some(), service.task.is_some(), "{}", service.id);
        }
    }

    #[test]
    fn templates_keep_their_order() {
        let services = load(None).unwrap();
        let text = serde_json::to_string(&discovery(&services.0[..1])).unwrap();
        let places: Vec<_> =
            services.0[0].prefetch.iter().map(|t| text.find(&format!("\"{}\":", t.key)).unwrap()).collect();
        assert!(places.is_sorted(), "{text}");
    }
}
