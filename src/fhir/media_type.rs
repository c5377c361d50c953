//! Media types of answers and attachments. <https://hl7.org/fhir/R4/http.html#mime-type>

/// The media type of FHIR in JSON.
pub const FHIR_JSON: &str = "application/fhir+json";

/// A media type in small letters, without its parameters.
pub fn essence(media_type: &str) -> String {
    media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether an essence is one under which servers send FHIR in JSON.
pub fn is_json(essence: &str) -> bool {
    matches!(essence, FHIR_JSON | "application/json+fhir" | "application/json" | "text/json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_parameters_do_not_make_another_type() {
        for (text, json) in [
            ("application/fhir+json", true),
            (" Application/FHIR+JSON ; fhirVersion=4.0; charset=utf-8", true),
            ("application/json+fhir", true),
            ("application/json;charset=utf-8", true),
            ("text/json", true),
            ("", false),
            (";application/json", false),
            ("application/fhir+xml", false),
            ("image/png", false),
        ] {
            assert_eq!(is_json(&essence(text)), json, "{text:?}");
        }
    }
}
