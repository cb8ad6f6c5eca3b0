use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Weak};

use leftfold_api::Cursor;
use parking_lot::Mutex;

use super::progress::Progress;
use super::{Rows, ViewError};

/// The maximum bytes of changes that wait for a subscriber; one batch is accepted whatever its size.
const WAITING_BYTES: usize = 16 << 20;

/// A changed row.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RowChange {
    /// Its key.
    pub key: Vec<u8>,
    /// The row before, or `None` if there was none.
    pub old: Option<Vec<u8>>,
    /// The row now, or `None` if there is none.
    pub new: Option<Vec<u8>>,
}

/// The changes of one commit, in the order of their keys.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChangedRows {
    /// The cursor behind the commit.
    pub cursor: Cursor,
    /// The changed rows. Each is there once, and none whose value is the same as before.
    pub changes: Vec<RowChange>,
}

/// A subscription to the changes of a view's rows. See
/// [`ViewRunner::changes`](super::ViewRunner::changes).
pub struct ViewChanges<'a> {
    queue: Arc<Queue>,
    progress: &'a Progress,
    view: String,
}

/// The subscribers of a view.
#[derive(Default)]
pub(super) struct Feed {
    queues: Mutex<Vec<Weak<Queue>>>,
}

#[derive(Default)]
struct Queue {
    state: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    batches: VecDeque<Arc<ChangedRows>>,
    bytes: usize,
    /// Whether changes were dropped before those that wait.
    lost: bool,
}

impl ChangedRows {
    fn bytes(&self) -> usize {
        let of = |row: &Option<Vec<u8>>| row.as_ref().map_or(0, Vec::len);
        let changes = self.changes.iter();
        changes.map(|change| change.key.len() + of(&change.old) + of(&change.new)).sum()
    }
}

impl Feed {
    fn each(&self, send: impl Fn(&mut Waiting)) {
        self.queues.lock().retain(|queue| {
            let queue = queue.upgrade();
            if let Some(queue) = &queue {
                send(&mut queue.state.lock());
            }
            queue.is_some()
        });
    }

    pub(super) fn has_subscribers(&self) -> bool {
        self.queues.lock().iter().any(|queue| queue.strong_count() > 0)
    }

    /// Sends changes to all subscribers.
    pub(super) fn publish(&self, changed: ChangedRows) {
        let (bytes, changed) = (changed.bytes(), Arc::new(changed));
        self.each(|waiting| {
            if !waiting.batches.is_empty() && waiting.bytes + bytes > WAITING_BYTES {
                *waiting = Waiting { lost: true, ..Waiting::default() };
            }
            waiting.bytes += bytes;
            waiting.batches.push_back(changed.clone());
        });
    }

    /// Tells all subscribers that there were changes that they do not get.
    pub(super) fn lose(&self) {
        self.each(|waiting| *waiting = Waiting { lost: true, ..Waiting::default() });
    }

    pub(super) fn subscribe<'a>(&self, progress: &'a Progress, view: &str) -> ViewChanges<'a> {
        let queue = Arc::new(Queue::default());
        self.queues.lock().push(Arc::downgrade(&queue));
        ViewChanges { queue, progress, view: view.to_owned() }
    }
}

impl Waiting {
    fn take(&mut self, view: &str) -> Option<Result<Arc<ChangedRows>, ViewError>> {
        if std::mem::take(&mut self.lost) {
            return Some(Err(ViewError::ChangesLost { view: view.to_owned() }));
        }
        let next = self.batches.pop_front()?;
        self.bytes = self.bytes.saturating_sub(next.bytes());
        Some(Ok(next))
    }
}

impl ViewChanges<'_> {
    /// Waits for the next commit that changed rows.
    ///
    /// # Errors
    /// `view_changes_lost`: the subscriber was too slow, or the rows were rebuilt. It must read the
    /// rows again; later changes follow. Also the failure of the view's run, and `view_stopped`.
    pub async fn next(&mut self) -> Result<Arc<ChangedRows>, ViewError> {
        loop {
            let moved = self.progress.listen();
            if let Some(next) = self.queue.state.lock().take(&self.view) {
                return next;
            }
            self.progress.check(&self.view)?;
            moved.await;
        }
    }

    /// Returns the next changes without waiting, or `None` if there are none yet.
    pub fn try_next(&mut self) -> Result<Option<Arc<ChangedRows>>, ViewError> {
        self.queue.state.lock().take(&self.view).transpose()
    }
}

/// Rows that remember what was changed.
pub(super) struct RecordingRows<'a> {
    pub(super) rows: &'a mut dyn Rows,
    /// The changes by key.
    pub(super) changed: &'a mut BTreeMap<Vec<u8>, RowChange>,
}

impl RecordingRows<'_> {
    fn record(&mut self, key: &[u8], new: Option<&[u8]>) -> Result<(), ViewError> {
        let new = new.map(<[u8]>::to_vec);
        match self.changed.get_mut(key) {
            Some(change) => change.new = new,
            None => {
                let change = RowChange { key: key.to_vec(), old: self.rows.get(key)?, new };
                self.changed.insert(key.to_vec(), change);
            }
        }
        Ok(())
    }
}

impl Rows for RecordingRows<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
        self.rows.get(key)
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), ViewError> {
        self.record(key, Some(value))?;
        self.rows.put(key, value)
    }

    fn remove(&mut self, key: &[u8]) -> Result<(), ViewError> {
        self.record(key, None)?;
        self.rows.remove(key)
    }
}
