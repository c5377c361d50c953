//! A run: which cases are asked in which ways, and the tables that come of it.

use std::{collections::HashSet, path::Path, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{
    Drawn, Expected, Looks, Maker, Site, draw, export,
    figure::{Figure, Row, Share, Target},
    mark::{Mark, Seen},
    told::Told,
};
use crate::{
    engine::{Engine, Part},
    error::{Error, Result},
    phantom::Style,
    prompt::contract::MAX_CHARACTERS,
    task::{Language, Task},
};

/// Contrast of findings, from as usual to invisible.
const CONTRASTS: [f32; 5] = [1.0, 0.5, 0.25, 0.125, 0.0];
/// Most cases of the tables beside the main one.
const MOST_FAINT: usize = 100;
const MOST_UNCONSTRAINED: usize = 200;
const MOST_TOGETHER: usize = 200;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub cases: usize,
    pub style: Style,
    /// Cases of this language alone.
    pub language: Option<Language>,
    /// Cases of this task alone, by the word of a checkpoint's scope.
    pub task: Option<&'static str>,
    pub second_style: bool,
    pub contrast: bool,
    pub unconstrained: bool,
    pub together: bool,
}

#[derive(Clone, Debug)]
pub struct Table {
    pub title: String,
    pub rows: Vec<Row>,
}

/// What came of a run, as far as it went.
#[derive(Debug, Default)]
pub struct Outcome {
    pub tables: Vec<Table>,
    /// The cases of the main table that went wrong: file name and contents, for whoever looks for the cause.
    pub wrong: Vec<(String, String)>,
    /// Whether it was stopped before its end.
    pub stopped: bool,
}

impl Outcome {
    pub fn missed(&self) -> usize {
        self.tables.iter().flat_map(|table| &table.rows).filter(|row| row.met() == Some(false)).count()
    }
}

impl Table {
    pub fn json(&self) -> Value {
        json!({ "title": self.title, "rows": self.rows.iter().map(Row::json).collect::<Vec<_>>() })
    }
}

struct Run<'a> {
    plan: &'a Plan,
    engine: &'a Engine,
    program: &'a Path,
    stop: &'a CancellationToken,
    /// Told of what is asked, how many are done, and of how many.
    progress: &'a mut dyn FnMut(&str, usize, usize),
    outcome: Outcome,
}

/// Asks all that the plan says, one case after the other. Stopping gives what there is.
///
/// Errors: `Busy` where the model is not ready, `Invalid` where no prompt fits its room, and what serving may fail with.
pub async fn run(
    plan: &Plan,
    engine: &Engine,
    program: &Path,
    stop: &CancellationToken,
    progress: &mut dyn FnMut(&str, usize, usize),
) -> Result<Outcome> {
    let mut run = Run { plan, engine, program, stop, progress, outcome: Outcome::default() };
    run.all().await?;
    run.outcome.stopped = stop.is_cancelled();
    Ok(run.outcome)
}

impl Run<'_> {
    async fn all(&mut self) -> Result<()> {
        let (plan, looks) = (self.plan, Looks { style: self.plan.style, visible: 1.0 });
        let cases = Arc::new(self.draw()?);
        let title = |style| format!("Made-up cases, {} style of films", name(style));
        let site = Site::open(cases.clone(), looks, self.engine, self.program).await?;
        let marks = self.marks(&site, cases.len(), "cases").await?;
        let rate = self.engine.tokens_per_second();
        let mut table = Table { title: title(plan.style), rows: rows(&marks, plan.style) };
        table.rows.extend(times(&marks, rate));
        self.outcome.tables.push(table);
        let wrong = marks.iter().filter(|mark| !mark.exact || mark.fault.is_some());
        self.outcome.wrong = wrong.filter_map(|mark| told(mark, &cases)).collect();
        if plan.together {
            self.together(&site).await?;
        }
        site.close().await;
        if plan.unconstrained {
            self.unconstrained(&cases, &marks, looks).await?;
        }
        if plan.contrast {
            self.contrast(&cases).await?;
        }
        if plan.second_style && !self.stop.is_cancelled() {
            let looks = Looks { style: Style::Second, visible: 1.0 };
            let site = Site::open(cases.clone(), looks, self.engine, self.program).await?;
            let marks = self.marks(&site, cases.len().div_ceil(4), "cases in the second style").await?;
            site.close().await;
            let rows = rows(&marks, Style::Second);
            self.outcome.tables.push(Table { title: title(Style::Second), rows });
        }
        Ok(())
    }

    /// The cases, in the order of their numbers.
    fn draw(&mut self) -> Result<Vec<Drawn>> {
        let (plan, maker) = (self.plan, Maker::new()?);
        let scope = self.engine.info().and_then(|info| info.scope);
        let room = scope.and_then(|scope| scope.max_prompt_characters).unwrap_or(MAX_CHARACTERS);
        let wanted = |drawn: &Drawn| {
            plan.language.is_none_or(|language| drawn.case.language == language)
                && plan.task.is_none_or(|task| drawn.case.task.word() == task)
        };
        let (mut cases, mut patients) = (Vec::new(), HashSet::new());
        for number in 0.. {
            if cases.len() >= plan.cases || self.stop.is_cancelled() {
                break;
            }
            let drawn = draw(&maker, plan.seed, number, room)?;
            if wanted(&drawn) && patients.insert(drawn.case.record.patient_id.clone()) {
                cases.push(drawn);
                (self.progress)("cases drawn", cases.len(), plan.cases);
            }
        }
        Ok(cases)
    }

    async fn marks(&mut self, site: &Site, count: usize, what: &str) -> Result<Vec<Mark>> {
        let mut marks = Vec::new();
        for at in 0..count {
            (self.progress)(what, at, count);
            match self.stop.run_until_cancelled(site.mark(at)).await {
                Some(mark) => marks.push(mark?),
                None => break,
            }
        }
        Ok(marks)
    }

    /// Two patients at once, through two connections, and each of them alone.
    async fn together(&mut self, site: &Site) -> Result<()> {
        let mut order: Vec<usize> = (0..site.cases().len().min(MOST_TOGETHER)).collect();
        // Neighbours in time: both are asked about at the later one's.
        order.sort_by_key(|at| site.cases()[*at].case.now.instant());
        let pairs: Vec<[usize; 2]> = order.chunks_exact(2).map(|pair| [pair[0], pair[1]]).collect();
        let mut same = Share::default();
        for (done, [one, other]) in pairs.iter().copied().enumerate() {
            (self.progress)("pairs asked together", done, pairs.len());
            site.set_clock(other);
            let asked = async {
                let alone = [site.ask(one).await?, site.ask(other).await?];
                let (one, other) = tokio::try_join!(site.ask(one), site.ask(other))?;
                Ok::<_, Error>((alone, [one, other]))
            };
            let Some(asked) = self.stop.run_until_cancelled(asked).await else { break };
            let (alone, together) = asked?;
            let hits =
                alone.iter().zip(&together).filter(|(alone, together)| alone == together && alone.failed.is_none());
            same = Share { hits: same.hits + hits.count(), of: same.of + 2 };
        }
        let rows = vec![Row::share("answers the same as alone", same, Some(Target::AtLeast(100.0)))];
        self.outcome.tables.push(Table { title: "Two patients at once".into(), rows });
        Ok(())
    }

    /// The same cases without a schema for the answer.
    async fn unconstrained(&mut self, cases: &Arc<Vec<Drawn>>, marks: &[Mark], looks: Looks) -> Result<()> {
        if self.stop.is_cancelled() {
            return Ok(());
        }
        let site = Site::open(cases.clone(), looks, &self.engine.unconstrained(), self.program).await?;
        let count = marks.len().min(MOST_UNCONSTRAINED);
        let free = self.marks(&site, count, "cases without the schema").await?;
        site.close().await;
        let pairs = || marks.iter().zip(&free);
        let same = Share { hits: pairs().filter(|(with, without)| with.got == without.got).count(), of: free.len() };
        let exact = |mark: &Mark| Share::of(mark.exact);
        let rows = vec![
            Row::share("answers the same as with the schema", same, Some(Target::AtLeast(100.0))),
            Row::share("exactly right with the schema", Share::sum(pairs().map(|(with, _)| exact(with))), None),
            Row::share("exactly right without", Share::sum(free.iter().map(exact)), None),
        ];
        self.outcome.tables.push(Table { title: "Answers without a schema".into(), rows });
        Ok(())
    }

    /// Films whose findings are ever fainter.
    async fn contrast(&mut self, cases: &Arc<Vec<Drawn>>) -> Result<()> {
        let shows_some = |drawn: &Drawn| matches!(&drawn.shown.expected, Expected::Findings { findings, .. } if !findings.is_empty());
        let faint: Vec<usize> = (0..cases.len()).filter(|at| shows_some(&cases[*at])).take(MOST_FAINT).collect();
        let mut rows = Vec::new();
        for visible in CONTRASTS {
            if self.stop.is_cancelled() {
                break;
            }
            let looks = Looks { style: self.plan.style, visible };
            let site = Site::open(cases.clone(), looks, self.engine, self.program).await?;
            let mut seen = Vec::new();
            for (done, at) in faint.iter().copied().enumerate() {
                (self.progress)(&format!("films at {visible} of the contrast"), done, faint.len());
                site.set_clock(at);
                let Some(told) = self.stop.run_until_cancelled(site.ask(at)).await else { break };
                if let Expected::Findings { findings, .. } = &cases[at].shown.expected {
                    seen.push(Seen::of(findings, &told?, visible > 0.0));
                }
            }
            site.close().await;
            rows.extend(Seen::ALL.into_iter().filter_map(|what| {
                let share = Share { hits: seen.iter().filter(|one| **one == what).count(), of: seen.len() };
                let named = share.hits > 0 || !matches!(what, Seen::Failed);
                named.then(|| Row::share(format!("contrast x {visible}: {}", what.name()), share, None))
            }));
        }
        self.outcome.tables.push(Table { title: "Films with findings, ever fainter".into(), rows });
        Ok(())
    }
}

fn name(style: Style) -> &'static str {
    match style {
        Style::First => "first",
        Style::Second => "second",
    }
}

/// The figures that were counted. Of a style no model was trained on they are stated; only the product has to do its part.
fn rows(marks: &[Mark], style: Style) -> Vec<Row> {
    let target = |figure: Figure| {
        let asked = style == Style::First || matches!(figure, Figure::Answered | Figure::AsTaught);
        figure.target().filter(|_| asked)
    };
    let sum = |figure: Figure| {
        let counted = marks.iter().flat_map(|mark| &mark.shares).filter(|(of, _)| *of == figure);
        Share::sum(counted.map(|(_, share)| *share))
    };
    let counted = Figure::ALL.into_iter().map(|figure| (figure, sum(figure))).filter(|(_, share)| share.of > 0);
    let mut rows: Vec<Row> = counted.map(|(figure, share)| Row::share(figure.name(), share, target(figure))).collect();
    let [english, korean] = [Figure::English, Figure::Korean].map(sum);
    if english.of > 0 && korean.of > 0 {
        let behind = english.percent() - korean.percent();
        let at = rows.iter().position(|row| row.name == Figure::Korean.name()).map_or(rows.len(), |at| at + 1);
        rows.insert(
            at,
            Row::number(
                "- Korean behind English",
                behind,
                "points",
                (style == Style::First).then_some(Target::AtMost(1.0)),
            ),
        );
    }
    rows
}

fn times(marks: &[Mark], rate: Option<f64>) -> Vec<Row> {
    let of = |fits: &dyn Fn(&Mark) -> bool, part: f64| {
        let mut times: Vec<Duration> = marks.iter().filter(|mark| fits(mark)).map(|mark| mark.took).collect();
        times.sort_unstable();
        let at = (times.len() as f64 * part).ceil() as usize;
        times.get(at.saturating_sub(1)).map(Duration::as_secs_f64)
    };
    let all = |_: &Mark| true;
    let two = |mark: &Mark| mark.films == 2;
    let second = Some(Target::AtMost(1.0));
    [
        of(&all, 0.5).map(|time| Row::number("time of a card, median", time, "s", None)),
        of(&all, 0.95).map(|time| Row::number("time of a card, 95th percentile", time, "s", None)),
        of(&two, 0.5).map(|time| Row::number("time of a card with two films, median", time, "s", second)),
        rate.map(|rate| Row::number("decoding", rate, "tokens/s", Some(Target::AtLeast(150.0)))),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A case that went wrong, as text.
fn told(mark: &Mark, cases: &[Drawn]) -> Option<(String, String)> {
    let drawn = cases.iter().find(|drawn| drawn.number == mark.number)?;
    let task = match drawn.case.task {
        Task::Question(question) => format!("question {}", question.code()),
        task => task.word().to_owned(),
    };
    let prompt: String = drawn
        .shown
        .prompt
        .parts
        .iter()
        .map(|part| match part {
            Part::Text(text) => text.as_str(),
            Part::Image(_) => "\n<picture>\n",
        })
        .collect();
    let card = |told: &Told| match &told.failed {
        Some(why) => format!("none: {why}"),
        None => format!("{}\n\n{}", told.summary(), told.card["detail"].as_str().unwrap_or_default()),
    };
    let text = format!(
        "Case {}: {task}, {}\nThe product's fault: {}\n\n== prompt\n{prompt}\n\n== expected\n{}\n\n== card expected\n{}\n\n== card that came\n{}\n",
        mark.number,
        drawn.case.language.word(),
        mark.fault.as_deref().unwrap_or("none found"),
        export::text(&drawn.shown.expected).unwrap_or_default(),
        card(&mark.perfect),
        card(&mark.got),
    );
    Some((format!("case-{:06}.txt", mark.number), text))
}
