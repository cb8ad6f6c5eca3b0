use std::path::Path;

use redb::{Database, Durability, ReadableDatabase, TableDefinition};

use super::{SnapshotError, Snapshots};

const SNAPSHOTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("snapshots");

/// Snapshots in one file. They are not synced one by one; a power cut loses the last ones.
pub struct RedbSnapshots {
    database: Database,
}

impl RedbSnapshots {
    /// Opens the file, or creates it. If it is too damaged to open, delete it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, SnapshotError> {
        let database = Database::create(path).map_err(snapshot_error)?;
        // Create the table now, so that loads need not check for it.
        let transaction = database.begin_write().map_err(snapshot_error)?;
        transaction.open_table(SNAPSHOTS).map_err(snapshot_error)?;
        transaction.commit().map_err(snapshot_error)?;
        Ok(RedbSnapshots { database })
    }
}

impl Snapshots for RedbSnapshots {
    fn load(&self, key: &str) -> Result<Option<Vec<u8>>, SnapshotError> {
        let transaction = self.database.begin_read().map_err(snapshot_error)?;
        let table = transaction.open_table(SNAPSHOTS).map_err(snapshot_error)?;
        let found = table.get(key).map_err(snapshot_error)?;
        Ok(found.map(|found| found.value().to_vec()))
    }

    fn save(&self, key: &str, snapshot: &[u8]) -> Result<(), SnapshotError> {
        let mut transaction = self.database.begin_write().map_err(snapshot_error)?;
        transaction.set_durability(Durability::None).map_err(snapshot_error)?;
        transaction
            .open_table(SNAPSHOTS)
            .map_err(snapshot_error)?
            .insert(key, snapshot)
            .map_err(snapshot_error)?;
        transaction.commit().map_err(snapshot_error)
    }
}

fn snapshot_error(error: impl std::fmt::Display) -> SnapshotError {
    SnapshotError { message: error.to_string() }
}
