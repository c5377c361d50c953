//! A report in Korean beside the same one in English.

use serde_json::{Value, json};

use super::*;

/// Whatever the language, the codes, ids, references and the EHR's texts of a report are the same.
#[test]
fn a_report_in_korean_is_the_same_report() {
    for mut sample in every() {
        let english = sample.draft();
        sample.language = Language::Korean;
        let korean = sample.draft();
        assert_eq!(english.resources.len(), korean.resources.len());
        for (one, other) in english.resources.iter().zip(&korean.resources) {
            let read = !matches!(one["resourceType"].as_str(), Some("Device" | "Provenance"));
            assert_eq!((&one["language"], &other["language"]), (&json!("en"), &json!(if read { "ko" } else { "en" })));
            let mut texts = Vec::new();
            walk(one, "", &mut |path, value| texts.push((path.to_owned(), value.clone())));
            let mut others = Vec::new();
            walk(other, "", &mut |path, value| others.push((path.to_owned(), value.clone())));
            assert_eq!(texts.len(), others.len());
            for ((path, one), (_, other)) in texts.into_iter().zip(others).filter(|(one, _)| one.1.is_string()) {
                let member = path.rsplit('.').next().unwrap();
                let said = ["div", "display", "valueString", "text", "conclusion", "language"].contains(&member);
                assert!(said || one == other, "{path}: {one} {other}");
            }
            let div = other["text"]["div"].as_str().unwrap();
            let language = if read { "lang=\"ko\" xml:lang=\"ko\"" } else { "lang=\"en\" xml:lang=\"en\"" };
            assert!(div.contains(language), "{div}");
            assert!(crate::fhir::check(other).is_ok(), "{other}");
        }
        assert_eq!(korean.page["language"], "ko");
    }
}

/// What the frame of a Korean report says is Korean: with the EHR's and the model's texts in Hangul no English word is left
/// but names, codes and the reasons of gaps.
#[test]
fn no_english_sentence_of_ours_stands_in_a_korean_report() {
    for mut sample in every() {
        sample.language = Language::Korean;
        sample.service.korean =
            Some(crate::service::Named { title: "판독 초안".into(), source_label: "초안".into() });
        sample.options.organization = "기관".into();
        for statement in sample.assessment.sections.iter_mut().flat_map(|section| &mut section.statements) {
            statement.text = "흉수".into();
        }
        sample.assessment.sections.iter_mut().for_each(|section| section.title = "소견".into());
        let draft = sample.draft();
        let report = of(&draft, "DiagnosticReport")[0];
        let mut said = vec![report["conclusion"].to_string(), report["text"]["div"].to_string()];
        said.extend(of(&draft, "Observation").iter().flat_map(|o| {
            [&o["text"]["div"], &o["valueString"], &o["note"][0]["text"], &o["code"]["text"]].map(Value::to_string)
        }));
        walk(&draft.page, "", &mut |path, value| {
            let technical = [
                ".service",
                ".reference",
                "sha256",
                ".model.",
                ".prompt.",
                ".product",
                ".report_id",
                "_uid",
                ".language",
                ".urgency",
                ".role",
                ".transfer_syntax",
                ".record",
                ".media_type",
                ".issued",
            ];
            let text = value
                .as_str()
                .filter(|_| !technical.iter().any(|part| path.contains(part)) || path == ".urgency_words");
            said.extend(text.map(str::to_owned));
        });
        let allowed = [
            "AI",
            "DX",
            "CHEST",
            "PA",
            "CRP",
            "mg",
            "scriptalertzqscript",
            "div",
            "xmlns",
            "http",
            "www",
            "org",
            "xhtml",
            "lang",
            "ko",
            "xml",
            "ul",
            "li",
            "lt",
            "gt",
            "amp",
            "alert",
            "zq",
            "script",
            "small",
            "curbside",
        ];
        let reasons = ["the search failed", "over the line budget", "a citation is repeated"];
        for text in said {
            let text = reasons.iter().fold(text, |text, reason| text.replace(reason, ""));
            let words = text.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| word.len() > 1);
            let ours: Vec<&str> = words.filter(|word| !allowed.contains(word)).collect();
            assert!(ours.is_empty(), "{ours:?} in {text}");
        }
    }
}
