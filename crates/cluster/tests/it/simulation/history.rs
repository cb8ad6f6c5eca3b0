//! What the clients of a run did and what they were told.

use std::cell::RefCell;
use std::rc::Rc;

use leftfold_api::Expected;
use uuid::Uuid;

/// The history of all clients; its clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct History(Rc<RefCell<Events>>);

/// What happened, in order.
#[derive(Default)]
pub(crate) struct Events {
    pub(crate) appends: Vec<ClientAppend>,
    pub(crate) reads: Vec<ClientRead>,
    ticks: u64,
}

/// An append of a client, perhaps sent several times.
#[derive(Debug, Clone)]
pub(crate) struct ClientAppend {
    pub(crate) stream: String,
    pub(crate) expected: Expected,
    /// The ids of its events.
    pub(crate) ids: Vec<Uuid>,
    /// When it was sent first, and when its outcome was known, by a counter that grows with everything that happens.
    pub(crate) sent: u64,
    pub(crate) ended: Option<u64>,
    pub(crate) outcome: Outcome,
}

/// What a client knows of its append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It may be stored, now or later.
    Unknown,
    /// It is stored; this is the version of its first event.
    Acknowledged(u64),
    /// It is not stored, and never will be.
    Refused,
}

/// A linearizable read that was answered.
#[derive(Debug, Clone)]
pub(crate) struct ClientRead {
    pub(crate) stream: String,
    pub(crate) sent: u64,
    pub(crate) ended: u64,
    pub(crate) last: Option<u64>,
}

impl History {
    /// Returns the next number of the counter.
    pub(crate) fn tick(&self) -> u64 {
        let mut events = self.0.borrow_mut();
        events.ticks += 1;
        events.ticks
    }

    /// Notes an append that is sent now, and returns its number.
    pub(crate) fn begin_append(&self, stream: &str, expected: Expected, ids: Vec<Uuid>) -> usize {
        let sent = self.tick();
        let stream = stream.to_owned();
        let (ended, outcome) = (None, Outcome::Unknown);
        let mut events = self.0.borrow_mut();
        events.appends.push(ClientAppend { stream, expected, ids, sent, ended, outcome });
        events.appends.len() - 1
    }

    /// Notes the outcome of an append.
    pub(crate) fn end_append(&self, number: usize, outcome: Outcome) {
        let ended = self.tick();
        let append = &mut self.0.borrow_mut().appends[number];
        (append.ended, append.outcome) = (Some(ended), outcome);
    }

    /// Notes a read that began at this number of the counter.
    pub(crate) fn note_read(&self, stream: &str, sent: u64, last: Option<u64>) {
        let ended = self.tick();
        let stream = stream.to_owned();
        self.0.borrow_mut().reads.push(ClientRead { stream, sent, ended, last });
    }

    /// Looks at what happened.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&Events) -> T) -> T {
        look(&self.0.borrow())
    }
}
