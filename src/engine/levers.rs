//! What makes an engine slow, dead or unwell on purpose: for tests and for a demonstration of what callers then see.

use std::{sync::PoisonError, time::Duration};

use super::{Engine, Health};

#[doc(hidden)]
impl Engine {
    /// Makes each token take at least so long, as it does in a model of any size.
    pub fn pace(&self, pause: Duration) {
        if let Some(loaded) = self.shared.loaded() {
            loaded.backend.pace(pause);
        }
    }

    /// Makes the engine die at the next call's `token`-th token, counted from 1: what no test can wait for.
    pub fn kill_at(&self, token: usize) {
        if let Some(loaded) = self.shared.loaded() {
            loaded.backend.kill_at(token);
        }
    }

    /// Refuses callers as an engine in that state does, until told `None`.
    pub fn feign(&self, health: Option<Health>) {
        *self.shared.feigned.lock().unwrap_or_else(PoisonError::into_inner) = health;
    }

    pub(super) fn feigned(&self) -> Option<Health> {
        self.shared.feigned.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
