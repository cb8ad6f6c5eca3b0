use std::collections::HashMap;

use parking_lot::Mutex;

use super::{SnapshotError, Snapshots};

/// Snapshots in memory, gone with the process. Bounded in bytes: when full, it takes no new keys.
#[derive(Debug)]
pub struct MemorySnapshots {
    kept: Mutex<Kept>,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct Kept {
    by_key: HashMap<String, Vec<u8>>,
    bytes: usize,
}

impl MemorySnapshots {
    /// At most so many bytes.
    pub fn new(max_bytes: usize) -> Self {
        MemorySnapshots { kept: Mutex::default(), max_bytes }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.kept.lock().by_key.len()
    }

    /// Changes the bytes of every snapshot: for tests of what damage comes to.
    pub fn damage(&self, mut change: impl FnMut(&mut Vec<u8>)) {
        self.kept.lock().by_key.values_mut().for_each(&mut change);
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
        Ok(self.kept.lock().by_key.get(key).cloned())
    }

    fn save(&self, key: &str, snapshot: &[u8]) -> Result<(), SnapshotError> {
        let mut kept = self.kept.lock();
        let old = kept.by_key.get(key).map_or(0, |old| key.len() + old.len());
        let bytes = kept.bytes - old + key.len() + snapshot.len();
        if bytes > self.max_bytes {
            let message = format!("more than {} bytes of them", self.max_bytes);
            return Err(SnapshotError { message });
        }
        kept.bytes = bytes;
        kept.by_key.insert(key.to_owned(), snapshot.to_vec());
        Ok(())
    }
}
