use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use leftfold_io::Random;
use leftfold_log::Log;
use leftfold_log::format::FEATURE_CURSORS;

use super::definitions::Definitions;
use super::events::EventCache;
use super::index_view::IndexView;
use super::maintenance::Maintenance;
use super::wakes::Wakes;
use crate::keys::Keys;
use leftfold_api::{Cursor, Failure, Invalid, Limits, Origin, ReadError};

/// What all parts of an embedded store share.
pub(crate) struct Core {
    pub(crate) log: Log,
    /// The store and incarnation that its cursors belong to.
    pub(crate) origin: Origin,
    /// The store that this one is a partition of.
    pub(crate) partition_of: Option<Origin>,
    pub(crate) keys: Keys,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) clock: Arc<dyn leftfold_io::Clock>,
    pub(crate) limits: Limits,
    pub(crate) index: IndexView,
    pub(crate) definitions: Definitions,
    pub(crate) maintenance: Arc<Maintenance>,
    /// Events that were read one by one.
    pub(crate) events: EventCache,
    pub(crate) progress: Progress,
    /// Subscriptions that wait for more.
    pub(crate) wakes: Wakes,
}

/// How far the writer is, ahead of what is durable.
pub(crate) struct Progress {
    /// The last position that any caller may know of.
    pub(crate) known: AtomicU64,
    /// The ticket of the last frame that was admitted.
    pub(crate) admitted: AtomicU64,
}

impl Core {
    /// Notes on disk, before the first of them is written, that the store holds cursors with
    /// incarnations or partitioned indexes: an older release refuses it then.
    pub(crate) fn use_current_form(&self) -> Result<(), Failure> {
        self.log.use_feature(FEATURE_CURSORS).map_err(|error| Failure::Disk {
            what: "writing STORE".to_owned(),
            message: error.to_string(),
        })
    }

    pub(crate) fn cursor(&self, position: u64) -> Cursor {
        Cursor::at(self.origin, position)
    }

    pub(crate) fn head_cursor(&self) -> Cursor {
        self.cursor(self.log.head().position)
    }

    /// The position that a cursor stands for, if this store gave it and still knows it.
    pub(crate) fn position_of(&self, cursor: &Cursor) -> Result<u64, Invalid> {
        if cursor.is_start() {
            return Ok(0);
        }
        let ours = self.origin.store == cursor.origin().store;
        let (true, Some(position)) = (ours, cursor.position()) else {
            let message = format!("cursor {cursor} was given by another store");
            return Err(Invalid::new("cursor_foreign", message));
        };
        let known = self.progress.known.load(Ordering::Acquire);
        if position > known {
            let message = format!(
                "cursor {cursor} lies ahead of the store: was the store restored from an older \
                 backup? Whatever keeps this cursor must be rebuilt"
            );
            return Err(Invalid::new("cursor_ahead", message));
        }
        Ok(position)
    }

    /// Checks a cursor that a checkpoint is to hold.
    pub(crate) fn check_checkpoint(&self, cursor: &Cursor) -> Result<(), Invalid> {
        let is_of_whole = |whole: Origin| whole.store == cursor.origin().store;
        match self.partition_of.is_some_and(is_of_whole) {
            true => Ok(()),
            false => self.position_of(cursor).map(drop),
        }
    }

    /// Waits until the store is durable up to a cursor.
    pub(crate) async fn durable_cursor(&self, cursor: &Cursor) -> Result<(), ReadError> {
        let position = self.position_of(cursor)?;
        Ok(self.wait(|head| head.position >= position).await?)
    }

    /// Waits until so many frames are durable.
    pub(crate) async fn durable_frames(&self, ticket: u64) -> Result<(), Failure> {
        self.wait(|head| head.ticket >= ticket).await
    }

    pub(crate) async fn wait(
        &self,
        until: impl Fn(leftfold_log::Head) -> bool,
    ) -> Result<(), Failure> {
        loop {
            let moved = self.log.listen();
            if until(self.log.head()) {
                return Ok(());
            }
            // The head may have moved just before the log was closed.
            if self.log.is_closed() {
                if until(self.log.head()) {
                    return Ok(());
                }
                return Err(self.log.failure().map_or(Failure::Closed, Failure::from));
            }
            moved.await;
        }
    }

    /// In a relaxed store: whether there were frames that are not durable; they are now.
    pub(crate) async fn something_to_wait_for(&self) -> Result<bool, Failure> {
        let admitted = self.progress.admitted.load(Ordering::Acquire);
        let behind = self.log.is_relaxed() && admitted > self.log.head().ticket;
        if behind {
            self.durable_frames(admitted).await?;
        }
        Ok(behind)
    }
}
