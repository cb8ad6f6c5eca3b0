use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use leftfold_io::Random;
use leftfold_log::Log;
use leftfold_log::format::FEATURE_CURSORS;

use super::ancestry::Ancestry;
use super::definitions::Definitions;
use super::events::EventCache;
use super::index_view::IndexView;
use super::maintenance::Maintenance;
use super::wait_list::WaitList;
use crate::keys::Keys;
use leftfold_api::{Cursor, Failure, Invalid, Limits, Origin, ReadError};

/// The parts of an embedded store that all its threads share.
pub(crate) struct Core {
    pub(crate) log: Log,
    /// The store and incarnation that its cursors belong to.
    pub(crate) origin: Origin,
    /// Its earlier incarnations.
    pub(crate) ancestry: Ancestry,
    /// The store that this one is a partition of.
    pub(crate) partition_of: Option<Origin>,
    pub(crate) keys: Keys,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) clock: Arc<dyn leftfold_io::Clock>,
    pub(crate) limits: Limits,
    /// Whether some positions hold no event, as where empty frames take one.
    pub(crate) has_gaps: bool,
    /// Whether another node owns the store, so that appends of callers are refused. Changed on the writer thread.
    pub(crate) is_replica: AtomicBool,
    pub(crate) index: IndexView,
    pub(crate) definitions: Definitions,
    pub(crate) maintenance: Arc<Maintenance>,
    /// The cache of events that were read one by one.
    pub(crate) events: EventCache,
    pub(crate) progress: Progress,
    /// Subscriptions that wait for new events.
    pub(crate) wait_list: WaitList,
}

/// How far the writer is ahead of the durable head.
pub(crate) struct Progress {
    /// The last position that any caller may know of.
    pub(crate) known: AtomicU64,
    /// The ticket of the last frame that was admitted.
    pub(crate) admitted: AtomicU64,
}

impl Core {
    /// Sets the feature bit for cursors with incarnations and for partitioned indexes, before the
    /// first of them is written. Older releases then refuse the store.
    pub(crate) fn require_current_format(&self) -> Result<(), Failure> {
        self.log
            .use_feature(FEATURE_CURSORS)
            .map_err(|error| Failure::of_disk("writing STORE", &error))
    }

    /// Refuses an append of a caller while another node owns the store. The writer thread decides; this
    /// keeps a replica from answering with a conflict that its owner may not have.
    pub(crate) fn require_owner(&self) -> Result<(), Failure> {
        match self.is_replica.load(Ordering::Acquire) {
            true => Err(Failure::NotOwner),
            false => Ok(()),
        }
    }

    /// Returns the cursor of a position.
    pub(crate) fn cursor(&self, position: u64) -> Cursor {
        Cursor::at(self.origin, position)
    }

    /// Returns the cursor of the durable head.
    pub(crate) fn head_cursor(&self) -> Cursor {
        self.cursor(self.log.head().position)
    }

    /// Returns the position of a cursor, if it is a cursor of this store, or of an earlier incarnation and
    /// of what is left of that, and not ahead of it.
    pub(crate) fn position_of(&self, cursor: &Cursor) -> Result<u64, Invalid> {
        if cursor.is_start() {
            return Ok(0);
        }
        let ours = self.origin.store == cursor.origin().store;
        let (true, Some(position)) = (ours, cursor.position()) else {
            let message = format!(
                "cursor {cursor} was given by another store: use a cursor that this store returned"
            );
            return Err(Invalid::new("cursor_foreign", message));
        };
        let incarnation = cursor.origin().incarnation;
        let shared = match incarnation == self.origin.incarnation {
            true => u64::MAX,
            false => self.ancestry.shared_with(incarnation).unwrap_or(0),
        };
        if position > shared {
            let message = format!(
                "cursor {cursor} belongs to a history that this store has lost: the store was restored \
                 or repaired, and has only the events up to position {shared} in common with it; \
                 rebuild the view or reader that keeps this cursor, or continue after position {shared}"
            );
            return Err(Invalid::new("cursor_of_lost_history", message));
        }
        // The head may be further: a frame without events can take a position.
        if position > self.last_known() {
            let message = format!(
                "cursor {cursor} lies ahead of the store, which was probably restored from an older \
                 backup: rebuild the view or reader that keeps this cursor"
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

    /// Waits until the event at a cursor is durable.
    pub(crate) async fn wait_for_cursor(&self, cursor: &Cursor) -> Result<(), ReadError> {
        let position = self.position_of(cursor)?;
        if self.log.is_relaxed() && position > self.log.head().position {
            // Who waits for an append that was only acknowledged does not wait for the next sync in turn.
            self.log.sync_soon();
        }
        Ok(self.wait_for_write(|head| head.position >= position).await?)
    }

    /// Waits until the frame with this ticket is durable.
    pub(crate) async fn wait_for_ticket(&self, ticket: u64) -> Result<(), Failure> {
        self.wait_for_write(|head| head.ticket >= ticket).await
    }

    /// Waits until the durable head fulfils a condition, or the log is closed.
    pub(crate) async fn wait(
        &self,
        until: impl Fn(leftfold_log::Head) -> bool,
    ) -> Result<(), Failure> {
        self.wait_unless(until, || None).await
    }

    /// The same for what was admitted already, which a full disk may hold up: then it fails.
    pub(crate) async fn wait_for_write(
        &self,
        until: impl Fn(leftfold_log::Head) -> bool,
    ) -> Result<(), Failure> {
        self.wait_unless(until, || self.log.stalled().map(Failure::from)).await
    }

    async fn wait_unless(
        &self,
        until: impl Fn(leftfold_log::Head) -> bool,
        fails: impl Fn() -> Option<Failure>,
    ) -> Result<(), Failure> {
        loop {
            let moved = self.log.listen();
            if until(self.log.head()) {
                return Ok(());
            }
            if let Some(failure) = fails() {
                return Err(failure);
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

    /// Waits until all frames that are admitted by now are durable.
    pub(crate) async fn wait_for_all_admitted(&self) -> Result<(), Failure> {
        self.wait_for_ticket(self.progress.admitted.load(Ordering::Acquire)).await
    }

    /// In a relaxed store, waits until all admitted frames are durable. Returns whether any frame had to
    /// be waited for.
    pub(crate) async fn wait_for_admitted(&self) -> Result<bool, Failure> {
        let admitted = self.progress.admitted.load(Ordering::Acquire);
        let behind = self.log.is_relaxed() && admitted > self.log.head().ticket;
        if behind {
            self.log.sync_soon();
            self.wait_for_ticket(admitted).await?;
        }
        Ok(behind)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::Future;
    use std::sync::Arc;
    use std::task::{Context, Waker};

    use leftfold_api::{Append, CheckpointMove, EventStore, NewEvent};
    use leftfold_io::fake::{FakeDisk, ManualClock, SeededRandom};

    use super::FEATURE_CURSORS;
    use crate::{Embedded, Options};

    #[test]
    fn a_head_that_arrives_just_before_the_log_is_closed_counts() {
        let (disk, random) = (Arc::new(FakeDisk::new()), Arc::new(SeededRandom::new(1)));
        let clock = Arc::new(ManualClock::at(0));
        let (store, manual) =
            Embedded::open_manual(disk, clock, random, Options::default()).unwrap();
        let mut append =
            Box::pin(store.append(Append::new().event("a-1", NewEvent::new("Put", ""))));
        assert!(append.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let manual = RefCell::new(Some(manual));
        // The first look at the head is the last moment before the writer writes and closes.
        let has_arrived = |head: leftfold_log::Head| {
            if let Some(mut manual) = manual.take() {
                assert!(manual.write());
                manual.close();
            }
            head.position >= 1
        };
        pollster::block_on(store.core.wait(has_arrived)).unwrap();
    }

    #[test]
    fn a_store_with_cursors_of_this_release_is_refused_by_earlier_ones() {
        let disk = Arc::new(FakeDisk::new());
        let (clock, random) = (Arc::new(ManualClock::at(0)), Arc::new(SeededRandom::new(1)));
        let store = Embedded::open_on(disk.clone(), clock, random, Options::default()).unwrap();
        let features = || {
            let bytes = leftfold_io::read_whole(&*disk, "STORE", 1 << 10).unwrap();
            u64::from_le_bytes(bytes[24..32].try_into().unwrap())
        };
        let append = Append::new().event("a-1", NewEvent::new("Put", ""));
        let to = store.blocking().append(append).unwrap().cursor;
        assert_eq!(features() & FEATURE_CURSORS, 0);
        let moved = CheckpointMove { name: "reader".to_owned(), expected: None, to };
        store.blocking().append(Append::new().checkpoint(moved)).unwrap();
        assert_eq!(features() & FEATURE_CURSORS, FEATURE_CURSORS);
    }
}
