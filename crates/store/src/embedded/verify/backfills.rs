//! The events of named indexes from before their definitions: their files are compared with the queries.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use leftfold_index::{Fingerprint, IndexEntry, IndexError, Key};
use leftfold_log::LiveFile;
use smallvec::SmallVec;

use super::sum::Sum;
use super::{VerifyReport, VerifyRun};
use crate::embedded::core::Core;
use crate::embedded::indexes::{IndexList, NamedIndex};
use crate::embedded::open::{BACKFILL, open_file};
use crate::keys::{Keys, StreamKeys};
use leftfold_api::Recorded;

/// The named indexes that were filled at the start of the verification.
pub(super) struct Backfills {
    indexes: Arc<IndexList>,
    /// The index of each key of a list.
    owners: HashMap<Key, Arc<NamedIndex>>,
    /// The last position that any of them has in its backfill.
    last: u64,
}

/// The sums of the postings in the backfills, by the position of the index's definition.
#[derive(Default)]
pub(super) struct BackfillSums(BTreeMap<u64, Sum>);

impl BackfillSums {
    fn add_posting(&mut self, defined_at: u64, key: &Key, position: u64) {
        self.0.entry(defined_at).or_default().add(Fingerprint::of(key), position);
    }

    pub(super) fn add(&mut self, other: &BackfillSums) {
        for (defined_at, sum) in &other.0 {
            let all = self.0.entry(*defined_at).or_default();
            *all = [*all, *sum].into_iter().sum();
        }
    }
}

impl Backfills {
    pub(super) fn new(core: &Core) -> Self {
        let indexes = core.definitions.indexes.durable();
        let ready = || indexes.iter().filter(|named| named.is_ready());
        let owners = ready().flat_map(|named| named.keys().map(|key| (key, named.clone())));
        let (owners, last) = (owners.collect(), ready().map(|named| named.defined_at).max());
        Backfills { owners, last: last.unwrap_or(0), indexes }
    }

    /// Adds the postings that an event must have in the backfills.
    pub(super) fn add_event(&self, keys: &Keys, event: &Recorded, sums: &mut BackfillSums) {
        if event.position() > self.last {
            return;
        }
        let stream = StreamKeys::new(keys, event.stream());
        let (mut facts, mut found) = (SmallVec::<[_; 8]>::new(), SmallVec::<[Key; 4]>::new());
        keys.facts(event, &mut facts);
        self.indexes.keys_of(event, stream, &facts, &mut found);
        for key in found {
            if let Some(named) = self.owners.get(&key)
                && event.position() <= named.defined_at
            {
                sums.add_posting(named.defined_at, &key, event.position());
            }
        }
    }
}

impl VerifyRun<'_> {
    /// Checks the backfill files that are in use, and compares them with the expected postings. An index
    /// that differs is filled again.
    pub(super) fn check_backfills(
        &self,
        expected: Option<BackfillSums>,
        report: &mut VerifyReport,
    ) {
        let mut found = BackfillSums::default();
        let mut unreadable = Vec::new();
        let files = self.core.log.other_files();
        let ready: BTreeMap<_, _> =
            self.backfills.owners.values().map(|named| (named.defined_at, named)).collect();
        for live in files.iter().filter(|f| f.kind == BACKFILL && ready.contains_key(&f.id)) {
            report.index_files += 1;
            if let Err(error) = self.sum_backfill(live, &mut found) {
                report.add_problem(error.to_string());
                unreadable.push(live.id);
            }
        }
        let Some(expected) = expected else { return };
        let current = self.core.definitions.indexes.durable();
        for (defined_at, named) in ready {
            let name = &named.definition.name;
            let sum = |sums: &BackfillSums| sums.0.get(&defined_at).copied().unwrap_or_default();
            let (expected, found) = (sum(&expected), sum(&found));
            let is_current = current.get(name).is_some_and(|now| now.defined_at == defined_at);
            if expected == found || unreadable.contains(&defined_at) || !is_current {
                continue;
            }
            report.add_problem(format!(
                "index {name} differs from its query before position {defined_at}: expected \
                 {expected}, found {found}; it is filled again"
            ));
            report.refilled.push(name.clone());
            self.core.maintenance.queue_refill(named.clone());
        }
    }

    fn sum_backfill(&self, live: &LiveFile, sums: &mut BackfillSums) -> Result<(), IndexError> {
        open_file(self.core, live)?.verify_in_chunks(|entry| {
            let IndexEntry::List { key, positions, .. } = entry else { return };
            for position in positions {
                sums.add_posting(live.id, &key, *position);
            }
        })
    }
}
