use std::{collections::HashSet, sync::Arc};

use serde_json::Value;

use super::{
    texts::{Lies, Texts},
    *,
};
use crate::{
    chart::Role,
    engine::{Completion, Finish, Part},
    error::Kind,
    fhir::Date,
    grounding,
    phantom::Random,
    prompt::contract,
    task::{Language, Level, Question},
};

fn cases(count: u64) -> impl Iterator<Item = (Maker, Case)> {
    (0..count).map(|seed| {
        let maker = Maker::new().unwrap();
        let case = maker.draw(&mut Random::held_out(seed));
        (maker, case)
    })
}

fn parts(shown: &Shown) -> Vec<Option<&str>> {
    fn text(part: &Part) -> Option<&str> {
        if let Part::Text(text) = part { Some(text.as_str()) } else { None }
    }
    shown.prompt.parts.iter().map(text).collect()
}

#[test]
fn every_answer_is_one_the_server_keeps_whole() {
    let mut seen = HashSet::new();
    for (maker, mut case) in cases(400) {
        case.shifted = 0;
        let chart = maker.chart(&case).unwrap();
        let Some(shown) = maker.ask(&case, contract::MAX_CHARACTERS, true).unwrap() else { continue };
        let answer = export::text(&shown.expected).unwrap();
        let schema = jsonschema::validator_for(shown.prompt.schema.as_ref().unwrap()).unwrap();
        assert!(schema.is_valid(&serde_json::from_str(&answer).unwrap()), "{answer}");
        let completion = Completion { text: answer.clone(), finish: Finish::Stop, ..Completion::default() };
        let kept = grounding::contract::ground(&completion, &chart, &shown.view, case.task, case.language).unwrap();
        assert!(kept.rejected.is_empty(), "{answer}: {:?}", kept.rejected);
        let statements: usize = kept.sections.iter().map(|section| section.statements.len()).sum();
        match &shown.expected {
            Expected::Findings { findings, .. } => assert_eq!(statements, findings.len()),
            Expected::Statements { statements: copied } => assert_eq!(statements, copied.len()),
            Expected::Insufficient { .. } => assert!(kept.abstained.is_some()),
            Expected::Answer { answer, .. } => assert_eq!(statements, usize::from(*answer != "cannot_determine")),
        }
        seen.insert((answer.get(..14).unwrap_or_default().to_owned(), case.language == Language::Korean));
    }
    // Findings, none of them, insufficient evidence, statements and the three answers, in both languages.
    assert_eq!(seen.len(), 14, "{seen:?}");
}

#[test]
fn a_seed_gives_the_same_case_again_and_training_gives_none_of_evaluation() {
    let maker = Maker::new().unwrap();
    let text = |mut random: Random| {
        let case = maker.draw(&mut random);
        maker.ask(&case, 1_600, false).unwrap().map(|shown| (format!("{:?}", parts(&shown)), shown.expected))
    };
    for seed in 0..20 {
        assert_eq!(text(Random::training(seed)), text(Random::training(seed)));
        assert_ne!(text(Random::training(seed)), text(Random::held_out(seed)));
    }
}

#[test]
fn a_prompt_keeps_to_its_room_and_shows_what_the_answer_cites() {
    for (maker, case) in cases(100) {
        for room in [700, 1_600] {
            let Some(shown) = maker.ask(&case, room, false).unwrap() else { continue };
            let texts = parts(&shown).into_iter().flatten().collect::<String>();
            assert!(contract::cost(&texts) <= room, "{texts}");
            assert_eq!(parts(&shown).iter().filter(|part| part.is_none()).count(), shown.pictures.len());
            let answer: Value = serde_json::to_value(&shown.expected).unwrap();
            for id in
                answer.to_string().split('"').filter(|word| word.starts_with('E') && word[1..].parse::<u32>().is_ok())
            {
                assert!(texts.contains(&format!("[{id}] ")), "{id}: {texts}");
            }
        }
    }
}

#[test]
fn only_a_film_of_somebody_else_is_labelled_so() {
    let (mut own, mut other) = (0, 0);
    for (maker, case) in cases(300) {
        let chart = maker.chart(&case).unwrap();
        for shot in &case.films {
            let image = shot.image(Arc::default());
            let decade = |band: &Option<String>| {
                band.as_ref().and_then(|band| band[..2].parse::<i32>().ok()).map(|age| age / 10)
            };
            let sexes = (image.labelled.sex.as_deref(), chart.subject.sex.as_deref());
            let other_sex = matches!(sexes, (Some("male"), Some("female")) | (Some("female"), Some("male")));
            let ages = decade(&image.labelled.age_band).zip(decade(&chart.subject.age_band));
            let other_age = ages.is_some_and(|(film, record)| (film - record).abs() > 1);
            assert_eq!(shot.another_patient, other_sex || other_age, "{:?} {:?}", image.labelled, chart.subject);
            *if shot.another_patient { &mut other } else { &mut own } += 1;
        }
    }
    assert!(own > 200 && other > 10, "{own} {other}");
}

#[test]
fn an_earlier_film_that_names_somebody_else_is_not_compared() {
    let (mut compared, mut kept_apart) = (0, 0);
    for (maker, case) in cases(300) {
        let chart = maker.chart(&case).unwrap();
        let Some(earlier) = case.films.iter().find(|shot| shot.role == Role::Prior) else { continue };
        assert_eq!(chart.film(Role::Prior).is_some(), !earlier.another_patient);
        *if earlier.another_patient { &mut kept_apart } else { &mut compared } += 1;
    }
    assert!(compared > 50 && kept_apart > 5, "{compared} {kept_apart}");
}

#[test]
fn what_is_drawn_outside_a_range_is_flagged_by_the_server_and_nothing_else() {
    let texts = Texts::embedded().unwrap();
    let codes: HashSet<&str> = texts.tests.iter().map(|test| test.loinc.as_str()).collect();
    assert!(codes.len() == texts.tests.len() && codes.len() >= 25);
    assert!(texts.problems.len() >= 60 && texts.medicines.len() >= 60);
    for question in Question::ALL {
        if let Question::Flagged(test, level) = question {
            let test = texts.test(test.loinc()[0]).expect("a test that is asked about");
            assert!(test.can_lie(if level == Level::High { Lies::Above } else { Lies::Below }));
        }
    }
    let mut random = Random::training(3);
    for test in texts.tests.iter().filter(|test| test.ranged) {
        let [low, high] = [0, 1].map(|at| test.range[at].as_ref().map(|n| n.to_string().parse::<f64>().unwrap()));
        for lies in [Lies::Below, Lies::Within, Lies::Above].into_iter().filter(|lies| test.can_lie(*lies)) {
            for _ in 0..200 {
                let value: f64 = test.value(lies, &mut random).parse().unwrap();
                let found = match () {
                    _ if low.is_some_and(|low| value < low) => Lies::Below,
                    _ if high.is_some_and(|high| value > high) => Lies::Above,
                    _ => Lies::Within,
                };
                assert_eq!(found, lies, "{} {value}", test.loinc);
            }
        }
    }
}

#[test]
fn a_measurement_speaks_for_a_finding_only_of_the_films_days_and_outside_its_range() {
    let film = Date::parse("2025-11-20").unwrap();
    let speaks = |loinc: &str, value: &str, flag: Value, date: &str| {
        let evidence = serde_json::json!({ "id": "E3", "reference": "r", "date": date, "origin": "fetched", "fact": { "measurement": {
            "text": "t", "loinc": [loinc], "vital": false, "value": value, "unit": null, "ucum": null, "components": null,
            "flag": flag, "change": null } } });
        supports(&serde_json::from_value(evidence).unwrap(), &film).len()
    };
    let now = "2025-11-18T07:00:00Z";
    assert_eq!(speaks("8310-5", "38.0", Value::Null, now), 1);
    assert_eq!(speaks("8310-5", "37.9", Value::Null, now), 0);
    assert_eq!(speaks("8310-5", "37.5", "H".into(), now), 1);
    assert_eq!(speaks("8310-5", "39.5", "N".into(), now), 0);
    assert_eq!(speaks("59408-5", "89", Value::Null, now), 3);
    assert_eq!(speaks("59408-5", "90", Value::Null, now), 0);
    assert_eq!(speaks("59408-5", "92", "LL".into(), now), 3);
    assert_eq!(speaks("1988-5", "300", Value::Null, now), 0);
    assert_eq!(speaks("1988-5", "300", "A".into(), now), 0);
    assert_eq!(speaks("33762-6", "900", "HH".into(), now), 1);
    assert_eq!(speaks("1751-7", "20", "L".into(), now), 1);
    assert_eq!(speaks("1751-7", "20", "L".into(), "2024-11-18"), 0);
    assert_eq!(speaks("2823-3", "6.0", "H".into(), now), 0);
}

#[test]
fn shards_are_whole_and_hold_the_films_of_their_lines() {
    let folder = tempfile::tempdir().unwrap();
    let maker = Maker::new().unwrap();
    let all = Export {
        out: folder.path().to_owned(),
        seed: 5,
        count: 14,
        threads: 2,
        shard: 8,
        keep: usize::MAX,
        held_out: true,
        room: 1_600,
    };
    export(&maker, &all).unwrap();
    let mut names: Vec<String> =
        std::fs::read_dir(folder.path()).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["00000.jsonl", "00000.u8", "00001.jsonl", "00001.u8"]);
    let mut lines = 0;
    for shard in ["00000", "00001"] {
        let read = |ending: &str| std::fs::read(folder.path().join(format!("{shard}.{ending}"))).unwrap();
        let films = read("u8");
        let mut at = 0;
        for line in String::from_utf8(read("jsonl")).unwrap().lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let pictures = line["parts"].as_array().unwrap().iter().filter(|part| part.is_null()).count();
            assert_eq!(pictures, line["films"].as_array().unwrap().len());
            for film in line["films"].as_array().unwrap() {
                assert_eq!(film["at"], at);
                at += 1;
            }
            lines += 1;
        }
        assert_eq!(films.len(), at * 224 * 224);
        assert!(films.iter().collect::<HashSet<_>>().len() > 100);
    }
    assert_eq!(lines, 14);
}

#[test]
fn the_same_film_is_drawn_again() {
    let shot = cases(20).find_map(|(_, case)| case.films.into_iter().find(|shot| shot.role == Role::Prior)).unwrap();
    let draw = || shot.draw(crate::phantom::Style::First, (96, 96)).values;
    assert_eq!(draw(), draw());
}

#[test]
fn an_export_that_could_never_end_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let some = Export {
        out: folder.path().to_owned(),
        seed: 5,
        count: 1,
        threads: 1,
        shard: 1,
        keep: 1,
        held_out: false,
        room: 1_600,
    };
    let maker = Maker::new().unwrap();
    let never = [Export { keep: 0, ..some.clone() }, Export { shard: 0, ..some.clone() }, Export { room: 10, ..some }];
    for never in never {
        assert_eq!(export(&maker, &never).unwrap_err().kind, Kind::Invalid);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
