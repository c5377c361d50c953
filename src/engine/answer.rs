//! One answer on its way: what the model says goes into a bounded buffer of our own, whether or not anybody reads it.
//!
//! The runtime waits for whoever reads its stream, and one that reads slowly would hold up every other patient.

use std::{ops::ControlFlow, sync::Arc};

use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};

use super::{
    Completion, EngineError, Event, Prompt,
    backend::{Ended, Failure, report},
    health::Pulse,
    splitter::{Piece, Splitter},
};

/// More bytes than any token of a vocabulary stands for.
const LONGEST_TOKEN: usize = 256;

/// The reader's end of a call. Dropping it cancels the call.
pub struct Answer {
    events: mpsc::Receiver<Result<Event, EngineError>>,
    deadline: Instant,
    over: bool,
}

impl Answer {
    /// The next event; after `Done` or an error there is none. At the deadline `Deadline`, wherever the call is then.
    pub async fn next(&mut self) -> Option<Result<Event, EngineError>> {
        if self.over {
            return None;
        }
        let event = match timeout_at(self.deadline, self.events.recv()).await {
            Ok(Some(event)) => event,
            Ok(None) => Err(report(Failure::Fault("call task ended"))),
            Err(_) => Err(EngineError::Deadline),
        };
        self.over = !matches!(event, Ok(Event::Text(_) | Event::Reasoning(_)));
        if self.over {
            self.events.close();
        }
        Some(event)
    }

    /// The whole answer.
    pub async fn complete(mut self) -> Result<Completion, EngineError> {
        while let Some(event) = self.next().await {
            if let Event::Done(completion) = event? {
                return Ok(completion);
            }
        }
        Err(report(Failure::Fault("answer without an end")))
    }

    /// One that is over before it began.
    pub(super) fn refused(error: EngineError, deadline: Instant) -> Answer {
        let (writer, events) = mpsc::channel(1);
        // The buffer is empty and has room for one.
        let _ = writer.try_send(Err(error));
        Answer { events, deadline, over: false }
    }
}

/// What a backend tells of each token when it computes it, on whatever thread that is.
#[derive(Clone)]
pub(super) struct Meter {
    events: mpsc::Sender<Result<Event, EngineError>>,
    pulse: Arc<Pulse>,
}

impl Meter {
    pub(super) fn token(&self) {
        self.pulse.beat();
        if self.events.is_closed() {
            self.pulse.abandoned();
        }
    }
}

/// The writer's end, which sorts what the runtime says.
pub(super) struct Writer {
    events: mpsc::Sender<Result<Event, EngineError>>,
    splitter: Splitter,
    pub(super) meter: Meter,
    /// The answer so far, and what was thought before it.
    text: String,
    reasoning: String,
    /// Bytes the answer may still have.
    room: usize,
    /// Set while the model thinks on its own: only its reasoning is passed on.
    aside: bool,
    spoken: bool,
    overrun: bool,
}

/// Both ends of an answer to the prompt. The buffer holds every event there can be.
pub(super) fn answer(prompt: &Prompt, deadline: Instant, pulse: Arc<Pulse>) -> (Writer, Answer) {
    // Two calls at most; a token ends what was held back, and says something itself.
    let (sender, events) = mpsc::channel(4 * prompt.max_new_tokens + 16);
    let writer = Writer {
        meter: Meter { events: sender.clone(), pulse },
        events: sender,
        splitter: Splitter::new(&prompt.stop),
        text: String::new(),
        reasoning: String::new(),
        room: prompt.max_new_tokens * LONGEST_TOKEN,
        aside: false,
        spoken: false,
        overrun: false,
    };
    (writer, Answer { events, deadline, over: false })
}

impl Writer {
    /// Takes what the runtime says. `Break`: it shall stop, because the answer is complete or beyond all bounds.
    pub(super) fn say(&mut self, delta: &str) -> ControlFlow<()> {
        self.spoken |= !delta.is_empty();
        let Some(room) = self.room.checked_sub(delta.len()) else {
            self.overrun = true;
            return ControlFlow::Break(());
        };
        self.room = room;
        let pieces = self.splitter.push(delta);
        self.pass_on(pieces);
        if self.overrun || self.splitter.stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn pass_on(&mut self, pieces: Vec<Piece>) {
        for piece in pieces {
            let event = match piece {
                Piece::Text(_) if self.aside => continue,
                Piece::Text(text) => {
                    self.text.push_str(&text);
                    Event::Text(text)
                }
                Piece::Reasoning(text) => {
                    self.reasoning.push_str(&text);
                    Event::Reasoning(text)
                }
            };
            self.overrun |= matches!(self.events.try_send(Ok(event)), Err(mpsc::error::TrySendError::Full(_)));
        }
    }

    /// The runtime has ended a call: the whole answer, if it is one.
    pub(super) fn close(&mut self, ended: Ended) -> Result<Completion, Failure> {
        let (rest, closed) = self.splitter.end();
        self.pass_on(rest);
        // INVARIANT: a_runaway_answer_is_ended
        if self.overrun {
            return Err(Failure::Fault("answer beyond its bounds"));
        }
        if !closed {
            return Err(Failure::Fault("reasoning without an end"));
        }
        Ok(Completion {
            text: std::mem::take(&mut self.text),
            finish: ended.finish,
            prompt_tokens: ended.prompt_tokens,
            completion_tokens: ended.completion_tokens,
            time_to_first_token: ended.time_to_first_token,
            total: ended.total,
            label_probabilities: ended.label_probabilities,
        })
    }

    /// Only reasoning is passed on until [`Writer::come_back`] ends it.
    pub(super) fn listen_aside(&mut self) {
        self.aside = true;
        self.splitter = Splitter::new(&[]);
    }

    /// What was thought aside; from here on the answer is written.
    pub(super) fn come_back(&mut self, prompt: &Prompt) -> String {
        self.aside = false;
        self.splitter = Splitter::new(&prompt.stop);
        self.room = prompt.max_new_tokens * LONGEST_TOKEN;
        std::mem::take(&mut self.reasoning)
    }

    /// Whether the runtime has said anything. If so, it is not asked again.
    pub(super) fn spoken(&self) -> bool {
        self.spoken
    }

    /// Resolves when the reader has gone.
    pub(super) async fn deserted(&self) {
        self.events.closed().await;
    }

    /// Resolves when nobody waits any more: the reader has gone, or the deadline has passed.
    pub(super) fn over(&self, deadline: Instant) -> impl Future<Output = ()> + use<> {
        let events = self.events.clone();
        async move {
            // A reader that never reads does not notice its own deadline.
            let _ = timeout_at(deadline, events.closed()).await;
        }
    }

    pub(super) fn is_deserted(&self) -> bool {
        self.events.is_closed()
    }

    // INVARIANT: one_end_and_nothing_after_it
    /// Ends the answer.
    pub(super) fn finish(self, outcome: Result<Completion, EngineError>) {
        // Fails only where nobody reads; room for the end is kept.
        let _ = self.events.try_send(outcome.map(Event::Done));
    }
}
