//! Contract 2: the form of the answer to each task, and what of it is kept.

#[cfg(test)]
mod tests;

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Assessment, Change, FindingKind, Ledger, Region, Rejected, Section, Severity, Side, Statement, Urgency,
    claim::{self, MAX_FINDINGS, cited, ledger, say, too_many, unreadable},
    described,
};
use crate::{
    chart::{Chart, Evidence, EvidenceId, FLAGGED, Fact, Role, View, rules_out},
    engine::Completion,
    error::Result,
    task::{Language, Level, Question, Task},
};

/// Most citations of a finding, and statements of a summary, that an answer may hold.
const MAX_CITATIONS: usize = 12;
pub const MAX_STATEMENTS: usize = 6;
const BLANK: &str = "blank film";
const NO_CHEST: &str = "not a chest film";
const ANOTHER: &str = "another patient's film";
const REASONS: [&str; 3] = [BLANK, NO_CHEST, ANOTHER];
/// Of the words of urgency those a draft may say.
const URGENCIES: [&str; 4] = ["routine", "soon", "urgent", "cannot_determine"];
const CANNOT_DETERMINE: &str = "cannot_determine";

/// JSON Schema of the answer: `evidence` can only be an id that was shown.
pub fn schema(task: Task, shown: &[EvidenceId]) -> Value {
    let ids: Vec<String> = shown.iter().map(EvidenceId::to_string).collect();
    let id = json!({ "enum": ids });
    let some = |least: usize, most: usize| json!({ "type": "array", "items": id, "minItems": least, "maxItems": most });
    let mut schema = match task {
        Task::ImagingDraft => {
            let finding = object([
                ("kind", json!({ "enum": FindingKind::WORDS })),
                ("side", json!({ "enum": Side::WORDS })),
                ("region", json!({ "enum": Region::WORDS })),
                ("severity", json!({ "enum": Severity::WORDS })),
                ("change", json!({ "enum": Change::WORDS })),
                ("evidence", some(1, MAX_CITATIONS)),
            ]);
            let findings = object([
                ("findings", json!({ "type": "array", "items": finding, "maxItems": MAX_FINDINGS })),
                ("urgency", json!({ "enum": URGENCIES })),
            ]);
            let insufficient = object([
                ("insufficient_evidence", json!({ "enum": REASONS })),
                ("evidence", some(1, 2)),
                ("urgency", json!({ "enum": [CANNOT_DETERMINE] })),
            ]);
            json!({ "anyOf": [findings, insufficient] })
        }
        Task::Summary => {
            let text = |most: usize| json!({ "type": "string", "maxLength": most });
            let statement = object([
                ("evidence", id.clone()),
                ("value", text(40)),
                ("unit", text(20)),
                ("date", text(10)),
                ("flag", json!({ "enum": FLAGGED })),
            ]);
            object([("statements", json!({ "type": "array", "items": statement, "maxItems": MAX_STATEMENTS }))])
        }
        Task::Question(_) => object([
            ("answer", json!({ "enum": ["yes", "no", CANNOT_DETERMINE] })),
            ("evidence", some(0, MAX_CITATIONS)),
        ]),
    };
    // A weak model under a schema would otherwise loop on white space until its token limit.
    schema["x-guidance"] = json!({ "whitespace_flexible": false });
    schema
}

/// An object of exactly these members, in this order.
fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    let required: Vec<&str> = members.iter().map(|(name, _)| *name).collect();
    let properties: serde_json::Map<String, Value> =
        members.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    json!({ "type": "object", "additionalProperties": false, "required": required, "properties": properties })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Insufficient {
    insufficient_evidence: String,
    evidence: Vec<String>,
    #[serde(rename = "urgency")]
    _urgency: Urgency,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Summary {
    statements: Vec<Copied>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Copied {
    evidence: String,
    value: String,
    unit: String,
    date: String,
    flag: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    answer: Reply,
    evidence: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reply {
    Yes,
    No,
    CannotDetermine,
}

/// Keeps the statements that rest on evidence that was shown; drops and counts the rest.
///
/// Errors: `Fault` for an answer that was cut, is no JSON, or is not of this task's form. It is never repaired.
pub fn ground(
    completion: &Completion,
    chart: &Chart,
    view: &View,
    task: Task,
    language: Language,
) -> Result<Assessment> {
    let grounded = Ground { chart, shown: view.shown.iter().copied().collect(), view, language };
    let text = claim::whole(completion)?;
    match task {
        Task::ImagingDraft => grounded.draft(text),
        Task::Summary => grounded.summary(text),
        Task::Question(question) => grounded.answer(text, question),
    }
}

struct Ground<'a> {
    chart: &'a Chart,
    shown: HashSet<EvidenceId>,
    view: &'a View,
    language: Language,
}

impl Ground<'_> {
    fn say(&self, english: &str, korean: &str) -> String {
        say(self.language, english, korean)
    }

    fn ledger(&self) -> Ledger {
        ledger(self.chart, self.view)
    }

    fn abstained(&self, reason: String, evidence: Vec<EvidenceId>, rejected: Vec<Rejected>) -> Assessment {
        claim::abstained(self.ledger(), reason, evidence, rejected)
    }

    fn stated(&self, key: &str, title: String, statements: Vec<Statement>, rejected: Vec<Rejected>) -> Assessment {
        let sections = vec![Section { key: key.into(), title, statements }];
        Assessment { sections, ledger: self.ledger(), rejected, ..Assessment::default() }
    }

    fn draft(&self, text: &str) -> Result<Assessment> {
        let value: Value = serde_json::from_str(text).map_err(|_| unreadable())?;
        if value.get("insufficient_evidence").is_some() {
            let answer: Insufficient = serde_json::from_str(text).map_err(|_| unreadable())?;
            // The reason is one of our own words or it is not repeated.
            let reason = match answer.insufficient_evidence.as_str() {
                BLANK => self.say("the model found the picture blank", "모델은 영상이 비어 있다고 보았다"),
                NO_CHEST => self
                    .say("the model found that the picture is not a chest film", "모델은 흉부 영상이 아니라고 보았다"),
                ANOTHER => self.say(
                    "the model found that the film is labelled as another patient's",
                    "모델은 영상에 다른 환자가 표기되어 있다고 보았다",
                ),
                _ => self.say("the model found nothing it could read", "모델은 읽을 수 있는 것을 찾지 못했다"),
            };
            return Ok(self.abstained(reason, cited(answer.evidence, &self.shown, |_| {}), Vec::new()));
        }
        claim::findings(text, &URGENCIES, self.chart, self.view, self.language)
    }

    /// What is said of a value is the chart's: the model only points, and what it copies has to be the same.
    fn summary(&self, text: &str) -> Result<Assessment> {
        let answer: Summary = serde_json::from_str(text).map_err(|_| unreadable())?;
        if answer.statements.len() > MAX_STATEMENTS {
            return Err(too_many());
        }
        let mut rejected = Vec::new();
        let mut statements: Vec<Statement> = Vec::new();
        for copied in answer.statements {
            match self.copied(&copied, &statements) {
                Ok(statement) => statements.push(statement),
                Err(why) => {
                    let what = self.say("a value of the chart", "기록의 수치");
                    rejected.push(Rejected { what, why: why.to_owned() });
                }
            }
        }
        let title = self.say("Results that stand out", "눈에 띄는 검사 결과");
        Ok(self.stated("results", title, statements, rejected))
    }

    // INVARIANT: a_copied_value_is_the_cited_facts
    fn copied(&self, copied: &Copied, before: &[Statement]) -> std::result::Result<Statement, &'static str> {
        let id = EvidenceId::try_from(copied.evidence.clone()).ok().filter(|id| self.shown.contains(id));
        let id = id.ok_or("the citation names nothing that was shown")?;
        let evidence = self.chart.evidence(id).ok_or("the citation names nothing that was shown")?;
        let printed = evidence.printed().ok_or("what it cites is no measurement")?;
        let flag = printed.flag.as_deref().filter(|_| printed.is_flagged()).ok_or("what it cites is not flagged")?;
        let same = [&copied.value, &copied.unit, &copied.date] == [&printed.value, &printed.unit, &printed.date];
        if !same || copied.flag != flag {
            return Err("value, unit, date or flag differ from those of the record");
        }
        if before.iter().any(|statement| statement.evidence.contains(&id)) {
            return Err("it repeats a statement");
        }
        let (_, said) = described(&evidence.fact, self.language);
        Ok(Statement { text: format!("{said}, {}", printed.date), finding: None, evidence: vec![id] })
    }

    fn answer(&self, text: &str, question: Question) -> Result<Assessment> {
        let Answer { answer, evidence } = serde_json::from_str(text).map_err(|_| unreadable())?;
        let mut rejected = Vec::new();
        let asked = question.text(self.language);
        let mut reject = |why: &str| rejected.push(Rejected { what: asked.clone(), why: why.to_owned() });
        let mut cited = cited(evidence, &self.shown, &mut reject);
        if answer == Reply::CannotDetermine {
            let reason =
                self.say("the model could not answer from what it was shown", "모델은 보여준 것만으로 답할 수 없었다");
            return Ok(self.abstained(reason, cited, rejected));
        }
        let wanted = answer == Reply::Yes;
        cited.retain(|id| {
            let why = match self.chart.evidence(*id).and_then(|evidence| says(evidence, question)) {
                Some(Says::Either) => return true,
                Some(said) if (said == Says::Yes) == wanted => return true,
                Some(_) => "a citation says otherwise",
                None => "a citation does not bear on the question",
            };
            reject(why);
            false
        });
        // INVARIANT: a_yes_or_no_rests_on_what_it_is_about
        if cited.is_empty() {
            reject("the answer does not cite what it is about, so it was dropped");
            let reason =
                self.say("nothing the model stated rested on the record", "모델의 답이 기록에 근거하지 않았다");
            return Ok(self.abstained(reason, Vec::new(), rejected));
        }
        let yes = if answer == Reply::Yes { self.say("Yes", "예") } else { self.say("No", "아니요") };
        let statement = Statement { text: format!("{asked} {yes}."), finding: None, evidence: cited };
        Ok(self.stated("answer", self.say("Answer", "답"), vec![statement], rejected))
    }
}

/// What a fact says to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    Yes,
    No,
    /// A film: what it shows is the model's to say.
    Either,
}

/// What a fact says to a question, where it bears on it and says anything.
pub fn says(evidence: &Evidence, question: Question) -> Option<Says> {
    let said = |yes: bool| if yes { Says::Yes } else { Says::No };
    match (question, &evidence.fact) {
        (Question::Film(..), Fact::Image { role: Role::Current, .. }) => Some(Says::Either),
        (Question::Allergy(substance), Fact::Allergy { none_known: true, text, .. }) => {
            rules_out(text, substance).then_some(Says::No)
        }
        (Question::Allergy(substance), Fact::Allergy { text, .. }) => substance.is_named_in(text).then_some(Says::Yes),
        (Question::Flagged(test, level), Fact::Measurement(m)) => {
            m.loinc.iter().find(|code| test.loinc().contains(&code.as_str()))?;
            let printed = evidence.printed()?;
            let ranged = m.range.low.is_some() || m.range.high.is_some();
            match (printed.flag.as_deref(), level) {
                // That does not say which way.
                (Some("abnormal" | "critically abnormal"), _) => None,
                (Some(_), Level::High) => Some(said(printed.is_high())),
                (Some(_), Level::Low) => Some(said(printed.is_low())),
                (None, _) => ranged.then_some(Says::No),
            }
        }
        _ => None,
    }
}
