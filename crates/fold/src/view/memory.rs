use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use super::{Row, RowReader, RowStore, Rows, Saved, ViewError};

/// Rows in memory, rebuilt after every start.
///
/// The first commit after a snapshot was taken copies all rows if the snapshot is still held.
#[derive(Debug, Default)]
pub struct MemoryRows {
    table: RwLock<Arc<Table>>,
    /// Serializes commits.
    commit_lock: Mutex<()>,
}

#[derive(Debug, Clone, Default)]
struct Table {
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    saved: Option<Saved>,
}

/// The changes of one commit, table apart so that readers see all of them or none.
struct Changes<'a> {
    table: &'a RwLock<Arc<Table>>,
    changed: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl Rows for Changes<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
        match self.changed.get(key) {
            Some(changed) => Ok(changed.clone()),
            None => Ok(self.table.read().rows.get(key).cloned()),
        }
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), ViewError> {
        self.changed.insert(key.to_vec(), Some(value.to_vec()));
        Ok(())
    }

    fn remove(&mut self, key: &[u8]) -> Result<(), ViewError> {
        self.changed.insert(key.to_vec(), None);
        Ok(())
    }
}

impl RowReader for Table {
    fn saved(&self) -> Result<Option<Saved>, ViewError> {
        Ok(self.saved.clone())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
        Ok(self.rows.get(key).cloned())
    }

    fn range(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Row>, ViewError> {
        let start = from.max(prefix).to_vec();
        let rows = self.rows.range(start..).take_while(|(key, _)| key.starts_with(prefix));
        Ok(rows.take(limit).map(|(key, value)| (key.clone(), value.clone())).collect())
    }
}

impl RowReader for MemoryRows {
    fn saved(&self) -> Result<Option<Saved>, ViewError> {
        self.table.read().saved()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
        self.table.read().get(key)
    }

    fn range(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Row>, ViewError> {
        self.table.read().range(prefix, from, limit)
    }
}

impl RowStore for MemoryRows {
    fn commit(
        &self,
        expected: Option<&Saved>,
        to: &Saved,
        change: &mut dyn FnMut(&mut dyn Rows) -> Result<(), ViewError>,
    ) -> Result<bool, ViewError> {
        let _guard = self.commit_lock.lock();
        if self.table.read().saved.as_ref() != expected {
            return Ok(false);
        }
        let mut changes = Changes { table: &self.table, changed: BTreeMap::new() };
        change(&mut changes)?;
        let changed = changes.changed;
        let mut table = self.table.write();
        let table = Arc::make_mut(&mut table);
        for (key, value) in changed {
            match value {
                Some(value) => _ = table.rows.insert(key, value),
                None => _ = table.rows.remove(&key),
            }
        }
        table.saved = Some(to.clone());
        Ok(true)
    }

    fn snapshot(&self) -> Result<Arc<dyn RowReader>, ViewError> {
        Ok(self.table.read().clone())
    }

    fn waits_for_disk(&self) -> bool {
        false
    }
}
