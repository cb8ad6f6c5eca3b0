//! Deletions of checkpoints. A checkpoint moves by an extension of a frame, and is deleted by an event.

use leftfold_api::names;
use leftfold_api::{Append, AppendError, Expected, Field, Invalid, NewEvent, Recorded};

use super::core::Core;

/// The category of the streams of deletions, one stream for each name.
pub(crate) use leftfold_api::names::CHECKPOINTS as CATEGORY_OF_CHECKPOINTS;
const DELETED: &str = "$CheckpointDeleted";

/// Returns the name of the checkpoint that a stored event deletes. The streams have no other events, so
/// a lost event was a deletion, too.
pub(crate) fn deleted_by(event: &Recorded) -> Option<&str> {
    event.stream().strip_prefix(CATEGORY_OF_CHECKPOINTS)?.strip_prefix('-')
}

impl Core {
    /// Returns the append that deletes a checkpoint.
    pub(crate) fn checkpoint_deletion(&self, name: &str) -> Result<Append, AppendError> {
        names::check_new("checkpoint", name)?;
        self.require_current_format()?;
        if !self.definitions.checkpoints.read().contains_key(name) {
            let message = format!("there is no checkpoint {name}; check its name");
            return Err(Invalid::new("checkpoint_unknown", message).into());
        }
        let stream = format!("{CATEGORY_OF_CHECKPOINTS}-{name}");
        let key = self.keys.of(Field::Stream, &stream);
        let version = self.index.version(&key, self.log.head().position)?;
        let expected = version.map_or(Expected::NoStream, Expected::Exactly);
        Ok(Append::new().event(&stream, NewEvent::new(DELETED, "")).expect(stream, expected))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use leftfold_api::CheckpointMove;
    use leftfold_io::Disk;
    use leftfold_io::fake::{FakeDisk, ManualClock, SeededRandom};

    use super::*;
    use crate::{Embedded, Options};

    fn open(disk: &Arc<FakeDisk>) -> Embedded {
        let (clock, random) = (Arc::new(ManualClock::at(0)), Arc::new(SeededRandom::new(1)));
        Embedded::open_on(disk.clone(), clock, random, Options::default()).unwrap()
    }

    #[test]
    fn deletions_outlive_restarts_and_lost_index_files() {
        let disk = Arc::new(FakeDisk::new());
        let names = ["sealed", "moved-again", "open", "stays"];
        let store = open(&disk);
        let to = store.blocking().head();
        let set = |store: &Embedded, name: &str| {
            let moved = CheckpointMove { name: name.to_owned(), expected: None, to: to.clone() };
            let append = Append::new().event("a-1", NewEvent::new("Put", "")).checkpoint(moved);
            store.blocking().append(append).unwrap();
        };
        names.iter().for_each(|name| set(&store, name));
        store.blocking().delete_checkpoint("sealed").unwrap();
        store.blocking().delete_checkpoint("moved-again").unwrap();
        store.seal().unwrap();
        set(&store, "moved-again");
        store.blocking().delete_checkpoint("open").unwrap();
        let check = |store: &Embedded| {
            let listed = store.blocking().checkpoints(None, 10).unwrap();
            let listed: Vec<_> = listed.iter().map(|found| found.name.as_str()).collect();
            assert_eq!(listed, ["moved-again", "stays"]);
        };
        check(&store);
        drop(store);
        let store = open(&disk);
        check(&store);
        drop(store);
        let index_files = disk.names().into_iter().filter(|name| name.ends_with(".idx"));
        let removed = index_files.map(|name| disk.remove(&name).unwrap()).count();
        assert!(removed > 0);
        check(&open(&disk));
    }
}
