use super::*;
use crate::{
    chart::{
        Measurement,
        sample::{self, film, note, penicillin_allergy},
    },
    engine::Finish,
    task::{Level, Substance, Test},
};

const DRAFT: Task = Task::ImagingDraft;
const LEFT_EFFUSION: Task = Task::Question(Question::Film(FindingKind::Effusion, Side::Left));
const PENICILLIN: Task = Task::Question(Question::Allergy(Substance::Penicillin));
const HIGH_CRP: Task = Task::Question(Question::Flagged(Test::CReactiveProtein, Level::High));

/// E1 and E2 films, E3 a note, E4 a high C reactive protein, E5 an allergy, E6 a potassium without a flag, E7 not shown.
fn chart() -> Chart {
    let value = |text: &str, loinc: &str, value: &str, flag: Option<&str>| {
        let (loinc, flag) = (vec![loinc.into()], flag.map(Into::into));
        Fact::Measurement(Measurement { loinc, flag, ..sample::measurement(text, value, "mg/L") })
    };
    let facts = [
        Fact::Image { role: Role::Current, image: film("PA", "2025-11-19") },
        Fact::Image { role: Role::Prior, image: film("PA", "2025-06-02") },
        note("cough"),
        value("C reactive protein", "1988-5", "87", Some("H")),
        penicillin_allergy(),
        value("Potassium", "2823-3", "4.0", None),
        value("C reactive protein", "1988-5", "12", Some("H")),
    ];
    sample::chart(facts.map(|fact| ("2025-11-19T08:00:00Z", fact)))
}

fn completion(text: &str, finish: Finish) -> Completion {
    Completion { text: text.into(), finish, ..Completion::default() }
}

fn spoken(text: &str, task: Task, language: Language) -> Result<Assessment> {
    let view = View { shown: (1..7).map(EvidenceId).collect(), ..View::default() };
    ground(&completion(text, Finish::Stop), &chart(), &view, task, language)
}

fn grounded(text: &str, task: Task) -> Result<Assessment> {
    spoken(text, task, Language::English)
}

fn finding(change: &str, evidence: &str) -> String {
    format!(
        r#"{{"findings":[{{"kind":"effusion","side":"left","region":"lower","severity":"small","change":"{change}","evidence":{evidence}}}],"urgency":"soon"}}"#
    )
}

fn copied(evidence: &str, value: &str, unit: &str, date: &str, flag: &str) -> String {
    format!(r#"{{"evidence":"{evidence}","value":"{value}","unit":"{unit}","date":"{date}","flag":"{flag}"}}"#)
}

fn summary(statements: &[String]) -> String {
    format!(r#"{{"statements":[{}]}}"#, statements.join(","))
}

fn answer(word: &str, evidence: &str) -> String {
    format!(r#"{{"answer":"{word}","evidence":{evidence}}}"#)
}

/// One whole answer to each task.
fn whole() -> [(Task, String); 5] {
    [
        (DRAFT, finding("same", r#"["E1","E2"]"#)),
        (Task::Summary, summary(&[copied("E4", "87", "mg/L", "2025-11-19", "high")])),
        (LEFT_EFFUSION, answer("no", r#"["E1"]"#)),
        (PENICILLIN, answer("yes", r#"["E5"]"#)),
        (HIGH_CRP, answer("yes", r#"["E4"]"#)),
    ]
}

fn statements(assessment: &Assessment) -> &[Statement] {
    &assessment.sections[0].statements
}

#[test]
fn a_cut_answer_is_no_answer() {
    for (task, whole) in whole() {
        assert_eq!(statements(&grounded(&whole, task).unwrap()).len(), 1);
        for end in 0..whole.len() {
            assert!(grounded(&whole[..end], task).is_err(), "{}", &whole[..end]);
        }
        let view = View { shown: (1..7).map(EvidenceId).collect(), ..View::default() };
        assert!(ground(&completion(&whole, Finish::Length), &chart(), &view, task, Language::English).is_err());
    }
}

#[test]
fn every_answer_is_of_its_schema_and_no_other_tasks() {
    let ids: Vec<EvidenceId> = (1..7).map(EvidenceId).collect();
    let fits = |task, text: &str| {
        let schema = jsonschema::validator_for(&schema(task, &ids)).unwrap();
        schema.is_valid(&serde_json::from_str(text).unwrap())
    };
    let insufficient =
        |word: &str| format!(r#"{{"insufficient_evidence":"{word}","evidence":["E1"],"urgency":"cannot_determine"}}"#);
    assert!(REASONS.iter().all(|reason| fits(DRAFT, &insufficient(reason))));
    assert!(!fits(DRAFT, &insufficient("tired")) && fits(DRAFT, r#"{"findings":[],"urgency":"routine"}"#));
    assert!(!fits(DRAFT, &finding("same", r#"["E7"]"#)) && !fits(DRAFT, r#"{"findings":[],"urgency":"critical"}"#));
    for (at, (task, text)) in whole().iter().enumerate() {
        assert!(fits(*task, text), "{text}");
        for (task, _) in whole().iter().take(2).filter(|(other, _)| other != task) {
            assert!(!fits(*task, text) && grounded(text, *task).is_err(), "{at} {text}");
        }
    }
}

#[test]
fn a_forged_id_is_rejected_and_counted() {
    for forged in ["E7", "E99", "e1", "E01", "Observation/1", ""] {
        let draft = grounded(&finding("unknown", &format!(r#"["E1","{forged}"]"#)), DRAFT).unwrap();
        assert_eq!(statements(&draft)[0].evidence, [EvidenceId(1)], "{forged}");
        assert_eq!(draft.rejected.len(), 1, "{forged}");
        let summary = grounded(&summary(&[copied(forged, "12", "mg/L", "2025-11-19", "high")]), Task::Summary).unwrap();
        assert!(statements(&summary).is_empty() && summary.rejected.len() == 1, "{forged}");
        let answered = grounded(&answer("yes", &format!(r#"["{forged}","E4"]"#)), HIGH_CRP).unwrap();
        assert_eq!((statements(&answered)[0].evidence.as_slice(), answered.rejected.len()), (&[EvidenceId(4)][..], 1));
    }
}

#[test]
fn a_repeated_id_is_rejected_and_counted() {
    let draft = grounded(&finding("unknown", r#"["E1","E1"]"#), DRAFT).unwrap();
    assert_eq!((statements(&draft)[0].evidence.as_slice(), draft.rejected.len()), (&[EvidenceId(1)][..], 1));
    let twice = [(); 2].map(|()| copied("E4", "87", "mg/L", "2025-11-19", "high"));
    let summary = grounded(&summary(&twice), Task::Summary).unwrap();
    assert_eq!((statements(&summary).len(), summary.rejected.len()), (1, 1));
}

#[test]
fn a_statement_about_a_picture_cites_the_picture() {
    for evidence in [r#"["E3"]"#, r#"["E2"]"#, "[]"] {
        let draft = grounded(&finding("unknown", evidence), DRAFT).unwrap();
        assert!(draft.sections.is_empty() && draft.rejected.len() == 1, "{evidence}");
        for word in ["yes", "no"] {
            let answered = grounded(&answer(word, evidence), LEFT_EFFUSION).unwrap();
            assert!(answered.sections.is_empty() && answered.abstained.is_some(), "{evidence}");
        }
    }
}

#[test]
fn a_yes_or_no_rests_on_what_it_is_about() {
    for (task, evidence) in [(PENICILLIN, r#"["E4","E1"]"#), (HIGH_CRP, r#"["E6","E5"]"#), (PENICILLIN, "[]")] {
        for word in ["yes", "no"] {
            let answered = grounded(&answer(word, evidence), task).unwrap();
            assert!(answered.sections.is_empty() && answered.abstained.is_some(), "{evidence}");
            assert!(!answered.rejected.is_empty());
        }
    }
    let undecided = grounded(&answer("cannot_determine", "[]"), PENICILLIN).unwrap();
    assert!(undecided.abstained.is_some_and(|a| a.model_asked) && undecided.rejected.is_empty());
}

#[test]
fn a_yes_or_no_is_what_the_cited_line_says() {
    for (task, word, evidence, kept) in [
        (PENICILLIN, "yes", r#"["E5"]"#, true),
        (PENICILLIN, "no", r#"["E5"]"#, false),
        (HIGH_CRP, "yes", r#"["E4"]"#, true),
        (HIGH_CRP, "no", r#"["E4"]"#, false),
        (Task::Question(Question::Allergy(Substance::Latex)), "yes", r#"["E5"]"#, false),
        (Task::Question(Question::Flagged(Test::CReactiveProtein, Level::Low)), "yes", r#"["E4"]"#, false),
    ] {
        let answered = grounded(&answer(word, evidence), task).unwrap();
        assert_eq!(answered.abstained.is_none(), kept, "{word} {evidence}");
        assert_eq!(answered.rejected.is_empty(), kept);
    }
}

#[test]
fn what_is_not_understood_of_a_value_is_neither_yes_nor_no() {
    let (low, high) = (Some("3.5"), Some("5.1"));
    for (value, flag, range, is_high, is_low) in [
        ("4.0", None, (low, high), Some(Says::No), Some(Says::No)),
        ("4.0", None, (None, high), Some(Says::No), None),
        ("4.0", None, (low, None), None, Some(Says::No)),
        ("4.0", None, (None, None), None, None),
        (">300", None, (low, high), None, None),
        ("4.0", Some("N"), (None, None), Some(Says::No), Some(Says::No)),
        ("9.0", Some("HH"), (None, None), Some(Says::Yes), Some(Says::No)),
        ("1.0", Some("L"), (low, high), Some(Says::No), Some(Says::Yes)),
        ("9.0", Some("A"), (low, high), None, None),
        ("9.0", Some("HU"), (low, high), Some(Says::Yes), Some(Says::No)),
        ("9.0", Some("POS"), (low, high), None, None),
        ("9.0", Some("High"), (low, high), None, None),
        ("9.0", Some(">"), (low, high), Some(Says::Yes), Some(Says::No)),
        ("1.0", Some("<"), (low, high), Some(Says::No), Some(Says::Yes)),
    ] {
        let mut measurement = sample::measurement("Potassium", value, "mmol/L");
        (measurement.loinc, measurement.flag) = (vec!["2823-3".into()], flag.map(Into::into));
        (measurement.range.low, measurement.range.high) = (range.0.map(Into::into), range.1.map(Into::into));
        let chart = sample::chart([("2025-11-19T08:00:00Z", Fact::Measurement(measurement))]);
        let said =
            [Level::High, Level::Low].map(|level| says(&chart.evidence[0], Question::Flagged(Test::Potassium, level)));
        assert_eq!(said, [is_high, is_low], "{value} {flag:?} {range:?}");
    }
}

#[test]
fn findings_that_were_all_dropped_are_not_no_finding() {
    let dropped = grounded(&finding("unknown", r#"["E3"]"#), DRAFT).unwrap();
    assert!(dropped.abstained.is_some() && dropped.urgency.is_none());
    let none = grounded(r#"{"findings":[],"urgency":"routine"}"#, DRAFT).unwrap();
    assert!(none.abstained.is_none() && none.urgency == Some(Urgency::Routine));
}

#[test]
fn a_comparison_rests_on_both_films() {
    let draft = grounded(&finding("worse", r#"["E1","E4"]"#), DRAFT).unwrap();
    assert_eq!(statements(&draft)[0].finding.unwrap().change, Change::Unknown);
    assert_eq!(draft.rejected.len(), 1);
}

#[test]
fn a_copied_value_is_the_cited_facts() {
    let right = ["E4", "87", "mg/L", "2025-11-19", "high"];
    let said = |[evidence, value, unit, date, flag]: [&str; 5]| {
        let assessment = grounded(&summary(&[copied(evidence, value, unit, date, flag)]), Task::Summary).unwrap();
        assert_eq!(statements(&assessment).len() + assessment.rejected.len(), 1);
        statements(&assessment).first().map(|statement| statement.text.clone())
    };
    assert_eq!(said(right).as_deref(), Some("C reactive protein: 87 mg/L, high, 2025-11-19"));
    for (at, wrong) in [
        (1, "78"),
        (1, "87.0"),
        (2, "mg/dL"),
        (2, ""),
        (3, "2025-11-20"),
        (3, "undated"),
        (4, "low"),
        (4, "critically high"),
    ] {
        let mut changed = right;
        changed[at] = wrong;
        assert_eq!(said(changed), None, "{wrong}");
    }
    // A note, a film, a value that does not stand out, and a value that was not shown.
    for id in ["E3", "E1", "E6", "E7"] {
        assert_eq!(said([id, "87", "mg/L", "2025-11-19", "high"]), None, "{id}");
    }
}

#[test]
fn an_abstention_speaks_our_words_only() {
    let text = r#"{"insufficient_evidence":"call +1 555","evidence":["E1","E9"],"urgency":"cannot_determine"}"#;
    for language in [Language::English, Language::Korean] {
        let assessment = spoken(text, DRAFT, language).unwrap();
        let abstained = assessment.abstained.unwrap();
        assert!(!abstained.reason.contains("555") && abstained.evidence == [EvidenceId(1)]);
        assert!(assessment.sections.is_empty() && assessment.urgency.is_none());
    }
}

#[test]
fn what_is_said_is_in_the_language_asked_for() {
    for (task, whole) in whole() {
        let [english, korean] =
            [Language::English, Language::Korean].map(|language| spoken(&whole, task, language).unwrap());
        let hangul = |text: &str| text.chars().any(|c| ('가'..='힣').contains(&c));
        assert!(!hangul(&english.sections[0].title) && hangul(&korean.sections[0].title));
        assert_eq!(statements(&english)[0].evidence, statements(&korean)[0].evidence);
        assert!(!hangul(&statements(&english)[0].text) && hangul(&statements(&korean)[0].text), "{task:?}");
    }
}

#[test]
fn words_outside_the_contract_are_no_answer() {
    let over = vec![copied("E4", "87", "mg/L", "2025-11-19", "high"); MAX_STATEMENTS + 1];
    for (task, text) in [
        (DRAFT, ""),
        (DRAFT, "null"),
        (DRAFT, "{}"),
        (DRAFT, r#"{"findings":[],"urgency":"critical"}"#),
        (DRAFT, r#"{"findings":[{"kind":"fracture"}],"urgency":"urgent"}"#),
        (DRAFT, r#"{"findings":[],"urgency":"urgent","url":"https://evil.example"}"#),
        (DRAFT, r#"{"insufficient_evidence":"blank film","evidence":["E1"]}"#),
        (Task::Summary, r#"{"statements":[{"evidence":"E4"}]}"#),
        (Task::Summary, &summary(&over)),
        (LEFT_EFFUSION, &answer("maybe", r#"["E1"]"#)),
        (LEFT_EFFUSION, r#"{"answer":"yes","evidence":["E1"],"why":"it looks so"}"#),
    ] {
        assert!(grounded(text, task).is_err(), "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn whatever_the_model_writes_every_kept_statement_cites_what_it_speaks_of(text in ".{0,200}", word in "yes|no", value in "[0-9]{2}", ids in proptest::collection::vec("E[0-9]{1,2}", 0..6)) {
        let evidence = serde_json::to_string(&ids).unwrap();
        let id = ids.first().cloned().unwrap_or_default();
        let answers = [
            (DRAFT, finding("new", &evidence)),
            (LEFT_EFFUSION, answer(&word, &evidence)),
            (PENICILLIN, answer(&word, &evidence)),
            (HIGH_CRP, answer(&word, &evidence)),
            (Task::Summary, summary(&[copied(&id, &value, "mg/L", "2025-11-19", "high")])),
        ];
        for (task, answer) in answers {
            let _ = grounded(&text, task);
            let assessment = grounded(&answer, task).unwrap();
            let about = match task {
                DRAFT | LEFT_EFFUSION => 1,
                PENICILLIN => 5,
                _ => 4,
            };
            for statement in assessment.sections.iter().flat_map(|s| &s.statements) {
                proptest::prop_assert!(statement.evidence.contains(&EvidenceId(about)));
                proptest::prop_assert!(statement.evidence.iter().all(|id| (1..7).contains(&id.0)));
            }
        }
    }
}
