//! Loading in a build without the model runtime: it says so.

use std::{path::PathBuf, sync::Arc};

use super::{Config, health::State, queue::Shared};

pub(super) fn in_background(shared: Arc<Shared>, _config: Config, _model: PathBuf) {
    shared.set(State::Dead("This build has no model runtime: build with the feature `mistralrs`.".into()));
}
