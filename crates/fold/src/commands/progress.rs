//! How far a runner is: up to the last command before which nothing is open.

use std::collections::VecDeque;

use leftfold_api::{Append, AppendError, CheckpointMove, Cursor, EventStore};

/// The checkpoint moves after so many commands.
pub const CHECKPOINT_EVERY: usize = 64;

#[derive(Debug)]
pub(crate) struct Progress {
    name: String,
    /// Where the checkpoint is.
    saved: Option<Cursor>,
    /// All before it is done.
    reached: Option<Cursor>,
    /// Delivered and maybe not done: position, where to go on behind it, whether it is done.
    open: VecDeque<(u64, Cursor, bool)>,
    /// How many were done since the checkpoint moved.
    since: usize,
}

impl Progress {
    pub(crate) async fn load(
        name: &str,
        store: &impl EventStore,
    ) -> Result<Self, crate::FoldError> {
        let saved = store.checkpoint(name).await?;
        let (name, open) = (name.to_owned(), VecDeque::new());
        Ok(Progress { name, saved: saved.clone(), reached: saved, open, since: 0 })
    }

    /// Where to begin.
    pub(crate) fn start(&self) -> Cursor {
        self.saved.clone().unwrap_or(Cursor::START)
    }

    /// How many are delivered and not known to be behind the checkpoint.
    pub(crate) fn open(&self) -> usize {
        self.open.len()
    }

    pub(crate) fn delivered(&mut self, position: u64, cursor: Cursor) {
        self.open.push_back((position, cursor, false));
    }

    pub(crate) fn done(&mut self, position: u64) {
        if let Ok(at) = self.open.binary_search_by_key(&position, |(position, ..)| *position)
            && let Some((.., done)) = self.open.get_mut(at)
        {
            *done = true;
        }
        while let Some((_, cursor, true)) = self.open.front() {
            self.reached = Some(cursor.clone());
            self.since += 1;
            self.open.pop_front();
        }
    }

    /// Moves the checkpoint, if it is time. A conflict: another runner has moved it.
    pub(crate) async fn save(&mut self, store: &impl EventStore) -> Result<(), AppendError> {
        let (Some(to), true) = (self.reached.clone(), self.since >= CHECKPOINT_EVERY) else {
            return Ok(());
        };
        let (name, expected) = (self.name.clone(), self.saved.clone());
        store
            .append(Append::new().checkpoint(CheckpointMove { name, expected, to: to.clone() }))
            .await?;
        self.saved = Some(to);
        self.since = 0;
        Ok(())
    }
}
