//! What the machine has for all requests together: memory, lent in bytes, and processors, lent in places.
//!
//! What is lent comes back when its holder is dropped, whatever became of the request.

use std::{panic::resume_unwind, sync::Arc, thread};

use bytes::Bytes;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
    time::{Instant, timeout_at},
};

use crate::error::{Error, Result, SOON};

/// What is said to a request for which there is no room beside others.
pub fn crowded() -> Error {
    Error::busy("too many large requests are being answered", SOON)
}

/// So many bytes, for all that share them.
#[derive(Clone, Debug)]
pub struct Memory(Arc<Semaphore>);

/// Some of those bytes.
#[derive(Debug)]
pub struct Share(OwnedSemaphorePermit);

impl Memory {
    pub fn of(bytes: usize) -> Memory {
        Memory(Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))))
    }

    /// So many bytes, if they are free now.
    pub fn share(&self, bytes: usize) -> Option<Share> {
        self.0.clone().try_acquire_many_owned(u32::try_from(bytes).ok()?).ok().map(Share)
    }

    /// The same, waiting in turn for who holds them now. `None`: they did not come free in time.
    pub async fn share_by(&self, bytes: usize, deadline: Instant) -> Option<Share> {
        let waiting = self.0.clone().acquire_many_owned(u32::try_from(bytes).ok()?);
        timeout_at(deadline, waiting).await.ok()?.ok().map(Share)
    }

    /// Bytes that are free.
    pub fn left(&self) -> usize {
        self.0.available_permits()
    }
}

impl Share {
    pub fn add(&mut self, more: Share) {
        self.0.merge(more.0);
    }

    /// Gives back what is beyond so many bytes.
    pub fn shrink(&mut self, bytes: usize) {
        drop(self.0.split(self.0.num_permits().saturating_sub(bytes)));
    }

    /// These bytes, which hold the share for as long as any part of them is held.
    pub fn hold(self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Held { bytes, _share: self })
    }
}

struct Held {
    bytes: Bytes,
    _share: Share,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Places for work that keeps a processor busy: as many as there are processors.
#[derive(Clone, Debug)]
pub struct Processor(Arc<Semaphore>);

impl Default for Processor {
    fn default() -> Processor {
        Processor(Arc::new(Semaphore::new(thread::available_parallelism().map_or(1, usize::from))))
    }
}

impl Processor {
    /// Work over fewer bytes takes a few milliseconds, and waits for no place.
    pub const LITTLE: usize = 256 << 10;

    /// Does work over so many bytes beside the threads that answer, so that no other request and no timer waits for it.
    ///
    /// No place before the deadline: `Busy`. Not done by then: `Timeout`, and the place stays taken until the work has ended.
    pub async fn work<T: Send + 'static>(
        &self,
        bytes: usize,
        deadline: Instant,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        if bytes < Self::LITTLE {
            return Ok(work());
        }
        // INVARIANT: no_more_is_worked_on_at_once_than_there_are_processors
        let place = timeout_at(deadline, self.0.clone().acquire_owned()).await.ok().and_then(|place| place.ok());
        let place = place.ok_or_else(crowded)?;
        let working = spawn_blocking(move || {
            let done = work();
            drop(place);
            done
        });
        match timeout_at(deadline, working).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(broken)) if broken.is_panic() => resume_unwind(broken.into_panic()),
            Ok(Err(_)) => Err(Error::fault("the process is about to end")),
            Err(_) => Err(Error::timeout("a large request was not read before the deadline")),
        }
    }

    /// Places that are free.
    pub fn idle(&self) -> usize {
        self.0.available_permits()
    }
}

#[cfg(test)]
mod tests;
