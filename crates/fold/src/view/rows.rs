use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use leftfold_api::{Cursor, Recorded};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ViewError;
use crate::text::as_text;

/// A key and its value.
pub type Row = (Vec<u8>, Vec<u8>);

/// Access to rows while an event is applied; changes are visible at once.
pub trait Rows {
    /// Returns the value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError>;

    /// Sets the value of a key.
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), ViewError>;

    /// Removes a key, if it is there.
    fn remove(&mut self, key: &[u8]) -> Result<(), ViewError>;
}

/// The state that is stored beside the rows: the cursor up to which they are, which view made them,
/// and the last event in them, by which a restored store is noticed. Its text is for databases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// The view's name and the version of its logic.
    pub(crate) made_by: String,
    /// The cursor up to which the rows are.
    #[serde(with = "as_text")]
    pub(crate) cursor: Cursor,
    /// The last event in them.
    pub(crate) anchor: Option<Anchor>,
}

/// The last event in the rows, by which another history is noticed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    pub(crate) position: u64,
    #[serde(with = "as_text")]
    pub(crate) id: Uuid,
    pub(crate) commit_time: i64,
}

impl Anchor {
    pub(crate) fn of(event: &Recorded) -> Self {
        let commit_time = event.commit_time().micros();
        Anchor { position: event.position(), id: event.id(), commit_time }
    }
}

impl Saved {
    /// Returns the cursor up to which the rows are.
    pub fn cursor(&self) -> Cursor {
        self.cursor.clone()
    }
}

/// Writes the state as one line of JSON, equal states as equal text.
impl fmt::Display for Saved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for Saved {
    type Err = ViewError;

    fn from_str(text: &str) -> Result<Self, ViewError> {
        serde_json::from_str(text).map_err(ViewError::rows)
    }
}

/// Reads rows and the state beside them.
pub trait RowReader: Send + Sync + 'static {
    /// Returns the state beside the rows, or `None` if there are no rows yet.
    fn saved(&self) -> Result<Option<Saved>, ViewError>;

    /// Returns the value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError>;

    /// Returns the first rows whose keys begin with `prefix` and are not before `from`, at most
    /// `limit`.
    fn range(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Row>, ViewError>;
}

/// Stores rows. They change in transactions, together with the state beside them. Each read sees the
/// rows between two commits.
pub trait RowStore: RowReader {
    /// Changes the rows and the state beside them, all or nothing, if the current state is the
    /// expected one. Returns whether it was.
    fn commit(
        &self,
        expected: Option<&Saved>,
        to: &Saved,
        change: &mut dyn FnMut(&mut dyn Rows) -> Result<(), ViewError>,
    ) -> Result<bool, ViewError>;

    /// Returns the rows as they are now: all its reads see the same rows, whatever is committed
    /// meanwhile. It keeps what they were, so it should not live long.
    fn snapshot(&self) -> Result<Arc<dyn RowReader>, ViewError>;

    /// Returns whether commits wait for a disk or a network. Then the runner makes them on a thread
    /// of its own.
    fn waits_for_disk(&self) -> bool {
        true
    }
}

impl<B: RowReader + ?Sized> RowReader for Arc<B> {
    fn saved(&self) -> Result<Option<Saved>, ViewError> {
        (**self).saved()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
        (**self).get(key)
    }

    fn range(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Row>, ViewError> {
        (**self).range(prefix, from, limit)
    }
}

impl<B: RowStore + ?Sized> RowStore for Arc<B> {
    fn commit(
        &self,
        expected: Option<&Saved>,
        to: &Saved,
        change: &mut dyn FnMut(&mut dyn Rows) -> Result<(), ViewError>,
    ) -> Result<bool, ViewError> {
        (**self).commit(expected, to, change)
    }

    fn snapshot(&self) -> Result<Arc<dyn RowReader>, ViewError> {
        (**self).snapshot()
    }

    fn waits_for_disk(&self) -> bool {
        (**self).waits_for_disk()
    }
}
