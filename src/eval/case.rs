//! One case: drawn from a seed, charted by the server's readers, asked by the server's renderer.

use std::sync::Arc;

use chrono::{Days, NaiveDate};
use image::RgbImage;
use serde_json::{Value, json, value::to_raw_value};

use super::{
    answer::{self, Expected},
    films::{Shot, before, date, shots},
    record::{Person, Record, TERMINOLOGY},
    texts::{Lies, Pair, Texts, one},
};
use crate::{
    chart::{self, AtHand, Chart, Reading, Role, View},
    egress::Base,
    engine::Prompt,
    error::{Error, Result},
    fhir::Date,
    finding::{Finding, FindingKind},
    grounding,
    phantom::Random,
    prompt::{Rendered, contract},
    service::{self, Service},
    task::{Language, Level, Question, Substance, Task},
};

/// Where the records of made-up cases are.
const EHR: &str = "http://ehr.invalid/fhir";

/// Makes cases.
pub struct Maker {
    texts: Texts,
    imaging: Service,
    summary: Service,
    base: Base,
    /// A picture that is not drawn: a prompt is made of lines, whatever the film shows.
    blank: Arc<RgbImage>,
}

/// A patient with record, films and question. `order` is there where a film is asked about.
pub struct Case {
    pub task: Task,
    pub language: Language,
    pub record: Record,
    pub order: Option<Value>,
    /// Current, then prior.
    pub films: Vec<Shot>,
    pub now: Date,
    /// Added to every evidence number, so that a model copies numbers and does not count; the server adds nothing.
    pub shifted: u32,
}

/// The prompt of a case, what of the chart it shows, and the answer.
pub struct Shown {
    pub prompt: Prompt,
    pub view: View,
    pub expected: Expected,
    /// Index into the case's films of each picture of the prompt.
    pub pictures: Vec<usize>,
}

impl Maker {
    pub fn new() -> Result<Maker> {
        let services = service::load(None)?.0;
        let named = |id: &str| services.iter().find(|service| service.id == id).cloned();
        let missing = || Error::fault("a service that cases are made for is not part of the program");
        Ok(Maker {
            texts: Texts::embedded()?,
            imaging: named("imaging-draft-report").ok_or_else(missing)?,
            summary: named("chart-summary").ok_or_else(missing)?,
            base: EHR.parse().map_err(|e| Error::fault("no URL").because(e))?,
            blank: Arc::new(RgbImage::new(1, 1)),
        })
    }

    /// The case of a stream of random numbers.
    pub fn draw(&self, random: &mut Random) -> Case {
        let texts = &self.texts;
        let language = if random.chance(0.3) { Language::Korean } else { Language::English };
        let korean = random.chance(if language == Language::Korean { 0.65 } else { 0.02 });
        let today = day(2019, random.below(4_700));
        let after = [0, 0, 1, 2][random.below(4)];
        let patient_id = format!("p{:012x}", random.number() >> 16);
        let person = person(random, today);
        let (_, of_the_chart) = Question::ALL.split_at(Question::OF_A_FILM);
        let (mut task, about_film) = match random.weighted(&[70, 18, 5, 7]) {
            0 => (Task::ImagingDraft, true),
            1 => (Task::Summary, false),
            2 => (Task::Question(Question::ALL[0]), true),
            _ => (Task::Question(of_the_chart[random.below(of_the_chart.len())]), false),
        };
        let mut record = Record::new(patient_id, &person, korean, today);
        let films = if about_film { shots(random, &person, today) } else { Vec::new() };
        let current: &[Finding] = films.first().map_or(&[], |shot| shot.findings.as_slice());
        if matches!(task, Task::Question(_)) && about_film {
            task = Task::Question(asked_of(current, random));
        }
        for shot in &films {
            let undescribed = [String::from("XR Chest"), String::from("XR Chest")];
            let name = one(&texts.studies, random).unwrap_or(&undescribed);
            record.study(shot, name, "archive");
        }
        self.fill(&mut record, current, task, random);
        let order = about_film.then(|| {
            let reason = one(&texts.reasons, random).filter(|_| random.chance(0.6));
            record.order(after, reason, random)
        });
        let now = today.checked_add_days(Days::new(after as u64)).unwrap_or(today);
        let now = date(&format!("{now}T12:00:00Z"));
        let shifted = if random.chance(0.12) { random.below(60) as u32 } else { 0 };
        Case { task, language, record, order, films, now, shifted }
    }

    /// Puts into the record what speaks for the findings, and what does not.
    fn fill(&self, record: &mut Record, current: &[Finding], task: Task, random: &mut Random) {
        let texts = &self.texts;
        let shows = |kind: FindingKind| current.iter().any(|finding| finding.kind == kind);
        let mut taken: Vec<&str> = Vec::new();
        if task.is_about_the_film() {
            for (loinc, kinds, lies) in TELLING {
                let there = kinds.iter().any(|kind| shows(*kind));
                if random.chance(0.42) {
                    let lies = if random.chance(if there { 0.6 } else { 0.15 }) { lies } else { Lies::Within };
                    taken.push(loinc);
                    if let Some(test) = texts.test(loinc) {
                        record.measure(test, lies, random);
                    }
                }
            }
            for &kind in FindingKind::ALL {
                if random.chance(if shows(kind) { 0.5 } else { 0.06 }) {
                    self.note(record, texts.notes(kind), Some(kind), random);
                }
            }
        }
        let more = match random.weighted(&[20, 42, 28, 8, 2]) {
            0 => random.below(3),
            1 => 2 + random.below(5),
            2 => 6 + random.below(7),
            3 => 12 + random.below(10),
            _ => 30 + random.below(40),
        };
        let mut allergies = 0;
        if let Task::Question(Question::Allergy(substance)) = task {
            match random.weighted(&[45, 20, 35]) {
                0 => record.allergy(texts, Some(substance), random),
                1 => {
                    if let Some(text) = one(&texts.none_known, random) {
                        record.no_known_allergy(text, random);
                    }
                }
                _ => {}
            }
            allergies = 1;
        }
        if let Task::Question(Question::Flagged(test, level)) = task {
            let loinc = test.loinc()[0];
            if let Some(test) = texts.test(loinc).filter(|_| random.chance(0.75)) {
                let lies = if level == Level::High { Lies::Above } else { Lies::Below };
                record.measure(test, if random.chance(0.55) { lies } else { Lies::Within }, random);
            }
            taken.push(loinc);
        }
        for _ in 0..more {
            let tests = if task == Task::Summary { 80 } else { 42 };
            match random.weighted(&[tests, 16, 15, 7, 10, 6, 4]) {
                0 => self.measure(record, &mut taken, random),
                1 => {
                    if let Some(text) = one(&texts.problems, random) {
                        record.problem(text, random);
                    }
                }
                2 => {
                    let dosage = one(&texts.dosages, random).filter(|_| random.chance(0.6));
                    if let Some(text) = one(&texts.medicines, random) {
                        record.medicine(text, dosage, random);
                    }
                }
                3 if allergies == 0 && random.chance(0.25) => {
                    // Nothing else is said of allergies then.
                    allergies = usize::MAX;
                    if let Some(text) = one(&texts.none_known, random) {
                        record.no_known_allergy(text, random);
                    }
                }
                3 if allergies < 4 => {
                    allergies += 1;
                    let to = if random.chance(0.4) { one(Substance::ALL, random).copied() } else { None };
                    record.allergy(texts, to.filter(|to| !asks(task, *to)), random);
                }
                4 => self.note(record, texts.other_notes(false), None, random),
                5 => {
                    if let Some(report) = one(&texts.reports, random) {
                        record.report(report, random);
                    }
                }
                6 => self.note(record, texts.other_notes(true), None, random),
                _ => {}
            }
        }
        if random.chance(0.15) {
            record.blood_pressure(random);
        }
    }

    fn note(&self, record: &mut Record, from: &[Pair], tells: Option<FindingKind>, random: &mut Random) {
        if let Some(text) = one(from, random) {
            record.note(text, tells, random);
        }
    }

    /// A test that has no value yet; a second value of a test would be its last or the one before.
    fn measure<'a>(&'a self, record: &mut Record, taken: &mut Vec<&'a str>, random: &mut Random) {
        let Some(test) = one(&self.texts.tests, random).filter(|test| !taken.contains(&test.loinc.as_str())) else {
            return;
        };
        taken.push(&test.loinc);
        let lies = [Lies::Within, Lies::Below, Lies::Above][random.weighted(&[50, 22, 28])];
        record.measure(test, lies, random);
    }

    /// The chart as the server makes it of record and films.
    pub fn chart(&self, case: &Case) -> Result<Chart> {
        let unreadable = |e| Error::fault("a made-up resource is no JSON").because(e);
        let service = if case.order.is_some() { &self.imaging } else { &self.summary };
        let resources =
            case.record.resources.iter().map(|r| to_raw_value(r).map(Arc::new)).collect::<serde_json::Result<_>>();
        let order = case.order.as_ref().map(to_raw_value).transpose().map_err(unreadable)?;
        let order = order
            .zip(service.applies.as_ref())
            .and_then(|(order, applies)| chart::order(applies, &order, &self.base, &case.record.patient_id));
        let reading = order.map(|order| Reading { order, other_orders: 0, study: None, prior: None, no_film: None });
        let film = |role| case.films.iter().find(|shot| shot.role == role).map(|shot| shot.image(self.blank.clone()));
        AtHand {
            service,
            base: &self.base,
            patient_id: &case.record.patient_id,
            resources: resources.map_err(unreadable)?,
            current: film(Role::Current),
            earlier: film(Role::Prior),
            reading,
            now: &case.now,
        }
        .chart()
    }

    /// The prompt within that room, and the answer. `None` where the server would not ask: a record with nothing in it.
    pub fn ask(&self, case: &Case, room: usize, with_schema: bool) -> Result<Option<Shown>> {
        let mut chart = self.chart(case)?;
        for evidence in &mut chart.evidence {
            evidence.id.0 += case.shifted;
        }
        let asked = contract::Asked { room, ..contract::Asked::of(case.task, case.language, None) };
        let schema = |ids: &[_]| with_schema.then(|| grounding::contract::schema(case.task, ids));
        let Rendered::Ask(prompt, view) = contract::render(&chart, &asked, schema) else { return Ok(None) };
        let expected = answer::expected(case, &chart, &view);
        let picture = |shot: &Shot| chart.film(shot.role).is_some_and(|(id, _)| view.shown.contains(&id));
        let pictures = (0..case.films.len()).filter(|at| picture(&case.films[*at])).collect();
        Ok(Some(Shown { prompt: *prompt, view, expected, pictures }))
    }
}

/// Tests that speak for findings when they lie so.
const TELLING: [(&str, &[FindingKind], Lies); 7] = [
    ("8310-5", &[FindingKind::Opacity], Lies::Above),
    ("59408-5", &[FindingKind::Opacity, FindingKind::Effusion, FindingKind::Pneumothorax], Lies::Below),
    ("1988-5", &[FindingKind::Opacity], Lies::Above),
    ("6690-2", &[FindingKind::Opacity], Lies::Above),
    ("30934-4", &[FindingKind::Cardiomegaly], Lies::Above),
    ("33762-6", &[FindingKind::Cardiomegaly], Lies::Above),
    ("1751-7", &[FindingKind::Effusion], Lies::Below),
];

fn asks(task: Task, substance: Substance) -> bool {
    task == Task::Question(Question::Allergy(substance))
}

fn day(year: i32, days: usize) -> NaiveDate {
    let first = NaiveDate::from_ymd_opt(year, 1, 1).unwrap_or_default();
    first.checked_add_days(Days::new(days as u64)).unwrap_or(first)
}

fn person(random: &mut Random, today: NaiveDate) -> Person {
    let gender = [Some("male"), Some("female"), Some("other"), None][random.weighted(&[47, 47, 2, 4])];
    let born = before(today, 18 * 366 + random.below(79 * 365));
    Person { gender, born: random.chance(0.96).then_some(born) }
}

/// A question about the film: half of them about something it shows.
fn asked_of(findings: &[Finding], random: &mut Random) -> Question {
    match one(findings, random).filter(|_| random.chance(0.6)) {
        Some(finding) => Question::Film(finding.kind, finding.side),
        None => Question::ALL[random.below(Question::OF_A_FILM)],
    }
}

impl Case {
    /// The answers the server would ask a hospital for: everything of the record, and where the films lie.
    pub fn resources(&self, dicomweb: &str) -> Vec<Value> {
        let wado = json!({ "system": format!("{TERMINOLOGY}/endpoint-connection-type"), "code": "dicom-wado-rs" });
        let archive = json!({ "resourceType": "Endpoint", "id": "archive", "status": "active", "connectionType": wado,
            "payloadType": [{ "text": "DICOM" }], "payloadMimeType": ["application/dicom"], "address": dicomweb });
        self.record.resources.iter().cloned().chain([archive]).collect()
    }
}
