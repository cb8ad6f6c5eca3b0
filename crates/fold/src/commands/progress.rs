//! The progress of a runner: the last command up to which all are handled.

use std::collections::VecDeque;

use leftfold_api::{Append, AppendError, CheckpointMove, Cursor, EventStore};

/// The number of commands after which the checkpoint moves.
pub const CHECKPOINT_EVERY: usize = 64;

#[derive(Debug)]
pub(crate) struct Progress {
    name: String,
    /// The cursor in the checkpoint.
    saved: Option<Cursor>,
    /// The cursor up to which all commands are done.
    reached: Option<Cursor>,
    /// Delivered commands after `reached`: position, cursor after it, whether it is done.
    open: VecDeque<(u64, Cursor, bool)>,
    /// The number of commands done since the checkpoint moved.
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

    /// Returns the cursor to start from.
    pub(crate) fn start(&self) -> Cursor {
        self.saved.clone().unwrap_or(Cursor::START)
    }

    /// Returns how many commands are delivered and after `reached`.
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

    /// Moves the checkpoint if it is due. A conflict means that another runner has moved it.
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
