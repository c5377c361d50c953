//! `curbside eval phantom`, with engines whose mistakes are known, and with the model.

use std::{collections::HashMap, path::Path, sync::Arc};

use curbside::{
    engine::{Answers, Engine, Prompt, Step},
    eval::{self, Drawn, Looks, Maker, Measure, Outcome, Plan, Share},
    phantom::Style,
    prompt::contract::MAX_CHARACTERS,
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::harness::scripted_model;

const SEED: u64 = 21;

/// The plan's cases asked of an engine that gives the perfect answer as `change` leaves it, of the case of that index.
async fn measured(plan: Plan, change: fn(usize, Value) -> Value) -> Outcome {
    let maker = Maker::new().unwrap();
    let mut known: HashMap<String, (usize, Value)> = HashMap::new();
    let looks = Looks { style: plan.style, ..Looks::default() };
    for number in 0..plan.cases {
        let drawn: Drawn = eval::draw(&maker, plan.seed, number as u64, MAX_CHARACTERS).unwrap();
        let answer = serde_json::to_value(&drawn.shown.expected).unwrap();
        known.insert(eval::key(&drawn.prompt(looks, 224).unwrap()), (number, answer));
    }
    let answers = Answers(Arc::new(move |prompt: &Prompt| {
        let known = known.get(&eval::key(prompt)).cloned();
        known.map(|(number, answer)| change(number, answer).to_string()).unwrap_or_default()
    }));
    let engine = Engine::scripted(scripted_model(), vec![Step::Answer(answers)]);
    let program = Path::new(env!("CARGO_BIN_EXE_curbside"));
    eval::run(&plan, &engine, program, &CancellationToken::new(), &mut |_, _, _| ()).await.unwrap()
}

fn plan(cases: usize) -> Plan {
    Plan {
        seed: SEED,
        cases,
        style: Style::First,
        language: None,
        task: None,
        second_style: false,
        contrast: false,
        unconstrained: false,
        together: false,
    }
}

/// Hits and cases of a row of the first table; none where there is no such row.
#[track_caller]
fn row(outcome: &Outcome, name: &str) -> (usize, usize) {
    let row = outcome.tables[0].rows.iter().find(|row| row.name == name);
    let Some(Measure::Share(share)) = row.map(|row| row.value) else { panic!("no row {name}: {:#?}", outcome.tables) };
    (share.hits, share.of)
}

fn causes(outcome: &Outcome) -> String {
    outcome.wrong.iter().map(|(name, text)| format!("{name}\n{text}\n")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn perfect_answers_are_right_in_every_row() {
    let outcome = measured(plan(60), |_, answer| answer).await;
    assert!(outcome.wrong.is_empty(), "{}", causes(&outcome));
    let bad = ["findings stated of the wrong side", "abstains from a film that can be read"];
    for row in outcome.tables.iter().flat_map(|table| &table.rows) {
        if let Measure::Share(share) = row.value {
            let hits = if bad.contains(&row.name.as_str()) { 0 } else { share.of };
            assert!(share.hits == hits && share.of > 0, "{row:?}");
        }
    }
    let shares = outcome.tables[0].rows.iter().filter(|row| matches!(row.value, Measure::Share(_))).count();
    assert_eq!(shares, eval::Figure::ALL.len(), "a case of every kind: {:#?}", outcome.tables[0].rows);
    assert!(outcome.tables.len() == 1 && !outcome.stopped);
}

/// An engine that does the same each time gives the same answers however it is asked.
#[tokio::test(flavor = "multi_thread")]
async fn further_tables_are_asked_for() {
    let plan = Plan { unconstrained: true, together: true, contrast: true, second_style: true, ..plan(6) };
    let outcome = measured(plan, |_, answer| answer).await;
    let titles: Vec<&str> = outcome.tables.iter().map(|table| table.title.as_str()).collect();
    let [_, together, free, faint, second] = outcome.tables.as_slice() else { panic!("{titles:?}") };
    // Of two asked at the time of the later one, the earlier one may be another prompt then, which this engine does not know.
    let Measure::Share(same) = together.rows[0].value else { panic!("{together:?}") };
    assert!(same.of == 6 && same.hits >= 3, "{same:?}");
    for row in &free.rows {
        assert_eq!(row.value, Measure::Share(Share { hits: 6, of: 6 }), "{row:?}");
    }
    // This engine knows the films by their very pixels: those that are drawn otherwise get no answer.
    let share = |name: &str| {
        let row = faint.rows.iter().find(|row| row.name == name);
        let Some(Measure::Share(share)) = row.map(|row| row.value) else { panic!("{name}: {faint:?}") };
        share
    };
    assert!(share("contrast x 1: right").of > 0);
    assert_eq!(share("contrast x 1: right").hits, share("contrast x 1: right").of);
    assert_eq!(share("contrast x 0: failed").hits, share("contrast x 0: failed").of);
    assert!(second.title.contains("second style") && second.rows[0].target.is_none(), "{titles:?}");
}

/// In each answer the first finding with a side has the other one.
fn swapped(_: usize, mut answer: Value) -> Value {
    for finding in answer.get_mut("findings").and_then(Value::as_array_mut).into_iter().flatten() {
        let other = match finding["side"].as_str() {
            Some("left") => "right",
            Some("right") => "left",
            _ => continue,
        };
        finding["side"] = other.into();
        break;
    }
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_stands_in_its_row() {
    let perfect = measured(plan(40), |_, answer| answer).await;
    let outcome = measured(plan(40), swapped).await;
    let (errors, sided) = row(&outcome, "findings stated of the wrong side");
    assert!(errors > 5 && errors < sided, "{errors} of {sided}");
    let (found, there) = row(&outcome, "findings found, kind and side");
    assert!(found < there && found + errors <= there, "{found} and {errors} of {there}");
    assert_eq!(row(&outcome, "whole card exactly right").0, 40 - outcome.wrong.len());
    // One swapped finding spoils one card; nothing else is touched.
    for untouched in [
        "abstains: another patient's film",
        "flagged results complete",
        "questions answered right",
        "prompt as taught, perfect answer kept",
    ] {
        assert_eq!(row(&outcome, untouched), row(&perfect, untouched));
    }
    assert!(outcome.missed() > 0 && perfect.missed() == 0, "{:#?}", perfect.tables);

    // Everything else that can be wrong, each in some of the cases.
    let outcome = measured(plan(40), |number, mut answer| {
        for finding in answer.get_mut("findings").and_then(Value::as_array_mut).into_iter().flatten() {
            if finding["kind"] == "opacity" {
                finding["region"] = if finding["region"] == "upper" { "lower" } else { "upper" }.into();
            }
            if finding["severity"] != "none" && number % 2 == 0 {
                finding["severity"] = if finding["severity"] == "small" { "large" } else { "small" }.into();
            }
            if finding["change"] != "unknown" {
                finding["change"] = if finding["change"] == "worse" { "better" } else { "worse" }.into();
            }
            let cited = finding["evidence"].as_array_mut().unwrap();
            cited.truncate(2);
        }
        if answer["findings"].is_array() && number % 3 == 0 {
            answer["urgency"] = if answer["urgency"] == "soon" { "routine" } else { "soon" }.into();
        }
        if answer["insufficient_evidence"].is_string() {
            answer = serde_json::json!({ "findings": [], "urgency": "routine" });
        }
        if let Some(statement) = answer.pointer_mut("/statements/0") {
            statement["value"] = "7777".into();
        }
        match answer["answer"].as_str() {
            Some("yes") => answer["answer"] = "no".into(),
            Some("no") => answer["answer"] = "yes".into(),
            _ => {}
        }
        answer
    })
    .await;
    for name in [
        "region of a finding found",
        "severity",
        "change against the prior film",
        "urgency",
        "right evidence that is cited",
        "statements that equal the cited line",
        "flagged results complete",
        "questions answered right",
        "whole card exactly right",
    ] {
        let (hits, of) = row(&outcome, name);
        assert!(hits < of, "{name}: {hits} of {of}");
    }
    for name in ["abstains: blank film", "abstains: not a chest film", "abstains: another patient's film"] {
        assert_eq!(row(&outcome, name).0, 0, "{name}");
    }
    let (right, of) = row(&outcome, "prompt as taught, perfect answer kept");
    assert_eq!(right, of, "the model's mistakes are not the product's");

    let outcome = measured(plan(12), |_, answer| {
        let film = answer["findings"][0]["evidence"][0].clone();
        match film.is_string() {
            true => serde_json::json!({ "insufficient_evidence": "blank film", "evidence": [film], "urgency": "cannot_determine" }),
            false => answer,
        }
    })
    .await;
    assert!(row(&outcome, "abstains from a film that can be read").0 > 3);
    // What is no answer at all is no card.
    let outcome = measured(plan(4), |_, _| Value::Null).await;
    assert_eq!((row(&outcome, "calls answered").0, row(&outcome, "whole card exactly right").0), (0, 0));
}

#[cfg(feature = "mistralrs")]
mod real {
    use curbside::cli;
    use tempfile::TempDir;

    use super::*;
    use crate::{command_line::run, harness::read_json};

    fn figures(arguments: &[&str]) -> (Option<i32>, Value, String) {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("figures.json");
        let path = file.display().to_string();
        let (output, text) = run(&[&["eval", "phantom", "--json", &path], arguments].concat());
        assert!(file.is_file(), "{text}");
        (output.status.code(), read_json(&file), text)
    }

    fn percent(figures: &Value, name: &str) -> f64 {
        let rows = figures["tables"][0]["rows"].as_array().unwrap();
        rows.iter()
            .find(|row| row["name"] == name)
            .and_then(|row| row["percent"].as_f64())
            .unwrap_or_else(|| panic!("{name}: {figures}"))
    }

    /// A model of a tenth of the training is exactly right in fewer than half of the cards.
    #[test]
    fn the_model_is_right_through_the_whole_product() {
        assert!(cli::options().iter().any(|option| option.command == "eval" && option.name == "--require"));
        let (code, figures, text) = figures(&["--cases", "64", "--seed", "64"]);
        assert_eq!(code, Some(0), "{text}");
        assert!(percent(&figures, "whole card exactly right") >= 85.0, "{text}");
        assert!(percent(&figures, "findings found, kind and side") >= 90.0, "{text}");
        assert!(percent(&figures, "findings stated of the wrong side") <= 5.0, "{text}");
        for product in ["calls answered", "prompt as taught, perfect answer kept"] {
            assert_eq!(percent(&figures, product), 100.0, "{text}");
        }
        assert_eq!(figures["tables"][0]["rows"][0]["of"], 64);
    }

    #[test]
    fn the_second_style_is_asked_about_and_stated() {
        let (code, figures, text) = figures(&["--cases", "8", "--style", "second", "--task", "imaging-draft"]);
        assert_eq!(code, Some(0), "{text}");
        assert!(text.contains("second style") && figures["tables"][0]["rows"][0]["of"] == 8, "{text}");
        assert_eq!(percent(&figures, "prompt as taught, perfect answer kept"), 100.0, "{text}");
    }
}
