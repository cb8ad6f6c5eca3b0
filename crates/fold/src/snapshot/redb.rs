use std::path::Path;

use redb::{Database, Durability, ReadableDatabase, TableDefinition};

use super::{SnapshotError, Snapshots};

const SNAPSHOTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("snapshots");

/// Snapshots in one file. They are not synced one by one: what a power cut takes is made again.
pub struct RedbSnapshots {
    database: Database,
}

impl RedbSnapshots {
    /// Opens the file, or makes it. If it is damaged beyond opening, delete it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, SnapshotError> {
        let database = Database::create(path).map_err(failed)?;
        // The table is there from the start, so that a load need not ask whether it is.
        let begun = database.begin_write().map_err(failed)?;
        begun.open_table(SNAPSHOTS).map_err(failed)?;
        begun.commit().map_err(failed)?;
        Ok(RedbSnapshots { database })
    }
}

impl Snapshots for RedbSnapshots {
    fn load(&self, key: &str) -> Result<Option<Vec<u8>>, SnapshotError> {
        let begun = self.database.begin_read().map_err(failed)?;
        let table = begun.open_table(SNAPSHOTS).map_err(failed)?;
        let found = table.get(key).map_err(failed)?;
        Ok(found.map(|found| found.value().to_vec()))
    }

    fn save(&self, key: &str, snapshot: &[u8]) -> Result<(), SnapshotError> {
        let mut begun = self.database.begin_write().map_err(failed)?;
        begun.set_durability(Durability::None).map_err(failed)?;
        begun.open_table(SNAPSHOTS).map_err(failed)?.insert(key, snapshot).map_err(failed)?;
        begun.commit().map_err(failed)
    }
}

fn failed(error: impl std::fmt::Display) -> SnapshotError {
    SnapshotError { message: error.to_string() }
}
