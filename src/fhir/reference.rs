//! References between resources. <https://hl7.org/fhir/R4/references.html>

use crate::egress::Base;

/// Longer than FHIR's 64 characters: such ids are seen in the field.
const MAX_ID: usize = 128;

/// Whether `text` may be a resource's id: the standard's characters and the underscore that some servers use, and nothing
/// that is a path.
pub fn is_id(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    (1..=MAX_ID).contains(&text.len()) && text.bytes().all(allowed) && text.bytes().any(|b| b != b'.')
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
        // Nearly none names a version, and to look for one takes longer than all the rest.
        let text = if text.contains('_') { text.split("/_history/").next()? } else { text };
        let (rest, id) = text.rsplit_once('/')?;
        let (base, resource_type) = rest.rsplit_once('/').unwrap_or(("", rest));
        let named = resource_type.starts_with(|c: char| c.is_ascii_uppercase())
            && resource_type.bytes().all(|b| b.is_ascii_alphabetic());
        let server = base.strip_prefix("http://").or_else(|| base.strip_prefix("https://"));
        let based = base.is_empty() || server.is_some_and(|server| !server.is_empty() && !server.starts_with('/'));
        (named && is_id(id) && based).then_some(Reference { base, resource_type, id })
    }

    /// Whether this names that resource of the server at `base`.
    pub fn is(&self, base: &Base, resource_type: &str, id: &str) -> bool {
        self.resource_type == resource_type && self.id == id && self.is_of(base)
    }

    fn is_of(&self, base: &Base) -> bool {
        self.base.is_empty() || base.is(self.base)
    }

    /// The absolute form: `Patient/123` exists at every hospital, so ours always carry the base, as the server is named.
    pub fn absolute(&self, base: &Base) -> String {
        let base = if self.is_of(base) { base.as_str() } else { self.base };
        [base.trim_end_matches('/'), self.resource_type, self.id].join("/")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn absolute_and_relative_forms_meet() {
        let base: Base = "https://ehr.example/fhir".parse().unwrap();
        let relative = Reference::parse("Patient/12").unwrap();
        assert_eq!(relative.absolute(&base), "https://ehr.example/fhir/Patient/12");
        let absolute = Reference::parse("https://ehr.example/fhir/Patient/12/_history/3").unwrap();
        assert!(absolute.is(&base, "Patient", "12") && relative.is(&base, "Patient", "12"));
        assert!(!Reference::parse("https://other.example/fhir/Patient/12").unwrap().is(&base, "Patient", "12"));
    }

    #[test]
    fn a_server_is_named_by_its_name_whatever_it_calls_itself() {
        let [name, address] = ["https://ehr.example/fhir", "http://10.0.0.5:8080/r4/"].map(|b| b.parse().unwrap());
        let base = Base::new(name, address);
        for text in [
            "Patient/12",
            "https://ehr.example/fhir/Patient/12",
            "https://EHR.example:443/fhir//Patient/12",
            "http://10.0.0.5:8080/r4/Patient/12",
        ] {
            let reference = Reference::parse(text).unwrap();
            assert!(reference.is(&base, "Patient", "12"), "{text}");
            assert_eq!(reference.absolute(&base), "https://ehr.example/fhir/Patient/12", "{text}");
        }
        for text in [
            "http://10.0.0.5/r4/Patient/12",
            "https://a@ehr.example/fhir/Patient/12",
            "https://ehr.example/r4/Patient/12",
        ] {
            let reference = Reference::parse(text).unwrap();
            assert!(!reference.is(&base, "Patient", "12"), "{text}");
            assert_eq!(reference.absolute(&base), text);
        }
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
            "http:///Patient/1",
            "https:////Patient/1",
            "Patient/a b",
            "Patient/é",
            "Patient/１",
            "Pätient/1",
        ] {
            assert!(Reference::parse(text).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_reference_or_none_and_a_reference_is_its_text(
            text in "\\PC{0,40}|(https?://[a-z./:@%]{0,20}/)?[A-Z][A-Za-z]{0,12}/[A-Za-z0-9._-]{0,140}(/_history/[0-9a-z/]{0,5})?"
        ) {
            let base: Base = "https://ehr.example/fhir/".parse().unwrap();
            if let Some(reference) = Reference::parse(&text) {
                prop_assert!(is_id(reference.id) && !reference.id.contains('/'));
                let absolute = reference.absolute(&base);
                let again = Reference::parse(&absolute).unwrap();
                prop_assert_eq!((again.resource_type, again.id), (reference.resource_type, reference.id));
                prop_assert_eq!(again.absolute(&base), absolute.clone());
                prop_assert_eq!(reference.base.is_empty(), again.is(&base, reference.resource_type, reference.id) && !text.starts_with("http"));
            }
        }
    }
}
