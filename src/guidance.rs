//! What the product says: a request is prepared into a Chart, and the chart completed into cards and a draft report.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use crate::{
    app::App,
    caller::Caller,
    card,
    cds_hooks::{Card, HookRequest, Response},
    chart::{self, Asked, Chart, Sources},
    engine::{Admission, EngineError, ModelInfo, Priority},
    error::{Error, Result},
    grounding,
    progress::{Progress, Stage},
    prompt::{self, Rendered, contract},
    report, rules,
    service::{Applies, Publishes, Service},
    store::{self, Key},
    task::{Language, Task},
};

/// What comparing one fact with rules costs is reckoned as.
const BYTES_A_FACT: usize = 1_000;

/// One hook call.
pub struct Call<'a> {
    pub service: &'a Service,
    pub request: &'a Arc<HookRequest>,
    pub caller: &'a Caller,
    pub request_id: &'a str,
    pub received: Instant,
    /// Of what is answered.
    pub language: Language,
    pub progress: &'a Arc<Progress>,
}

/// Answers a hook with the JSON of its cards. A passed deadline is `Timeout`, and then nothing was stored.
pub async fn respond(app: &App, call: Call<'_>) -> Result<String> {
    let deadline = call.received + call.service.deadline();
    if !call.service.checks.is_empty() {
        return check(app, &call, deadline).await;
    }
    if call.service.task.is_none() {
        let chart = prepare(app, &call, None, 0, deadline).await?;
        call.progress.enter(Stage::Draft);
        let assessment = grounding::summarise(&chart, call.language);
        let instance = call.request.hook_instance;
        return body(vec![card::summary(call.service, &chart, &assessment, call.language, instance)]);
    }
    let Some(task) = call.service.asks(call.request.question.as_deref())? else { return body(Vec::new()) };
    let order = match &call.service.applies {
        None => None,
        Some(applies) => match ordered(app, &call, applies, deadline).await? {
            None => return body(Vec::new()),
            order => order,
        },
    };
    ask(app, &call, task, order, deadline).await
}

/// Checks draft orders by rules: no model, nothing stored.
async fn check(app: &App, call: &Call<'_>, deadline: Instant) -> Result<String> {
    let (service, request, caller) = (call.service, call.request.clone(), call.caller.clone());
    let drafts = request.context.draft_orders.iter().flatten().map(|order| order.get().len());
    let length: usize = drafts.chain(request.context.selections.iter().flatten().map(String::len)).sum();
    let suggestions = chart::ehr(&request, &caller)?.suggestions;
    let (rules, asked) = (app.rules.clone(), service.clone());
    let read = move || {
        let drafts = rules::read(&request, &caller)?;
        let needed = rules::needed(&rules, &asked, &drafts);
        Ok::<_, Error>((drafts, needed))
    };
    let (drafts, needed) = app.processor.work(length, deadline, read).await??;
    let chart = prepare(app, &Call { service: &needed, ..*call }, None, 0, deadline).await?;
    call.progress.enter(Stage::Draft);
    let (rules, service, now) = (app.rules.clone(), service.clone(), (app.clock)().into());
    let (instance, language) = (call.request.hook_instance, call.language);
    let named: usize = chart.named.values().map(chart::Named::length).sum();
    let length = length + named + chart.evidence.len() * BYTES_A_FACT;
    let apply = move || {
        let in_time = || Instant::now() < deadline;
        let checked = rules::check(&rules, &service.checks, &drafts, &chart, &now, &in_time);
        card::checks(&service, &chart, &checked, language, suggestions, instance)
    };
    let cards = app.processor.work(length, deadline, apply).await?;
    // What was ended by the deadline is no whole answer.
    if Instant::now() >= deadline {
        return Err(late());
    }
    body(cards)
}

/// The order that a film is read for.
async fn ordered(app: &App, call: &Call<'_>, applies: &Applies, deadline: Instant) -> Result<Option<Asked>> {
    let (applies, request, caller) = (applies.clone(), call.request.clone(), call.caller.clone());
    let length = request.context.draft_orders.iter().flatten().map(|order| order.get().len()).sum();
    app.processor.work(length, deadline, move || chart::asked(&applies, &request, &caller)).await?
}

/// Asks the model. The same call again, even while this one runs, gets this one's answer.
async fn ask(app: &App, call: &Call<'_>, task: Task, order: Option<Asked>, deadline: Instant) -> Result<String> {
    let (source_base, patient) = chart::subject(call.request, call.caller)?;
    let body_sha256 =
        call.request.body_sha256.as_deref().ok_or_else(|| Error::fault("a call came without its hash"))?;
    let seed = format!("{body_sha256} {}", call.language.word());
    let key = Key::new(&source_base, &call.service.id, call.request.hook_instance, &seed);
    let _flight = timeout_at(deadline, app.flights.enter(call.caller, &key)).await.map_err(|_| late())?;
    let event = store::Event::hook(&call.service.id, &source_base, &patient, call.request_id);
    if let Some(answer) = app.store.answered(call.caller, &key).await? {
        app.store.audit(call.caller, event).await?;
        return Ok(answer);
    }
    // Before anything is fetched: a full queue, or a model not there yet, is told at once.
    let admission = app.engine.admit(Priority::Clinician)?;
    let model = app.engine.info().ok_or(EngineError::Unavailable)?;
    let chart = prepare(app, call, order, model.image_size, deadline).await?;
    let what = Ask { service: call.service, task, language: call.language, seed: &seed, progress: call.progress };
    let Said { card, report, stated } = complete(app, what, &chart, &model, admission, deadline).await?;
    if Instant::now() >= deadline {
        return Err(late());
    }
    let answer = body(vec![card])?;
    // What failed may be there a moment later; only what was answered, or rightly not, is the answer for good.
    let key = (stated || chart.gaps.is_empty()).then_some(key);
    call.progress.enter(Stage::Store);
    let report = report.map(|draft| store::Draft {
        report_id: draft.report_id,
        source_base: chart.source_base,
        patient: chart.subject.reference,
        resources: draft.resources,
        page: draft.page,
        pictures: draft.pictures,
    });
    let written = app.store.commit(call.caller, store::Commit { key, answer, report, event });
    // A commit that is given up may have been written; then the same call again gets its answer.
    let full = || Error::busy("the store did not take the answer before the deadline", Duration::from_secs(1));
    timeout_at(deadline, written).await.map_err(|_| full())?
}

/// All network and all decoding. Cancelled when the caller leaves; the access token ends with it.
async fn prepare(
    app: &App,
    call: &Call<'_>,
    asked: Option<Asked>,
    picture_side: u32,
    deadline: Instant,
) -> Result<Chart> {
    let Call { service, request, caller, progress, .. } = *call;
    progress.enter(Stage::Chart);
    let App { ehrs, archives, processor, decoder, upstream, imaging, .. } = app;
    let now = (app.clock)().into();
    // Fetching ends early, so that a server that hangs becomes a gap and there is time left to say so.
    let share = |part: f64| call.received + service.deadline().mul_f64(part);
    let (search_by, fetch_by) =
        if service.reads_images() { (share(0.3), share(0.6)) } else { (share(0.6), share(0.6)) };
    let sources = Sources {
        service,
        request,
        caller,
        ehrs,
        archives,
        processor,
        decoder,
        upstream,
        imaging,
        picture_side,
        now,
        search_by,
        fetch_by,
        answer_by: deadline,
        progress,
    };
    timeout_at(deadline, chart::gather(sources, asked)).await.map_err(|_| late())?
}

/// What the model is asked about a chart, and for which service.
struct Ask<'a> {
    service: &'a Service,
    task: Task,
    language: Language,
    /// Of the card's uuid.
    seed: &'a str,
    progress: &'a Arc<Progress>,
}

/// What comes of it.
struct Said {
    card: Card,
    report: Option<report::Draft>,
    /// Whether something is stated.
    stated: bool,
}

/// The prompt with as much of the chart as the model has tokens for beside its answer.
///
/// Room is counted in characters, and how many tokens they take is the model's affair: what does not fit is told.
// INVARIANT: a_prompt_of_more_tokens_than_there_are_shows_less
fn fitted(app: &App, chart: &Chart, mut asked: contract::Asked<'_>, context: usize) -> Result<Rendered> {
    let task = asked.task;
    loop {
        let rendered = contract::render(chart, &asked, |shown: &[_]| Some(grounding::contract::schema(task, shown)));
        let Rendered::Ask(mut prompt, view) = rendered else { return Ok(rendered) };
        let left = context.saturating_sub(app.engine.count_tokens(&prompt)?);
        if left >= contract::LEAST_NEW_TOKENS {
            prompt.max_new_tokens = prompt.max_new_tokens.min(left);
            return Ok(Rendered::Ask(prompt, view));
        }
        // No room at all shows nothing, and then nothing is asked.
        asked.room = asked.room * 4 / 5;
    }
}

/// Prompt, engine, grounding, card and report. Needs neither token nor caller.
async fn complete(
    app: &App,
    what: Ask<'_>,
    chart: &Chart,
    model: &ModelInfo,
    admission: Admission,
    deadline: Instant,
) -> Result<Said> {
    let Ask { service, task, language, seed, progress } = what;
    progress.enter(Stage::Draft);
    let intended_use = app.intended_use.as_deref().unwrap_or("unset");
    let asked = contract::Asked::of(task, language, model.scope.as_ref());
    let (assessment, prompt_sha256) = match fitted(app, chart, asked, model.context)? {
        Rendered::Refuse(reason) => (grounding::not_asked(chart, reason), None),
        Rendered::Ask(prompt, view) => {
            let hash = prompt::hash(&prompt);
            progress.enter(Stage::Queue);
            let completion = app.engine.generate(admission.telling(progress.clone()), *prompt, deadline).await?;
            progress.enter(Stage::Draft);
            (grounding::contract::ground(&completion, chart, &view, task, language)?, Some(hash))
        }
    };
    let stated = assessment.abstained.is_none();
    let publishes = stated && service.publishes == Publishes::DiagnosticReport;
    let report = prompt_sha256.filter(|_| publishes).map(|prompt_sha256| {
        let (report_id, issued, options) = (Uuid::new_v4(), (app.clock)(), &app.report);
        let prompt = report::PromptUsed { version: contract::VERSION, sha256: &prompt_sha256 };
        report::draft(&report::Made {
            language,
            service,
            chart,
            assessment: &assessment,
            model,
            prompt,
            intended_use,
            options,
            report_id,
            issued,
        })
    });
    let report_url =
        report.as_ref().map(|r| format!("{}/reports/{}", app.public_base.as_str().trim_end_matches('/'), r.report_id));
    let states_scope = model.scope.is_some();
    let model = card::Model { name: &model.name, weights_sha256: &model.weights_sha256, states_scope };
    let draft = card::Draft { task, language, intended_use, model, report_url };
    Ok(Said { card: card::answer(service, chart, &assessment, &draft, seed), report, stated })
}

fn body(cards: Vec<Card>) -> Result<String> {
    serde_json::to_string(&Response { cards }).map_err(|e| Error::fault("the cards could not be written").because(e))
}

fn late() -> Error {
    Error::timeout("the answer was not ready before the deadline; nothing was stored")
}
