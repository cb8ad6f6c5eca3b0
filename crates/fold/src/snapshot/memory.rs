use std::collections::HashMap;

use parking_lot::Mutex;

use super::{SnapshotError, Snapshots};

/// Snapshots in memory, lost at exit. Bounded in bytes: when full, it accepts no new keys.
#[derive(Debug)]
pub struct MemorySnapshots {
    entries: Mutex<Entries>,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct Entries {
    by_key: HashMap<String, Vec<u8>>,
    bytes: usize,
}

impl MemorySnapshots {
    /// Makes an empty store of snapshots that holds at most this number of bytes.
    pub fn new(max_bytes: usize) -> Self {
        MemorySnapshots { entries: Mutex::default(), max_bytes }
    }

    /// Returns the number of snapshots.
    pub fn count(&self) -> usize {
        self.entries.lock().by_key.len()
    }

    /// Changes the bytes of every snapshot, for tests of damage.
    pub fn damage(&self, mut change: impl FnMut(&mut Vec<u8>)) {
        self.entries.lock().by_key.values_mut().for_each(&mut change);
    }
}

impl Default for MemorySnapshots {
    /// At most 64 MiB.
    fn default() -> Self {
        MemorySnapshots::new(64 << 20)
    }
}

impl Snapshots for MemorySnapshots {
    fn load(&self, key: &str) -> Result<Option<Vec<u8>>, SnapshotError> {
        Ok(self.entries.lock().by_key.get(key).cloned())
    }

    fn save(&self, key: &str, snapshot: &[u8]) -> Result<(), SnapshotError> {
        let mut entries = self.entries.lock();
        let old = entries.by_key.get(key).map_or(0, |old| key.len() + old.len());
        let bytes = entries.bytes - old + key.len() + snapshot.len();
        if bytes > self.max_bytes {
            let message = format!("more than {} bytes of them", self.max_bytes);
            return Err(SnapshotError { message });
        }
        entries.bytes = bytes;
        entries.by_key.insert(key.to_owned(), snapshot.to_vec());
        Ok(())
    }
}
