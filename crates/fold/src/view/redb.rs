use std::path::Path;
use std::sync::Arc;

use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, Table, TableDefinition};

use super::{Row, RowReader, RowStore, Rows, Saved, ViewError};

const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");
const SAVED: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("saved");
/// The key of the state that is stored beside the rows.
const SELF: &str = "view";

/// Rows in one file, with the cursor in the same transaction.
pub struct RedbRows {
    database: Database,
}

impl RedbRows {
    /// Opens the file, or creates it. If it is too damaged to open, delete it; the view is rebuilt
    /// from the events.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ViewError> {
        let database = Database::create(path).map_err(ViewError::rows)?;
        let transaction = database.begin_write().map_err(ViewError::rows)?;
        transaction.open_table(ROWS).map_err(ViewError::rows)?;
        transaction.open_table(SAVED).map_err(ViewError::rows)?;
        transaction.commit().map_err(ViewError::rows)?;
        Ok(RedbRows { database })
    }

    fn read(&self) -> Result<Snapshot, ViewError> {
        Ok(Snapshot(self.database.begin_read().map_err(ViewError::rows)?))
    }
}

struct Changes<'a>(Table<'a, &'static [u8], &'static [u8]>);

impl Rows for Changes<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
        let found = self.0.get(key).map_err(ViewError::rows)?;
        Ok(found.map(|found| found.value().to_vec()))
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), ViewError> {
        self.0.insert(key, value).map(drop).map_err(ViewError::rows)
    }

    fn remove(&mut self, key: &[u8]) -> Result<(), ViewError> {
        self.0.remove(key).map(drop).map_err(ViewError::rows)
    }
}

fn decode(bytes: &[u8]) -> Result<Saved, ViewError> {
    serde_json::from_slice(bytes).map_err(ViewError::rows)
}

/// The rows at one moment.
struct Snapshot(ReadTransaction);

impl RowReader for Snapshot {
    fn saved(&self) -> Result<Option<Saved>, ViewError> {
        let table = self.0.open_table(SAVED).map_err(ViewError::rows)?;
        let found = table.get(SELF).map_err(ViewError::rows)?;
        found.map(|found| decode(found.value())).transpose()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
        let table = self.0.open_table(ROWS).map_err(ViewError::rows)?;
        let found = table.get(key).map_err(ViewError::rows)?;
        Ok(found.map(|found| found.value().to_vec()))
    }

    fn range(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Row>, ViewError> {
        let table = self.0.open_table(ROWS).map_err(ViewError::rows)?;
        let mut rows = Vec::new();
        for row in table.range(from.max(prefix)..).map_err(ViewError::rows)? {
            let (key, value) = row.map_err(ViewError::rows)?;
            if rows.len() == limit || !key.value().starts_with(prefix) {
                break;
            }
            rows.push((key.value().to_vec(), value.value().to_vec()));
        }
        Ok(rows)
    }
}

impl RowReader for RedbRows {
    fn saved(&self) -> Result<Option<Saved>, ViewError> {
        self.read()?.saved()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
        self.read()?.get(key)
    }

    fn range(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Row>, ViewError> {
        self.read()?.range(prefix, from, limit)
    }
}

impl RowStore for RedbRows {
    fn commit(
        &self,
        expected: Option<&Saved>,
        to: &Saved,
        change: &mut dyn FnMut(&mut dyn Rows) -> Result<(), ViewError>,
    ) -> Result<bool, ViewError> {
        // A transaction that is not committed changes nothing.
        let transaction = self.database.begin_write().map_err(ViewError::rows)?;
        {
            let mut saved_state = transaction.open_table(SAVED).map_err(ViewError::rows)?;
            let found = saved_state.get(SELF).map_err(ViewError::rows)?;
            let found = found.map(|found| decode(found.value())).transpose()?;
            if found.as_ref() != expected {
                return Ok(false);
            }
            let saved = serde_json::to_vec(to).map_err(ViewError::rows)?;
            saved_state.insert(SELF, &saved[..]).map_err(ViewError::rows)?;
            change(&mut Changes(transaction.open_table(ROWS).map_err(ViewError::rows)?))?;
        }
        transaction.commit().map_err(ViewError::rows)?;
        Ok(true)
    }

    fn snapshot(&self) -> Result<Arc<dyn RowReader>, ViewError> {
        Ok(Arc::new(self.read()?))
    }
}
