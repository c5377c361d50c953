use std::{fs, path::Path};

use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::{
    chart::{
        Before, Chart, EvidenceId, Examined, Fact, Gap, Measurement, NotShown, Origin, Role, Trend, View,
        sample::{self, film, note, penicillin_allergy},
    },
    engine::{Completion, Finish},
    fhir::Date,
    grounding::{self, FindingKind, contract},
    task::{Level, Question, Substance, Task, Test},
};

const BOTH: [Language; 2] = [Language::English, Language::Korean];
const MODEL: Model = Model { name: "phantom-reader", weights_sha256: "0123456789abcdef", states_scope: true };

fn service(name: &str) -> Service {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("cds-hooks/services").join(name).join("service.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// E1 and E2 films, E3 a note, E4 a high C reactive protein, E5 an allergy, E6 a potassium, E7 a low albumin. All that an EHR
/// may word is in Hangul.
fn chart() -> Chart {
    let value = |text: &str, loinc: &str, value: &str, unit: &str, flag: Option<&str>, before| {
        let (loinc, flag) = (vec![loinc.into()], flag.map(Into::into));
        Fact::Measurement(Measurement { loinc, flag, before, ..sample::measurement(text, value, unit) })
    };
    let before = |value: &str, trend| {
        let date = Date::parse("2025-11-12");
        Some(Box::new(Before { value: value.into(), date, preliminary: trend == Trend::Down, trend: Some(trend) }))
    };
    let facts = [
        Fact::Image { role: Role::Current, image: film("PA", "2025-11-19") },
        Fact::Image { role: Role::Prior, image: film("AP", "2025-06-02") },
        note("기침과 누런 가래"),
        value("C 반응성 단백", "1988-5", "87", "mg/L", Some("HH"), before("12", Trend::Up)),
        penicillin_allergy(),
        value("칼륨", "2823-3", "4.0", "mmol/L", None, before("4.0", Trend::Unchanged)),
        value("알부민", "1751-7", "28", "g/L", Some("L"), before("31", Trend::Down)),
    ];
    let mut chart = sample::chart(facts.map(|fact| ("2025-11-19T08:00:00Z", fact)));
    chart.evidence[1].date = Date::parse("2025-06-02");
    if let Fact::Allergy { text, criticality, .. } = &mut chart.evidence[4].fact {
        (*text, *criticality) = ("페니실린".into(), Some("high".into()));
    }
    let study = |id: &str, date: &str| {
        json!({ "reference": format!("https://ehr.example/fhir/ImagingStudy/{id}"), "study_uid": "1.2", "date": date,
            "description": "흉부 후전면", "choice": "newest", "reports_checked": true })
    };
    let order = json!({ "text": "흉부 X선", "code": null, "identifier": null, "authored_on": null, "modality": null,
        "body_part": null, "names": [] });
    let reading = json!({ "order": order, "other_orders": 0, "study": study("2", "2025-11-19"),
        "prior": study("1", "2025-06-02"), "no_film": null });
    chart.reading = serde_json::from_value(reading).unwrap();
    chart
}

/// A chart without gaps and a prompt that held all of it.
fn whole() -> (Chart, View) {
    (chart(), View { shown: (1..8).map(EvidenceId).collect(), ..View::default() })
}

/// The same chart where something failed and something did not fit.
fn with_gaps() -> (Chart, View) {
    let (mut chart, mut view) = whole();
    chart.gaps.push(Gap { what: "allergies".into(), why: "the search failed".into() });
    let kept = |id| NotShown { evidence: EvidenceId(id), why: "the prompt was full".into() };
    view.shown.retain(|id| id.0 < 6);
    view.not_shown = [6, 7].map(kept).into();
    (chart, view)
}

fn written(of: &(Chart, View), task: Task, answered: &str, language: Language) -> Card {
    let (chart, view) = of;
    let completion = Completion { text: answered.into(), finish: Finish::Stop, ..Completion::default() };
    let assessment = contract::ground(&completion, chart, view, task, language).unwrap();
    let report = task == Task::ImagingDraft && assessment.abstained.is_none();
    let report_url = report.then(|| "https://cds.example/reports/1".to_owned());
    let draft = Draft { task, language, intended_use: "research", model: MODEL, report_url };
    answer(&service("imaging-draft-report"), chart, &assessment, &draft, "seed")
}

fn refused(task: Task, language: Language) -> Card {
    let (chart, _) = with_gaps();
    let assessment = grounding::not_asked(&chart, "the loaded model does not read this language (ko)".into());
    let draft = Draft { task, language, intended_use: "research", model: MODEL, report_url: None };
    answer(&service("imaging-draft-report"), &chart, &assessment, &draft, "seed")
}

fn summarised(language: Language) -> Card {
    let (mut chart, _) = with_gaps();
    let problem = |text: &str, status: &str| Fact::Problem {
        text: text.into(),
        status: status.into(),
        unconfirmed: Some("provisional".into()),
    };
    let more = [
        problem("고혈압", "active"),
        Fact::Study { text: "imaging study".into(), modality: Some("DX".into()) },
        Fact::Report { text: "report".into(), status: "final".into(), conclusion: Some("특이 소견 없음".into()) },
    ];
    let mut more = sample::chart(more.map(|fact| ("", fact))).evidence;
    more.iter_mut().for_each(|evidence| evidence.id.0 += 7);
    more[0].misdated = true;
    chart.evidence.extend(more);
    let examined = |what: &str, complete, left_out| Examined {
        what: what.into(),
        resources: 1,
        unusable: 0,
        left_out,
        origin: Origin::Fetched,
        complete,
    };
    chart.examined = vec![examined("conditions", true, 0), examined("medications", true, 2)];
    let assessment = grounding::summarise(&chart, language);
    summary(&service("chart-summary"), &chart, &assessment, language, Uuid::nil())
}

const FINDING: &str = r#"{"kind":"effusion","side":"left","region":"lower","severity":"moderate","change":"worse","evidence":["E1","E2","E4"]}"#;
const BLANK: &str = r#"{"insufficient_evidence":"blank film","evidence":["E1"],"urgency":"cannot_determine"}"#;
const PENICILLIN: Task = Task::Question(Question::Allergy(Substance::Penicillin));

fn copied(id: &str, value: &str, unit: &str, flag: &str) -> String {
    format!(r#"{{"evidence":"{id}","value":"{value}","unit":"{unit}","date":"2025-11-19","flag":"{flag}"}}"#)
}

/// Every kind of card by the name of its file.
fn cards(language: Language) -> Vec<(&'static str, Card)> {
    let findings = |findings: &str, urgency: &str| format!(r#"{{"findings":[{findings}],"urgency":"{urgency}"}}"#);
    let forged = FINDING.replace(r#""E1","#, "");
    let picked = [copied("E4", "87", "mg/L", "critically high"), copied("E5", "1", "", "low")].join(",");
    let draft = |of: &(Chart, View), answered: &str| written(of, Task::ImagingDraft, answered, language);
    let high = Task::Question(Question::Flagged(Test::Potassium, Level::High));
    vec![
        ("urgent", draft(&whole(), &findings(FINDING, "urgent"))),
        ("none", draft(&with_gaps(), &findings("", "routine"))),
        ("abstained", draft(&whole(), BLANK)),
        ("rejected", draft(&with_gaps(), &findings(&format!("{FINDING},{forged}"), "soon"))),
        ("flagged", written(&with_gaps(), Task::Summary, &format!(r#"{{"statements":[{picked}]}}"#), language)),
        ("none_flagged", written(&whole(), Task::Summary, r#"{"statements":[]}"#, language)),
        ("question", written(&whole(), PENICILLIN, r#"{"answer":"yes","evidence":["E5"]}"#, language)),
        ("unanswered", written(&whole(), high, r#"{"answer":"cannot_determine","evidence":[]}"#, language)),
        ("refused", refused(PENICILLIN, language)),
        ("summary", summarised(language)),
    ]
}

/// All of a card that a reader sees.
fn seen(card: &Card) -> String {
    let links: String = card.links.iter().map(|link| format!("[{}]({})\n", link.label, link.url)).collect();
    let (label, indicator) = (&card.source.label, json!(card.indicator));
    format!("{}\n\n{indicator} {label}\n{links}\n{}\n", card.summary, card.detail)
}

/// `CURBSIDE_REWRITE=1` writes what the cards now say, to be read before it is committed.
#[test]
fn cards_say_what_their_files_say() {
    for language in BOTH {
        for (name, card) in cards(language) {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/card/tests").join(language.word());
            let path = path.join(format!("{name}.md"));
            if std::env::var_os("CURBSIDE_REWRITE").is_some() {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, seen(&card)).unwrap();
            }
            assert_eq!(seen(&card), fs::read_to_string(&path).unwrap(), "{name}");
        }
    }
}

#[test]
fn a_reader_sees_what_was_looked_for_whatever_was_found() {
    let drafts = ["urgent", "none", "rejected"];
    for language in BOTH {
        let looked_for = grounding::looked_for(language);
        for (name, card) in cards(language) {
            assert_eq!(card.detail.contains(&looked_for), drafts.contains(&name), "{name}");
        }
    }
    let (english, kinds) =
        (grounding::looked_for(Language::English), ["pneumothorax", "opacity", "effusion", "heart", "line"]);
    assert!(kinds.len() == FindingKind::ALL.len() && kinds.iter().all(|kind| english.contains(kind)), "{english}");
}

#[test]
fn every_summary_is_short_enough_for_any_client() {
    for (name, card) in BOTH.into_iter().flat_map(cards) {
        assert!(card.summary.encode_utf16().count() <= MAX_SUMMARY && !card.summary.contains('\n'), "{name}");
    }
}

/// All the EHR said here is in Hangul, so Latin letters are ids, codes, units, names, or the reasons of gaps, which a line
/// on the card explains.
#[test]
fn no_english_word_of_ours_stands_on_a_korean_card() {
    let known = [
        "AI",
        "DX",
        "CHEST",
        "PA",
        "AP",
        "urn",
        "oid",
        "curbside",
        "mg",
        "mmol",
        "phantom",
        "reader",
        "abcdef",
        "ab",
        "Observation",
        "https",
        "cds",
        "example",
        "reports",
        "info",
        "warning",
    ];
    let reasons = [
        "the search failed",
        "the prompt was full",
        "the loaded model does not read this language (ko)",
        "The loaded model does not read this language (ko)",
        "the statement does not cite the film it speaks of, so it was dropped",
        "what it cites is no measurement",
    ];
    for (name, card) in cards(Language::Korean) {
        let seen = seen(&card);
        let text = reasons.iter().fold(seen.clone(), |text, reason| text.replace(reason, ""));
        let words = text.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| word.len() > 1);
        let ours: Vec<&str> = words.filter(|word| !known.contains(word)).collect();
        assert!(ours.is_empty(), "{name}: {ours:?} in {seen}");
        let explained = seen.contains(Words::of(Language::Korean).reasons);
        assert_eq!(explained, reasons.iter().any(|reason| seen.contains(reason)), "{name}: {seen}");
    }
}

/// The language changes words and nothing else: the same ids, values and lines in both.
#[test]
fn a_card_in_korean_says_what_the_english_one_says() {
    for ((name, english), (_, korean)) in cards(Language::English).into_iter().zip(cards(Language::Korean)) {
        let facts = |card: &Card| {
            let words = card.detail.split(|c: char| !(c.is_ascii_alphanumeric() || "./-".contains(c)));
            let mut facts: Vec<String> = words
                .map(|word| word.trim_matches(['.', '-', '/']).to_owned())
                .filter(|word| word.chars().any(|c| c.is_ascii_digit()) && !word.starts_with("sha"))
                .collect();
            facts.sort();
            facts
        };
        assert_eq!(facts(&english), facts(&korean), "{name}");
        assert_eq!(english.indicator, korean.indicator, "{name}");
        assert_ne!(english.uuid, korean.uuid, "{name}");
    }
}

#[test]
fn a_reader_sees_how_many_flagged_results_were_not_picked() {
    let all = cards(Language::English);
    let detail = |wanted: &str| &all.iter().find(|(name, _)| *name == wanted).unwrap().1.detail;
    assert!(detail("flagged").contains("Flagged results named here: 1 of the 2 in the chart."));
    assert!(detail("none_flagged").contains("Flagged results named here: 0 of the 2 in the chart."));
}

#[test]
fn the_same_call_gets_the_same_uuid() {
    let [english, korean] = BOTH;
    assert_eq!(uuid_of("a", english, "seed"), uuid_of("a", english, "seed"));
    assert_ne!(uuid_of("a", english, "seed"), uuid_of("b", english, "seed"));
    assert_ne!(uuid_of("a", english, "seed"), uuid_of("a", korean, "seed"));
}
