use leftfold_api::{Cursor, Recorded};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ViewError;
use crate::text::as_text;

/// A key and its value.
pub type Row = (Vec<u8>, Vec<u8>);

/// Rows while an event changes them: what was put is seen at once.
pub trait Rows {
    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError>;

    /// Sets the value of a key.
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), ViewError>;

    /// Removes a key, if it is there.
    fn remove(&mut self, key: &[u8]) -> Result<(), ViewError>;
}

/// What stands beside the rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// The view's name and the version of its logic.
    pub(crate) made_by: String,
    /// Up to where the rows are.
    #[serde(with = "as_text")]
    pub(crate) cursor: Cursor,
    /// The last event in them.
    pub(crate) anchor: Option<Anchor>,
}

/// The last event in the rows: by it another history is told.
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
    /// Up to where the rows are.
    pub fn cursor(&self) -> Cursor {
        self.cursor.clone()
    }
}

/// Where rows are kept: changed in transactions, each with what stands beside them.
pub trait Backing: Send + Sync + 'static {
    /// What stands beside the rows; none if there are none yet.
    fn saved(&self) -> Result<Option<Saved>, ViewError>;

    /// Changes the rows and what stands beside them, all or nothing, if what stands there now is
    /// what is expected; says whether it was.
    fn commit(
        &self,
        expected: Option<&Saved>,
        to: &Saved,
        change: &mut dyn FnMut(&mut dyn Rows) -> Result<(), ViewError>,
    ) -> Result<bool, ViewError>;

    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError>;

    /// The first rows, at most so many, whose keys begin with this, from a key on.
    fn range(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Row>, ViewError>;
}

impl<B: Backing + ?Sized> Backing for std::sync::Arc<B> {
    fn saved(&self) -> Result<Option<Saved>, ViewError> {
        (**self).saved()
    }

    fn commit(
        &self,
        expected: Option<&Saved>,
        to: &Saved,
        change: &mut dyn FnMut(&mut dyn Rows) -> Result<(), ViewError>,
    ) -> Result<bool, ViewError> {
        (**self).commit(expected, to, change)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
        (**self).get(key)
    }

    fn range(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Row>, ViewError> {
        (**self).range(prefix, from, limit)
    }
}
