//! The card of what a model answered, whatever it was asked: what it said, on what, and what was not kept.

use std::{collections::BTreeMap, fmt::Write};

use super::{Said, capital, card, ledger, markdown::escape, reasons, short, words::Words};
use crate::{
    cds_hooks::{Card, Indicator, Link, LinkType},
    chart::{Chart, Evidence, EvidenceId, Reading, Role},
    fhir::Date,
    grounding::{self, Assessment, Statement, Urgency, described},
    service::Service,
    task::{Language, Task},
};

/// What the card of a model's answer says beside the assessment.
pub struct Draft<'a> {
    pub task: Task,
    /// Of the assessment too.
    pub language: Language,
    pub intended_use: &'a str,
    pub model: Model<'a>,
    /// Page of the stored report; absent when nothing was stored.
    pub report_url: Option<String>,
}

/// What a reader is told of the model.
#[derive(Clone, Copy)]
pub struct Model<'a> {
    pub name: &'a str,
    pub weights_sha256: &'a str,
    /// Whether its makers say what it can read. If not, nothing keeps it from films it was never made for.
    pub states_scope: bool,
}

/// The card of a draft, of results picked from the chart or of a question answered; or why there is none.
pub fn answer(service: &Service, chart: &Chart, assessment: &Assessment, draft: &Draft, seed: &str) -> Card {
    let writer = Writer {
        chart,
        assessment,
        draft,
        words: Words::of(draft.language),
        shared: grounding::Words::of(draft.language),
        detail: String::new(),
    };
    card(service, writer.said(), seed)
}

struct Writer<'a> {
    chart: &'a Chart,
    assessment: &'a Assessment,
    draft: &'a Draft<'a>,
    words: &'static Words,
    shared: &'static grounding::Words,
    detail: String,
}

impl Writer<'_> {
    fn said(mut self) -> Said {
        let (summary, indicator) = self.first();
        self.model();
        if let Some(reading) = self.chart.reading.as_ref().filter(|_| self.draft.task.is_about_the_film()) {
            self.study(reading);
        }
        if self.assessment.abstained.is_none() {
            self.statements();
        }
        self.evidence();
        ledger(&mut self.detail, self.assessment, self.draft.language);
        let listed = self.not_shown();
        let refused = self.assessment.abstained.as_ref().is_some_and(|a| !a.model_asked);
        let any = !self.assessment.rejected.is_empty() || !self.assessment.ledger.failed.is_empty();
        reasons(&mut self.detail, any || listed || refused, self.words);
        let label = self.words.link.to_owned();
        let link = |url: &String| Link { label, url: url.clone(), kind: LinkType::Absolute };
        let links = self.draft.report_url.as_ref().map(link).into_iter().collect();
        Said { summary, detail: self.detail, indicator, links, language: self.draft.language }
    }

    /// One paragraph of ours.
    fn say(&mut self, text: &str) {
        let _ = writeln!(self.detail, "\n{text}");
    }

    /// Whether there is an answer at all, and what the summary says of it.
    fn first(&mut self) -> (String, Indicator) {
        let answer = self.words.answer(self.draft.task);
        let Some(abstention) = &self.assessment.abstained else {
            self.say(&format!("**{}.**", self.shared.banner));
            return (self.headline(), indicator(self.assessment.urgency));
        };
        self.say(&(answer.refused)(&escape(&capital(&abstention.reason))));
        if let Task::Question(question) = self.draft.task {
            self.say(&format!("{}: {}", self.words.question, capital(&question.text(self.draft.language))));
        }
        (format!("{}: {}", answer.missing, abstention.reason), Indicator::Info)
    }

    fn headline(&self) -> String {
        let answer = self.words.answer(self.draft.task);
        let statements = self.assessment.sections.iter().flat_map(|s| &s.statements);
        let statements: Vec<String> = statements.map(|s| self.text(s)).collect();
        let said = if statements.is_empty() { answer.nothing.to_owned() } else { statements.join("; ") };
        let urgency = self.assessment.urgency.map(|urgency| format!(" ({})", self.shared.urgency(urgency)));
        format!("{}{}: {said}", answer.to_review, urgency.unwrap_or_default())
    }

    /// A question begins as a sentence here; what else is said begins with the EHR's text or is one already.
    fn text(&self, statement: &Statement) -> String {
        match self.draft.task {
            Task::Question(_) => capital(&statement.text),
            Task::ImagingDraft | Task::Summary => statement.text.clone(),
        }
    }

    fn model(&mut self) {
        let used_for = escape(self.shared.coded(self.draft.intended_use));
        self.say(&(self.shared.intended_use)(&used_for));
        if self.assessment.abstained.as_ref().is_some_and(|a| !a.model_asked) {
            return self.say(self.words.not_asked);
        }
        let Model { name, weights_sha256, states_scope } = self.draft.model;
        let weights = weights_sha256.get(..12).unwrap_or(weights_sha256);
        let model = (self.words.model)(&escape(name), weights);
        let scope = match (states_scope, self.draft.task.is_about_the_film()) {
            (true, _) => return self.say(&model),
            (false, true) => self.words.no_scope_of_films,
            (false, false) => self.words.no_scope,
        };
        self.say(&format!("{model} {scope}"));
    }

    /// Which study it is about, and what the model was shown of it.
    fn study(&mut self, reading: &Reading) {
        let (words, shared) = (self.words, self.shared);
        self.say(&format!("{}: {}.", words.order, escape(shared.coded(&reading.order.text))));
        let Some(study) = &reading.study else { return };
        let day = |date: &Option<Date>| date.as_ref().map_or(shared.no_date.to_owned(), |d| d.day().to_owned());
        let shown = |role| {
            let film = self.chart.film(role).filter(|(id, _)| self.assessment.ledger.shown.contains(id));
            film.map(|(_, film)| film)
        };
        let (current, prior) = (shown(Role::Current), shown(Role::Prior));
        let what = match (study.is_study(), current.is_some()) {
            (true, true) => shared.study_read,
            (true, false) => words.study_sought,
            (false, true) => shared.picture_read,
            (false, false) => words.picture_sought,
        };
        let unnamed = if study.is_study() { words.unnamed_study } else { words.untitled };
        let name = escape(study.description.as_deref().unwrap_or(unnamed));
        let (day_of_it, chosen) = (day(&study.date), shared.chosen(study));
        self.say(&format!("{what}: {name}, {day_of_it}, {chosen}. {}", words.not_the_ordered));
        let Some(current) = current else { return };
        let Some(prior) = prior else { return self.say(words.not_compared) };
        self.say(&(words.compared)(&day(&prior.date)));
        if current.view != prior.view {
            let [now, before] = [&current.view, &prior.view].map(|v| escape(v.as_deref().unwrap_or(words.not_stated)));
            self.say(&(words.views_differ)(&now, &before));
        }
    }

    fn statements(&mut self) {
        for section in &self.assessment.sections {
            self.say(&format!("**{}**\n", section.title));
            for statement in &section.statements {
                let ids: Vec<String> = statement.evidence.iter().map(EvidenceId::to_string).collect();
                let _ = writeln!(self.detail, "- {} ({})", escape(&self.text(statement)), ids.join(", "));
            }
            if section.statements.is_empty() {
                let films: Vec<String> = self.films_shown().map(|id| id.to_string()).collect();
                let nothing = match self.draft.task {
                    Task::ImagingDraft => (self.words.no_finding)(&films.join(", ")),
                    Task::Summary | Task::Question(_) => self.words.none_picked.to_owned(),
                };
                let _ = writeln!(self.detail, "- {nothing}");
            }
        }
        match self.draft.task {
            // INVARIANT: a_reader_sees_what_was_looked_for_whatever_was_found
            Task::ImagingDraft => {
                self.say(&grounding::looked_for(self.draft.language));
                let urgency = self.assessment.urgency.map_or(self.words.not_stated, |u| self.shared.urgency(u));
                self.say(&(self.words.urgency)(urgency));
            }
            // INVARIANT: a_reader_sees_how_many_flagged_results_were_not_picked
            Task::Summary => {
                let printed = self.chart.evidence.iter().filter_map(Evidence::printed);
                let all = printed.filter(|printed| printed.is_flagged()).count();
                let named = self.assessment.sections.iter().map(|s| s.statements.len()).sum();
                self.say(&(self.words.flagged)(named, all));
            }
            Task::Question(_) => {}
        }
    }

    fn evidence(&mut self) {
        let cited = self.cited();
        if cited.is_empty() {
            return;
        }
        self.say(&format!("**{}**\n", self.words.evidence));
        for evidence in cited.iter().filter_map(|id| self.chart.evidence(*id)) {
            let day = evidence.date.as_ref().map_or(String::new(), |d| format!(", {}", d.day()));
            let (_, text) = described(&evidence.fact, self.draft.language);
            let reference = escape(&short(&evidence.reference));
            let _ = writeln!(self.detail, "- {}: {}{day} ({reference})", evidence.id, escape(&text));
        }
    }

    /// What the model was not shown: counted where the report lists it, else by reason. Whether reasons were printed.
    fn not_shown(&mut self) -> bool {
        let not_shown = &self.assessment.ledger.not_shown;
        let asked = self.assessment.abstained.as_ref().is_none_or(|a| a.model_asked);
        if not_shown.is_empty() || !asked {
            return false;
        }
        let count = (self.words.not_shown)(not_shown.len());
        if self.draft.report_url.is_some() {
            self.say(&format!("{count}{}", self.words.listed_in_the_report));
            return false;
        }
        let mut whys: BTreeMap<&str, usize> = BTreeMap::new();
        for kept in not_shown {
            *whys.entry(&kept.why).or_default() += 1;
        }
        let whys: Vec<String> = whys.into_iter().map(|(why, n)| format!("{}: {n}", escape(why))).collect();
        self.say(&format!("{count} ({}).", whys.join("; ")));
        true
    }

    /// The films the model was shown: what an answer without a finding rests on.
    fn films_shown(&self) -> impl Iterator<Item = EvidenceId> {
        let films = [Role::Current, Role::Prior].into_iter().filter_map(|role| self.chart.film(role)).map(|(id, _)| id);
        films.filter(|id| self.assessment.ledger.shown.contains(id))
    }

    fn cited(&self) -> Vec<EvidenceId> {
        let statements = self.assessment.sections.iter().flat_map(|s| &s.statements).flat_map(|s| &s.evidence);
        let abstained = self.assessment.abstained.iter().flat_map(|a| &a.evidence);
        let mut ids: Vec<EvidenceId> = statements.chain(abstained).copied().collect();
        if ids.is_empty() && self.assessment.abstained.is_none() && self.draft.task == Task::ImagingDraft {
            ids.extend(self.films_shown());
        }
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}

/// A model alone never yields `critical`: that word is for a danger somebody checked.
fn indicator(urgency: Option<Urgency>) -> Indicator {
    match urgency {
        Some(Urgency::Urgent | Urgency::Critical) => Indicator::Warning,
        Some(Urgency::Routine | Urgency::Soon | Urgency::CannotDetermine) | None => Indicator::Info,
    }
}
