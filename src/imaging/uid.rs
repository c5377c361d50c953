//! DICOM unique identifiers. <https://dicom.nema.org/medical/dicom/current/output/chtml/part05/chapter_9.html>

/// The UID in `text`, with or without FHIR's `urn:oid:`; `None` unless it is digits in dotted groups, at most 64 characters.
///
/// Safe as a URL path segment. Leading zeros in a group are let pass: archives hold such UIDs and compare them as text.
pub(super) fn parse(text: &str) -> Option<&str> {
    let uid = text.trim();
    let uid = uid.strip_prefix("urn:oid:").unwrap_or(uid);
    let groups = uid.split('.').all(|group| !group.is_empty() && group.bytes().all(|b| b.is_ascii_digit()));
    (groups && uid.len() <= 64).then_some(uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_dotted_digits_are_a_uid() {
        assert_eq!(parse("urn:oid:1.2.840.10008"), Some("1.2.840.10008"));
        assert_eq!(parse(" 1.2.3 "), Some("1.2.3"));
        let long = format!("1.{}", "2".repeat(63));
        for text in
            ["", ".", "..", "1..2", "1.2.", "1.2/../3", "1.2%2f3", "urn:oid:", "urn:uuid:1", "1.2.a", "１.2", &long]
        {
            assert_eq!(parse(text), None, "{text}");
        }
        assert!(parse(&long[..64]).is_some());
    }
}
