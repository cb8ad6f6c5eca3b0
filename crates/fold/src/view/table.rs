use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use serde::Serialize;

use super::row_view::{decode_row, encode_key, row_error};
use super::{ChangedRows, Row, RowReader, RowStore, RowView, ViewError, key};

/// The number of rows that an iterator reads at once.
const PAGE: usize = 256;

/// The rows of a [`RowView`]. Each call sees the rows between two commits; all calls of a
/// [snapshot](RowTable::snapshot) see the same ones.
pub struct RowTable<V, R: ?Sized = dyn RowStore> {
    view: Arc<V>,
    rows: Arc<R>,
}

/// A key and its row.
pub type TypedRow<V> = (<V as RowView>::Key, <V as RowView>::Row);

/// A changed row of a [`RowView`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TypedChange<K, R> {
    /// Its key.
    pub key: K,
    /// The row before, or `None` if there was none.
    pub old: Option<R>,
    /// The row now, or `None` if there is none.
    pub new: Option<R>,
}

/// The changed rows of a [`RowView`] by one commit, in the order of their keys.
pub type TypedChanges<V> = Vec<TypedChange<<V as RowView>::Key, <V as RowView>::Row>>;

impl<V: RowView> RowTable<V> {
    pub(super) fn new(view: Arc<V>, rows: Arc<dyn RowStore>) -> Self {
        RowTable { view, rows }
    }

    /// Returns the rows as they are now, see [`RowStore::snapshot`].
    pub fn snapshot(&self) -> Result<RowTable<V, dyn RowReader>, ViewError> {
        Ok(RowTable { view: self.view.clone(), rows: self.rows.snapshot()? })
    }
}

impl<V: RowView, R: RowReader + ?Sized> RowTable<V, R> {
    fn name(&self) -> &str {
        RowView::name(&*self.view)
    }

    /// Returns the rows as bytes, with the cursor up to which they are.
    pub fn rows(&self) -> &Arc<R> {
        &self.rows
    }

    /// Returns the row of a key.
    pub fn get(&self, key: &V::Key) -> Result<Option<V::Row>, ViewError> {
        let found = self.rows.get(&encode_key(self.name(), key)?)?;
        found.map(|bytes| decode_row(self.name(), key, &bytes)).transpose()
    }

    /// Returns the first rows whose keys lie in a range, at most `limit`, in the order of the keys.
    pub fn range(
        &self,
        keys: impl RangeBounds<V::Key>,
        limit: usize,
    ) -> Result<Vec<TypedRow<V>>, ViewError> {
        let start = match keys.start_bound() {
            Bound::Unbounded => Vec::new(),
            Bound::Included(key) => encode_key(self.name(), key)?,
            Bound::Excluded(key) => behind(encode_key(self.name(), key)?),
        };
        let end = match keys.end_bound() {
            Bound::Unbounded => None,
            Bound::Included(key) => Some(behind(encode_key(self.name(), key)?)),
            Bound::Excluded(key) => Some(encode_key(self.name(), key)?),
        };
        let rows = self.rows.range(b"", &start, limit)?.into_iter();
        let within = |row: &Row| end.as_ref().is_none_or(|end| row.0 < *end);
        rows.take_while(within).map(|row| self.decode(row)).collect()
    }

    /// Returns the first rows whose keys are tuples that begin with the elements of `first`, a tuple
    /// too: `table.under(&("room-101",), 10)`. At most `limit`, in the order of the keys.
    pub fn under(
        &self,
        first: &impl Serialize,
        limit: usize,
    ) -> Result<Vec<TypedRow<V>>, ViewError> {
        let prefix = key::encode_prefix(first)
            .map_err(|error| row_error(self.name(), key::show(first), error))?;
        let rows = self.rows.range(&prefix, b"", limit)?;
        rows.into_iter().map(|row| self.decode(row)).collect()
    }

    /// Iterates over all rows in the order of their keys. It reads them in pages: commits between two
    /// pages are seen in the later one, but not in a snapshot.
    pub fn iter(&self) -> impl Iterator<Item = Result<TypedRow<V>, ViewError>> + '_ {
        let mut next = Some(Vec::new());
        let pages = std::iter::from_fn(move || {
            let page = self.rows.range(b"", &next.take()?, PAGE);
            if let Ok(rows) = &page
                && rows.len() == PAGE
            {
                next = rows.last().map(|(key, _)| behind(key.clone()));
            }
            Some(page)
        });
        pages.flat_map(|page| {
            let (rows, error) = match page {
                Ok(rows) => (rows, None),
                Err(error) => (Vec::new(), Some(Err(error))),
            };
            rows.into_iter().map(|row| self.decode(row)).chain(error)
        })
    }

    /// Returns typed changes of [`ViewRunner::changes`](super::ViewRunner::changes).
    pub fn changes(&self, changed: &ChangedRows) -> Result<TypedChanges<V>, ViewError> {
        let typed = |change: &super::RowChange| {
            let key = self.decode_key(&change.key)?;
            let row = |row: &Option<Vec<u8>>| {
                row.as_ref().map(|row| decode_row(self.name(), &key, row)).transpose()
            };
            let (old, new) = (row(&change.old)?, row(&change.new)?);
            Ok(TypedChange { key, old, new })
        };
        changed.changes.iter().map(typed).collect()
    }

    fn decode(&self, (key, row): Row) -> Result<TypedRow<V>, ViewError> {
        let key = self.decode_key(&key)?;
        let row = decode_row(self.name(), &key, &row)?;
        Ok((key, row))
    }

    fn decode_key(&self, bytes: &[u8]) -> Result<V::Key, ViewError> {
        let shown = || String::from_utf8_lossy(bytes).into_owned();
        key::decode(bytes).map_err(|error| row_error(self.name(), shown(), error))
    }
}

/// Returns the least bytes that are greater than a key. No key is the beginning of another.
fn behind(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}
