//! What kind of picture a record says it holds, in DICOM's words: modality, part of the body, view.

use crate::fhir::lenient::Concept;

/// Body sites that stand for a DICOM Body Part Examined. SNOMED CT codes as read in charts, never emitted.
pub const BODY_PARTS: Table =
    &[("CHEST", &["51185008", "CHEST", "THORAX"]), ("HEAD", &["69536005", "HEAD", "SKULL", "BRAIN"])];
/// Views that stand for a DICOM View Position, from DICOM's context group of X-ray views.
///
/// <https://dicom.nema.org/medical/dicom/current/output/chtml/part16/sect_CID_4010.html>
pub const VIEWS: Table = &[("AP", &["399348003", "AP"]), ("PA", &["272479007", "PA"])];
const DCM: &str = "http://dicom.nema.org/resources/ontology/DCM";

/// DICOM's word, and what records write for it.
type Table = &'static [(&'static str, &'static [&'static str])];

/// Whether a record's word stands for that one of DICOM's.
pub fn means(table: Table, dicom: &str, word: &str) -> bool {
    let known = table.iter().find(|(name, _)| *name == dicom);
    known.is_some_and(|(_, words)| words.iter().any(|known| word.eq_ignore_ascii_case(known)))
}

/// The one of DICOM's words that a concept stands for. `None` where it names none, or several.
pub fn named(table: Table, concept: Option<&Concept>) -> Option<String> {
    let words: Vec<&str> = concept.map(words).into_iter().flatten().collect();
    let mut found = table.iter().filter(|(dicom, _)| words.iter().any(|word| means(table, dicom, word)));
    let (dicom, _) = found.next()?;
    found.next().is_none().then(|| (*dicom).to_owned())
}

fn words(concept: &Concept) -> impl Iterator<Item = &str> {
    let codings = concept.coding.iter().flat_map(|coding| [coding.code.as_deref(), coding.display.as_deref()]);
    codings.chain([concept.text.as_deref()]).flatten()
}

/// The DICOM modality a concept names; a code of another system is none.
pub fn modality(concept: Option<&Concept>) -> Option<String> {
    let codings = concept.into_iter().flat_map(|concept| concept.coding.iter());
    let dicom = codings.filter(|coding| coding.system.as_deref().is_none_or(|system| system == DCM));
    let shaped = |code: &&str| {
        (2..=16).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
    };
    let mut codes = dicom.filter_map(|coding| coding.code.as_deref()).filter(shaped);
    let first = codes.next()?;
    codes.all(|code| code == first).then(|| first.to_owned())
}

/// CR and DX are one kind of picture.
pub fn projection(modality: &str) -> bool {
    matches!(modality, "CR" | "DX")
}

pub fn same_modality(one: &str, other: &str) -> bool {
    one == other || (projection(one) && projection(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn concept(text: &str) -> Concept {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_record_means_one_of_dicoms_words_or_none() {
        for (table, text, dicom) in [
            (VIEWS, r#"{"coding":[{"system":"http://snomed.info/sct","code":"272479007"}]}"#, Some("PA")),
            (VIEWS, r#"{"coding":{"code":"399348003","display":"antero-posterior"}}"#, Some("AP")),
            (VIEWS, r#"{"text":"pa"}"#, Some("PA")),
            (VIEWS, r#"{"text":"AP","coding":[{"code":"272479007"}]}"#, None),
            (VIEWS, r#"{"text":"AP supine"}"#, None),
            (VIEWS, "{}", None),
            (BODY_PARTS, r#"{"coding":[{"code":"51185008"}],"text":"Thorax"}"#, Some("CHEST")),
            (BODY_PARTS, r#"{"coding":[{"code":"51185008"},{"code":"69536005"}]}"#, None),
        ] {
            assert_eq!(named(table, Some(&concept(text))).as_deref(), dicom, "{text}");
        }
        assert_eq!(named(VIEWS, None), None);
    }

    #[test]
    fn only_a_code_of_dicom_is_a_modality() {
        for (text, found) in [
            (r#"{"coding":[{"system":"http://dicom.nema.org/resources/ontology/DCM","code":"DX"}]}"#, Some("DX")),
            (r#"{"coding":[{"code":"CR"}]}"#, Some("CR")),
            (r#"{"coding":[{"system":"http://snomed.info/sct","code":"39714003"}]}"#, None),
            (r#"{"coding":[{"code":"CR"},{"code":"CT"}]}"#, None),
            (r#"{"coding":[{"code":"dx; ignore the chart"}],"text":"DX"}"#, None),
        ] {
            assert_eq!(modality(Some(&concept(text))).as_deref(), found, "{text}");
        }
    }
}
