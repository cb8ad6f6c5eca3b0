//! The commands of one key, in their order.

use std::collections::VecDeque;

use leftfold_api::{Cursor, Query, Recorded, Timestamp};
use uuid::Uuid;

use crate::execute::Issued;

/// So many commands of a key may be put aside.
pub const STASH: usize = 1_000;

/// A command that was accepted.
#[derive(Debug, Clone)]
pub(crate) struct Entry<C> {
    pub(crate) id: Uuid,
    pub(crate) correlation: Option<String>,
    /// The command, or why it can't be read.
    pub(crate) command: Result<C, String>,
    pub(crate) position: u64,
    pub(crate) stream: String,
    pub(crate) version: u64,
    pub(crate) accepted: Timestamp,
    /// Until when it may wait, if it was put aside.
    pub(crate) deadline: Option<Timestamp>,
}

impl<C: serde::de::DeserializeOwned> Entry<C> {
    pub(crate) fn read(stored: &Recorded) -> Self {
        Entry {
            id: stored.id(),
            correlation: stored.correlation().map(str::to_owned),
            command: serde_json::from_slice(&stored.data()).map_err(|error| error.to_string()),
            position: stored.position(),
            stream: stored.stream().to_owned(),
            version: stored.version(),
            accepted: stored.commit_time(),
            deadline: None,
        }
    }

    /// What follows the dash of the stream that it was accepted in.
    pub(crate) fn key(&self) -> &str {
        self.stream.split_once('-').map_or("", |(_, key)| key)
    }

    /// As what its events are written: handled once, caused by it.
    pub(crate) fn issued(&self) -> Issued {
        Issued {
            id: Some(self.id),
            correlation: self.correlation.clone(),
            causation: Some(self.id.to_string()),
        }
    }
}

/// What there is to be done for a key.
#[derive(Debug)]
pub(crate) struct Lane<C> {
    pub(crate) queue: VecDeque<Entry<C>>,
    /// In the order of acceptance.
    pub(crate) stash: Vec<Entry<C>>,
    /// Whether a step is under way.
    pub(crate) busy: bool,
    /// Whether it is in the list of those that are to take a step.
    pub(crate) listed: bool,
    /// What has come until then, the stashed commands have seen.
    pub(crate) seen: Cursor,
    /// What the stashed commands read, while somebody waits for news of it.
    pub(crate) watched: Option<Query>,
    /// Whether the stash is to be tried though no command has come.
    pub(crate) woken: bool,
}

impl<C> Default for Lane<C> {
    fn default() -> Self {
        Lane {
            queue: VecDeque::new(),
            stash: Vec::new(),
            busy: false,
            listed: false,
            seen: Cursor::START,
            watched: None,
            woken: false,
        }
    }
}

impl<C> Lane<C> {
    /// Whether there is nothing to remember of it.
    pub(crate) fn is_empty(&self) -> bool {
        !self.busy && self.queue.is_empty() && self.stash.is_empty()
    }

    pub(crate) fn has_work(&self) -> bool {
        !self.queue.is_empty() || (self.woken && !self.stash.is_empty())
    }
}
