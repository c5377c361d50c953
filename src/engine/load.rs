//! From a model directory to a model that may be asked: staged, loaded, and its canary passed.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use super::{
    Config, KNOWN, Known,
    backend::Backend,
    canary,
    health::{Loaded, State},
    keeper,
    mistral::Mistral,
    queue::Shared,
    stage,
};

/// Loads on a thread of its own, which then watches over the model: the runtime's loader blocks, and its quantisation flag
/// belongs to the thread.
pub(super) fn in_background(shared: Arc<Shared>, config: Config, model: PathBuf) {
    let for_thread = shared.clone();
    let thread = std::thread::Builder::new().name("model-keeper".into()).spawn(move || {
        let load = std::panic::AssertUnwindSafe(|| load(&for_thread, &config, &model));
        let state = match std::panic::catch_unwind(load) {
            Ok(Ok(loaded)) => State::Ready(Arc::new(loaded)),
            Ok(Err(reason)) => State::Dead(reason),
            Err(_) => State::Dead(
                "The model runtime panicked while it loaded the model: run `curbside check-model` on the directory."
                    .into(),
            ),
        };
        if let State::Dead(reason) = &state {
            tracing::error!(%reason, "no model");
        }
        for_thread.set(state);
        let shared = Arc::downgrade(&for_thread);
        drop(for_thread);
        match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime.block_on(keeper::watch(shared)),
            Err(_) => tracing::error!("the system refused what it takes to watch over the model"),
        }
    });
    if thread.is_err() {
        shared.set(State::Dead("The system refused a thread to load the model on.".into()));
    }
}

fn load(shared: &Shared, config: &Config, model: &Path) -> Result<Loaded, String> {
    let cuda = config.device == "cuda";
    shared.set(State::Loading("checking the model directory"));
    let staged = stage::stage(model, config.context).map_err(|problems| match problems.as_slice() {
        [only] => only.to_string(),
        [first, rest @ ..] => format!("{first} And {} more: run `curbside check-model` on the directory.", rest.len()),
        [] => "The model directory cannot be served.".into(),
    })?;
    let mut info = staged.info.clone();
    info.dtype = config.dtype().into();
    let own = Known {
        weights_sha256: info.weights_sha256.clone(),
        dtype: info.dtype.clone(),
        device: config.device.clone(),
        first_tokens: Vec::new(),
    };
    // INVARIANT: weights_no_record_is_of_are_not_served
    // Whoever keeps a record wants to hear of it when what it was made of has changed.
    let same = staged.known.is_empty() || staged.known.iter().any(|known| known.weights_sha256 == own.weights_sha256);
    if !config.record && !same {
        return Err(format!(
            "{KNOWN} beside the model was recorded for other weights: copy the model again, or, if these are wanted, run `curbside check-model --record`."
        ));
    }
    let recorded = staged.known.iter().find(|known| known.is_of(&own) && !config.record).cloned();
    let mut known = recorded.unwrap_or(own);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|_| "The system refused the threads the model is loaded with.")?;
    shared.set(State::Loading("loading the weights"));
    let began = Instant::now();
    let backend = Backend::Mistral(Box::new(runtime.block_on(Mistral::load(staged, cuda))?));
    let loaded_in = began.elapsed();
    shared.set(State::Loading("asking the canary"));
    // From here on also without a record: what the model said at the start it must say again.
    known.first_tokens = runtime.block_on(canary::check(&backend, &info, &known, Some(&shared.pulse)))?;
    shared.passed();
    tracing::info!(
        model = %info.name,
        load_ms = loaded_in.as_millis() as u64,
        canary_ms = (began.elapsed() - loaded_in).as_millis() as u64,
        "the model is ready"
    );
    Ok(Loaded { info, backend, known })
}
