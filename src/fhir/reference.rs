//! References between resources. <https://hl7.org/fhir/R4/references.html>

use url::Url;

/// Longer than FHIR's 64 characters: such ids are seen in the field.
const MAX_ID: usize = 128;

/// Whether `text` may be a resource's id: the standard's characters and the underscore that some servers use, and nothing
/// that is a path.
pub fn is_id(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    (1..=MAX_ID).contains(&text.len()) && text.chars().all(allowed) && text.chars().any(|c| c != '.')
}

/// A literal reference to a resource, relative (`Type/id`) or absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference<'a> {
    /// What stands before `Type/id`; empty when relative.
    pub base: &'a str,
    pub resource_type: &'a str,
    pub id: &'a str,
}

impl<'a> Reference<'a> {
    /// `Type/id`, `https://host/base/Type/id`, either with `/_history/v`. Fragments, `urn:` and anything else are `None`.
    pub fn parse(text: &'a str) -> Option<Reference<'a>> {
        let text = text.split("/_history/").next()?;
        let (rest, id) = text.rsplit_once('/')?;
        let (base, resource_type) = rest.rsplit_once('/').unwrap_or(("", rest));
        let named = resource_type.starts_with(|c: char| c.is_ascii_uppercase())
            && resource_type.chars().all(|c| c.is_ascii_alphabetic());
        let based = base.is_empty() || base.starts_with("http://") || base.starts_with("https://");
        (named && is_id(id) && based).then_some(Reference { base, resource_type, id })
    }

    /// Whether this names that resource of the server at `base`.
    pub fn is(&self, base: &Url, resource_type: &str, id: &str) -> bool {
        self.resource_type == resource_type
            && self.id == id
            && (self.base.is_empty() || self.base.trim_end_matches('/') == base.as_str().trim_end_matches('/'))
    }

    /// The absolute form: `Patient/123` exists at every hospital, so ours always carry the base.
    pub fn absolute(&self, base: &Url) -> String {
        let base = if self.base.is_empty() { base.as_str() } else { self.base };
        format!("{}/{}/{}", base.trim_end_matches('/'), self.resource_type, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_and_relative_forms_meet() {
        let base = Url::parse("https://ehr.example/fhir").unwrap();
        let relative = Reference::parse("Patient/12").unwrap();
        assert_eq!(relative.absolute(&base), "https://ehr.example/fhir/Patient/12");
        let absolute = Reference::parse("https://ehr.example/fhir/Patient/12/_history/3").unwrap();
        assert!(absolute.is(&base, "Patient", "12") && relative.is(&base, "Patient", "12"));
        assert!(!Reference::parse("https://other.example/fhir/Patient/12").unwrap().is(&base, "Patient", "12"));
    }

    #[test]
    fn what_is_no_literal_reference_is_none() {
        for text in [
            "",
            "#contained",
            "Patient",
            "Patient/",
            "urn:uuid:0c3151bd",
            "patient/1",
            "Patient/..",
            "javascript:alert(1)/Patient/1",
            "Patient/a b",
        ] {
            assert!(Reference::parse(text).is_none(), "{text}");
        }
    }
}
