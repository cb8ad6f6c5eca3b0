use leftfold_api::names::HANDLED;
use leftfold_api::{BoxFuture, Cursor, Query, key_in, partition_of};
use uuid::Uuid;

/// The partition of a store of many that a run of a reactor serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) partition: u32,
    /// The number of partitions.
    pub(crate) of: u32,
}

impl Place {
    /// Returns the name under which a reactor keeps its progress here: its streams and its checkpoint lie in the
    /// partition.
    pub(crate) fn name_of(self, reactor: &str) -> String {
        format!("{{{}}}{reactor}", key_in(self.partition, self.of))
    }

    /// Returns the partition of a stream.
    pub(crate) fn home(self, stream: &str) -> u32 {
        partition_of(stream, self.of)
    }

    /// Returns the only partition of a query, if it has one.
    pub(crate) fn single(self, query: &Query) -> Option<u32> {
        query.single_partition(self.of)
    }

    /// Returns the stream in a partition that says what was decided there because of an event.
    pub(crate) fn decision(self, partition: u32, key: Uuid) -> String {
        format!("{HANDLED}-{{{}}}{key}", key_in(partition, self.of))
    }
}

/// Which partitions of the store this process serves: for a program that runs in a node of a cluster, those that the
/// node owns.
///
/// A wrong answer costs time, and never an event: two processes that serve one partition stop each other by the
/// reactor's journal there.
pub trait Ownership: Send + Sync + 'static {
    /// Returns the number of partitions of the store.
    fn partitions(&self) -> u32;

    /// Returns whether this process serves a partition now.
    fn serves(&self, partition: u32) -> bool;

    /// Waits until an answer may have changed since this was called.
    fn changed(&self) -> BoxFuture<'static, ()>;
}

/// Returns the cursor that is, in each partition, where the partition's own cursor is.
pub(crate) fn merge_cursors<'c>(cursors: impl IntoIterator<Item = (u32, &'c Cursor)>) -> Cursor {
    let all: Vec<_> = cursors.into_iter().filter(|(_, cursor)| !cursor.is_start()).collect();
    let Some((_, first)) = all.first() else { return Cursor::START };
    let mut positions = vec![0; first.positions().len()];
    if let [only] = &mut positions[..] {
        *only = first.positions().first().copied().unwrap_or_default();
    } else {
        for (partition, cursor) in &all {
            let partition = *partition as usize;
            if let (Some(to), Some(from)) =
                (positions.get_mut(partition), cursor.positions().get(partition))
            {
                *to = *from;
            }
        }
    }
    Cursor::at_all(first.origin(), &positions).unwrap_or_default()
}
