//! Deletions of checkpoints. A checkpoint moves by an extension of a frame, and is deleted by an event.

use std::collections::BTreeMap;

use leftfold_api::{
    Append, AppendError, Cursor, Expected, Field, Invalid, Limits, NewEvent, Recorded,
};
use leftfold_api::{category_of, names};

use super::core::Core;

/// The category of the streams of deletions, one stream for each name.
pub(crate) use leftfold_api::names::CHECKPOINTS as CATEGORY_OF_CHECKPOINTS;
const DELETED: &str = "$CheckpointDeleted";

/// Returns the name of the checkpoint that a stored event deletes. The streams have no other events, so
/// a lost event was a deletion, too.
pub(crate) fn deleted_by(event: &Recorded) -> Option<&str> {
    event.stream().strip_prefix(CATEGORY_OF_CHECKPOINTS)?.strip_prefix('-')
}

/// Checks that there is room for new checkpoints: in all, and for each category, which may have half of them.
/// So no user with a grant of one category takes the room of all others.
pub(crate) fn check_count<'a>(
    checkpoints: &BTreeMap<String, Cursor>,
    new: impl Iterator<Item = &'a str> + Clone,
    limits: &Limits,
) -> Result<(), Invalid> {
    let (allowed, most) = (limits.checkpoints, limits.checkpoints_of_category());
    let count = checkpoints.len() + new.clone().count();
    if count > allowed {
        return Err(too_many("checkpoints".to_owned(), count, allowed));
    }
    if count <= most {
        return Ok(());
    }
    let mut categories: BTreeMap<&str, usize> = BTreeMap::new();
    new.for_each(|name| *categories.entry(category_of(name)).or_default() += 1);
    for (category, new) in categories {
        let count = count_of_category(checkpoints, category) + new;
        if count > most {
            return Err(too_many(format!("checkpoints of category {category:?}"), count, most));
        }
    }
    Ok(())
}

fn too_many(what: String, count: usize, allowed: usize) -> Invalid {
    super::limit_error("too_many_checkpoints", &what, count, allowed)
}

/// Counts the checkpoints of a category: the one that is named like it, and those that begin with it and `-`.
fn count_of_category(checkpoints: &BTreeMap<String, Cursor>, category: &str) -> usize {
    let [first, end] = [format!("{category}-"), format!("{category}.")];
    let named_like_it = usize::from(checkpoints.contains_key(category));
    named_like_it + checkpoints.range(first..end).count()
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
    fn new_ones_are_counted_in_all_and_by_category() {
        let (disk, mut options) = (Arc::new(FakeDisk::new()), Options::default());
        options.limits.checkpoints = 10;
        let (clock, random) = (Arc::new(ManualClock::at(0)), Arc::new(SeededRandom::new(1)));
        let store = Embedded::open_on(disk, clock, random, options).unwrap();
        let to = store.blocking().head();
        let set = |names: &[&str]| {
            let moved = |name: &str| CheckpointMove {
                name: name.to_owned(),
                expected: None,
                to: to.clone(),
            };
            let append = names.iter().fold(Append::new(), |all, name| all.checkpoint(moved(name)));
            store.blocking().append(append).map(drop).map_err(|error| error.to_string())
        };
        // One category has half of them, however many come in one append.
        let six = ["order-1", "order-2", "order-3", "order-4", "order-5", "order"];
        let error = set(&six).unwrap_err();
        assert!(error.contains("checkpoints of category \"order\""), "{error}");
        set(&six[..4]).unwrap();
        set(&["order"]).unwrap();
        assert!(set(&["order-5"]).is_err());
        assert!(set(&["a", "b", "c", "d", "e", "f"]).is_err(), "eleven in one append");
        set(&["orders-1", "order.1", "a", "b"]).unwrap();
        assert!(set(&["c", "d"]).is_err());
        set(&["c"]).unwrap();
        // A category that had room before a deletion has it again after it.
        store.blocking().delete_checkpoint("order").unwrap();
        set(&["order-5"]).unwrap();
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
