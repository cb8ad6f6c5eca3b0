use std::collections::BTreeMap;

use parking_lot::{Mutex, RwLock};

use super::{Backing, Row, Rows, Saved, ViewError};

/// Rows in memory: made anew after every start.
#[derive(Debug, Default)]
pub struct MemoryRows {
    kept: RwLock<Kept>,
    /// One changes at a time.
    changing: Mutex<()>,
}

#[derive(Debug, Default)]
struct Kept {
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    saved: Option<Saved>,
}

/// Changes beside what is kept, so that readers see all of them or none.
struct Changes<'a> {
    kept: &'a RwLock<Kept>,
    changed: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl Rows for Changes<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
        match self.changed.get(key) {
            Some(changed) => Ok(changed.clone()),
            None => Ok(self.kept.read().rows.get(key).cloned()),
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

impl Backing for MemoryRows {
    fn saved(&self) -> Result<Option<Saved>, ViewError> {
        Ok(self.kept.read().saved.clone())
    }

    fn commit(
        &self,
        expected: Option<&Saved>,
        to: &Saved,
        change: &mut dyn FnMut(&mut dyn Rows) -> Result<(), ViewError>,
    ) -> Result<bool, ViewError> {
        let _one = self.changing.lock();
        if self.kept.read().saved.as_ref() != expected {
            return Ok(false);
        }
        let mut changes = Changes { kept: &self.kept, changed: BTreeMap::new() };
        change(&mut changes)?;
        let changed = changes.changed;
        let mut kept = self.kept.write();
        for (key, value) in changed {
            match value {
                Some(value) => _ = kept.rows.insert(key, value),
                None => _ = kept.rows.remove(&key),
            }
        }
        kept.saved = Some(to.clone());
        Ok(true)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
        Ok(self.kept.read().rows.get(key).cloned())
    }

    fn range(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Row>, ViewError> {
        let start = from.max(prefix).to_vec();
        let kept = self.kept.read();
        let rows = kept.rows.range(start..).take_while(|(key, _)| key.starts_with(prefix));
        Ok(rows.take(limit).map(|(key, value)| (key.clone(), value.clone())).collect())
    }
}
