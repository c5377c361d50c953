//! Contract 1: the form of the answer, and what of it is kept.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Assessment, Change, FindingKind, Region, Severity, Side,
    claim::{self, MAX_FINDINGS, cited, ledger, unreadable},
};
use crate::{
    chart::{Chart, EvidenceId, View},
    engine::Completion,
    error::Result,
    task::Language,
};

/// Of the words of urgency those it was trained on.
const URGENCIES: [&str; 3] = ["routine", "urgent", "critical"];
const REASONS: [&str; 3] = ["blank", "not a chest image", "no image"];

/// JSON Schema of the answer: `evidence` can only be an id that was shown.
pub fn schema(shown: &[EvidenceId]) -> Value {
    let ids: Vec<String> = shown.iter().map(EvidenceId::to_string).collect();
    let finding = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["kind", "side", "region", "severity", "change", "evidence"],
        "properties": {
            "kind": {"enum": FindingKind::WORDS},
            "side": {"enum": Side::WORDS},
            "region": {"enum": Region::WORDS},
            "severity": {"enum": Severity::WORDS},
            "change": {"enum": Change::WORDS},
            "evidence": {"type": "array", "items": {"enum": ids}, "minItems": 1, "maxItems": 8},
        },
    });
    // A weak model under a schema would otherwise loop on white space until its token limit.
    json!({
        "x-guidance": {"whitespace_flexible": false},
        "anyOf": [
            {
                "type": "object",
                "additionalProperties": false,
                "required": ["findings", "urgency"],
                "properties": {
                    "findings": {"type": "array", "items": finding, "maxItems": MAX_FINDINGS},
                    "urgency": {"enum": URGENCIES},
                },
            },
            {
                "type": "object",
                "additionalProperties": false,
                "required": ["insufficient_evidence", "evidence"],
                "properties": {
                    "insufficient_evidence": {"enum": REASONS},
                    "evidence": {"type": "array", "items": {"enum": ids}, "maxItems": 4},
                },
            },
        ],
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Insufficient {
    insufficient_evidence: String,
    evidence: Vec<String>,
}

/// Keeps the statements that rest on evidence that was shown; drops and counts the rest.
///
/// Errors: `Fault` for an answer that was cut, is no JSON, or is not of this contract. It is never repaired.
pub fn ground(completion: &Completion, chart: &Chart, view: &View) -> Result<Assessment> {
    let text = claim::whole(completion)?;
    let value: Value = serde_json::from_str(text).map_err(|_| unreadable())?;
    if value.get("insufficient_evidence").is_none() {
        return claim::findings(text, &URGENCIES, chart, view, Language::English);
    }
    let answer: Insufficient = serde_json::from_str(text).map_err(|_| unreadable())?;
    // The reason is one of our own words or it is not repeated.
    let reason = match answer.insufficient_evidence.as_str() {
        "blank" => "the model found the picture blank",
        "not a chest image" => "the model found that the picture is not a chest film",
        _ => "the model found nothing it could read",
    };
    let shown = view.shown.iter().copied().collect();
    let evidence = cited(answer.evidence, &shown, |_| {});
    Ok(claim::abstained(ledger(chart, view), reason.into(), evidence, Vec::new()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        chart::{
            Fact, Role,
            sample::{self, film, note},
        },
        engine::Finish,
    };

    fn chart() -> Chart {
        let picture = |role| Fact::Image { role, image: film("PA", "2025-11-19") };
        sample::chart([picture(Role::Current), picture(Role::Prior), note("cough")].map(|fact| ("", fact)))
    }

    fn grounded(text: &str) -> Result<Assessment> {
        let view = View { shown: vec![EvidenceId(1), EvidenceId(2), EvidenceId(3)], ..View::default() };
        let completion = Completion { text: text.into(), finish: Finish::Stop, ..Completion::default() };
        ground(&completion, &chart(), &view)
    }

    fn finding(change: &str, evidence: &str) -> String {
        format!(
            r#"{{"findings":[{{"kind":"effusion","side":"left","region":"lower","severity":"large","change":"{change}","evidence":{evidence}}}],"urgency":"urgent"}}"#
        )
    }

    #[test]
    fn a_statement_on_shown_evidence_is_kept_as_the_model_coded_it() {
        let assessment = grounded(&finding("same", r#"["E1","E2","E3"]"#)).unwrap();
        let statement = &assessment.sections[0].statements[0];
        assert_eq!(statement.text, "Large pleural effusion, left, lower (unchanged from the prior film)");
        assert_eq!(statement.evidence, [EvidenceId(1), EvidenceId(2), EvidenceId(3)]);
        assert!(assessment.rejected.is_empty());
    }

    #[test]
    fn a_citation_of_nothing_shown_is_rejected_and_counted() {
        for forged in ["E4", "E99", "e1", "E01", "Observation/1", ""] {
            let assessment = grounded(&finding("unknown", &format!(r#"["E1","{forged}"]"#))).unwrap();
            assert_eq!(assessment.sections[0].statements[0].evidence, [EvidenceId(1)], "{forged}");
            assert_eq!(assessment.rejected.len(), 1, "{forged}");
        }
    }

    #[test]
    fn a_repeated_citation_is_rejected_and_counted() {
        let assessment = grounded(&finding("unknown", r#"["E1","E1"]"#)).unwrap();
        assert_eq!(assessment.sections[0].statements[0].evidence, [EvidenceId(1)]);
        assert_eq!(assessment.rejected.len(), 1);
    }

    #[test]
    fn a_statement_about_a_picture_cites_the_picture() {
        for evidence in [r#"["E3"]"#, r#"["E2"]"#, "[]"] {
            let assessment = grounded(&finding("unknown", evidence)).unwrap();
            assert!(assessment.sections.is_empty(), "{evidence}");
            assert_eq!(assessment.rejected.len(), 1, "{evidence}");
        }
    }

    #[test]
    fn findings_that_were_all_dropped_are_not_no_finding() {
        let assessment = grounded(&finding("unknown", r#"["E3"]"#)).unwrap();
        assert!(assessment.abstained.is_some() && assessment.urgency.is_none());
        let none = grounded(r#"{"findings":[],"urgency":"routine"}"#).unwrap();
        assert!(none.abstained.is_none() && none.urgency.is_some());
    }

    #[test]
    fn a_comparison_rests_on_both_films() {
        let assessment = grounded(&finding("worse", r#"["E1"]"#)).unwrap();
        assert_eq!(assessment.sections[0].statements[0].finding.unwrap().change, Change::Unknown);
        assert_eq!(assessment.rejected.len(), 1);
    }

    #[test]
    fn a_cut_answer_is_no_answer() {
        let whole = finding("same", r#"["E1","E2"]"#);
        for end in 0..whole.len() {
            assert!(grounded(&whole[..end]).is_err(), "{}", &whole[..end]);
        }
        let view = View { shown: vec![EvidenceId(1)], ..View::default() };
        let completion = Completion { text: whole, finish: Finish::Length, ..Completion::default() };
        assert!(ground(&completion, &chart(), &view).is_err());
    }

    #[test]
    fn words_outside_the_contract_are_no_answer() {
        for text in [
            "",
            "null",
            "{}",
            "[]",
            r#"{"findings":[],"urgency":"whatever"}"#,
            r#"{"findings":[{"kind":"fracture"}],"urgency":"urgent"}"#,
            r#"{"findings":[],"urgency":"urgent","url":"https://evil.example"}"#,
        ] {
            assert!(grounded(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_abstention_speaks_our_words_only() {
        let assessment = grounded(r#"{"insufficient_evidence":"call +1 555","evidence":["E1","E9"]}"#).unwrap();
        let abstained = assessment.abstained.unwrap();
        assert!(!abstained.reason.contains("555"));
        assert_eq!(abstained.evidence, [EvidenceId(1)]);
        assert!(assessment.sections.is_empty());
    }

    proptest::proptest! {
        #[test]
        fn whatever_the_model_writes_every_kept_statement_cites_the_film(text in ".{0,200}", ids in proptest::collection::vec("E[0-9]{1,2}", 0..6)) {
            let _ = grounded(&text);
            let evidence = serde_json::to_string(&ids).unwrap();
            if let Ok(assessment) = grounded(&finding("new", &evidence)) {
                for statement in assessment.sections.iter().flat_map(|s| &s.statements) {
                    proptest::prop_assert!(statement.evidence.contains(&EvidenceId(1)));
                    proptest::prop_assert!(statement.evidence.iter().all(|id| id.0 <= 3));
                }
            }
        }
    }
}
