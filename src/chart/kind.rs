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

fn means(words: &[&str], word: &str) -> bool {
    words.iter().any(|known| word.eq_ignore_ascii_case(known))
}

/// The one of DICOM's words that a concept stands for. `None` where it names none, or several.
pub fn named(table: Table, concept: Option<&Concept>) -> Option<String> {
    let mut found = all_named(table, concept);
    let dicom = found.next()?;
    found.next().is_none().then(|| dicom.to_owned())
}

/// Every one of DICOM's words that a concept stands for; more than one where it contradicts itself.
pub fn all_named(table: Table, concept: Option<&Concept>) -> impl Iterator<Item = &'static str> {
    let words = move |known: &[&str]| concept.is_some_and(|concept| words(concept).any(|word| means(known, word)));
    table.iter().filter(move |(_, known)| words(known)).map(|(dicom, _)| *dicom)
}

/// Every one of DICOM's words that a sentence mentions, word by word.
pub fn mentioned(table: Table, sentence: &str) -> impl Iterator<Item = &'static str> {
    table.iter().filter(move |(_, known)| split(sentence).any(|word| means(known, word))).map(|(dicom, _)| *dicom)
}

/// The side of the body that a sentence mentions. `None` where it mentions neither or both.
pub fn side(sentence: &str) -> Option<&'static str> {
    let mentions = |side: &str| split(sentence).any(|word| word.eq_ignore_ascii_case(side));
    match (mentions("left"), mentions("right")) {
        (true, false) => Some("left"),
        (false, true) => Some("right"),
        _ => None,
    }
}

fn split(sentence: &str) -> impl Iterator<Item = &str> {
    sentence.split(|c: char| !c.is_alphanumeric())
}

/// What a concept says: codes and words.
pub fn words(concept: &Concept) -> impl Iterator<Item = &str> {
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
    fn a_sentence_is_read_word_by_word() {
        for (sentence, parts, of_side) in [
            ("XR Chest 2 Views", &["CHEST"][..], None),
            ("x-ray of thorax/head, Left", &["CHEST", "HEAD"], Some("left")),
            ("overhead view of the right hand", &[], Some("right")),
            ("left and RIGHT", &[], None),
            ("leftover", &[], None),
            ("", &[], None),
        ] {
            assert_eq!(mentioned(BODY_PARTS, sentence).collect::<Vec<_>>(), parts, "{sentence}");
            assert_eq!(side(sentence), of_side, "{sentence}");
        }
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
