//! Searches as text: what is asked, and what a server says it was asked. <https://hl7.org/fhir/R4/search.html>

use url::form_urlencoded;

/// `Type?name=value&…` with the values encoded.
pub fn query(resource_type: &str, parameters: &[(&str, &str)]) -> String {
    let encoded = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    format!("{resource_type}?{encoded}")
}

/// No server takes a longer address, so no link that is longer is one.
const LONGEST_LINK: usize = 8 << 10;

/// Whether the link of a search asks for what `query` asks for, neither more narrowly nor for something else.
pub fn same_search(link: &str, query: &str) -> bool {
    // How many come at once, in which order and in which form does not change what is found.
    const FORM: [&str; 6] = ["_count", "_sort", "_format", "_pretty", "_total", "_include"];
    let split = |text: &str| -> Option<(String, Vec<(String, String)>)> {
        let (path, parameters_of) = text.split_once('?')?;
        let resource_type = path.trim_end_matches("/_search").rsplit('/').next()?.to_owned();
        let named = form_urlencoded::parse(parameters_of.as_bytes())
            .into_owned()
            // None at once is no search but a count.
            .filter(|(name, value)| !FORM.contains(&name.as_str()) || (name == "_count" && value == "0"));
        // A code with its system or a reference with its type is the same value, said in full.
        let bare = |value: &str| value.rsplit(['|', '/']).next().unwrap_or_default().to_owned();
        let bare = |values: String| values.split(',').map(bare).collect::<Vec<_>>().join(",");
        let mut named: Vec<_> = named.map(|(name, value)| (name, bare(value))).collect();
        named.sort();
        Some((resource_type, named))
    };
    link.len() <= LONGEST_LINK && split(link).is_some_and(|link| split(query) == Some(link))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_encoded() {
        assert_eq!(
            query("Observation", &[("patient", "1 &2"), ("code", "a|b")]),
            "Observation?patient=1+%262&code=a%7Cb"
        );
    }

    #[test]
    fn a_link_says_the_same_in_its_own_way_and_nothing_else() {
        let asked =
            query("Observation", &[("patient", "1"), ("code", "http://loinc.org|718-7,http://loinc.org|2160-0")]);
        for same in [
            "Observation?code=718-7,2160-0&patient=1",
            "https://ehr.example/fhir/Observation?patient=Patient/1&code=http://loinc.org%7C718-7,2160-0&_count=50",
            "Observation/_search?_sort=-date&patient=1&code=718-7,2160-0",
        ] {
            assert!(same_search(same, &asked), "{same}");
        }
        let long = format!("Observation?patient=1&code=718-7,2160-0&_sort={}", "x".repeat(LONGEST_LINK));
        for other in [
            "Observation?patient=2&code=718-7,2160-0",
            "Observation?patient=1&code=718-7",
            "Observation?patient=1",
            "Observation?patient=1&code=718-7,2160-0&status=final",
            "Observation?patient=1&code=718-7,2160-0&_count=0",
            "Condition?patient=1&code=718-7,2160-0",
            "Observation",
            "",
            &long,
        ] {
            assert!(!same_search(other, &asked), "{other:.80}");
        }
    }
}
