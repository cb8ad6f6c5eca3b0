use std::collections::BTreeMap;

use leftfold_index::{Key, Order, Source, encode};
use leftfold_log::LiveFile;

use super::files::{failed, live_file};
use crate::embedded::core::Core;
use crate::embedded::indexes::NamedIndex;
use crate::embedded::open::{BACKFILL, as_failure, file_head, open_file};
use leftfold_api::{Failure, ReadError, Recorded};

/// The most postings of a backfill file. They are in memory while the file is made.
const POSTINGS_PER_FILE: usize = 4 << 20;

impl Core {
    /// Finds the events of a named index from before its definition, and adds them to the index.
    pub(super) fn backfill_index(&self, named: &NamedIndex) -> Result<(), Failure> {
        let files = self.backfill_files(named).map_err(as_failure)?;
        self.log.adopt(&files).map_err(|error| failed("adopting an index file", &error))?;
        let opened: Result<Vec<_>, _> = files.iter().map(|live| open_file(self, live)).collect();
        self.index.add_backfill(named, &opened?);
        Ok(())
    }

    /// Makes the backfill of a named index again, because it differs from its query. Until then the index
    /// answers that it is not filled.
    pub(super) fn refill_index(&self, named: &NamedIndex) -> Result<(), Failure> {
        let indexes = self.definitions.indexes.durable();
        let current = indexes.get(&named.definition.name);
        if current.is_none_or(|current| current.defined_at != named.defined_at) {
            return Ok(());
        }
        self.index.remove_backfill(named);
        self.remove_backfill(named)?;
        self.backfill_index(named)
    }

    fn backfill_files(&self, named: &NamedIndex) -> Result<Vec<LiveFile>, ReadError> {
        let query = &named.definition.query;
        let plan = self.plan_of(query);
        let range = [1, named.defined_at];
        let mut candidates = self.candidates(&plan, query, range, Order::Ascending)?;
        let (mut files, mut first, mut backfill) = (Vec::new(), 1, Backfill::new(named));
        while let Some(event) = candidates.next()? {
            if self.maintenance.is_closing() {
                // The backfill is begun again when the store is opened again.
                return Err(crate::embedded::closed().into());
            }
            if !plan.selects(query, &event) {
                continue;
            }
            let is_far = u32::try_from(event.position() - first).is_err();
            if is_far || backfill.postings >= POSTINGS_PER_FILE {
                let last = event.position() - 1;
                files.push(self.backfill_file(named, files.len(), [first, last], &mut backfill)?);
                first = event.position();
            }
            backfill.add(&event, first);
        }
        let range = [first, named.defined_at];
        files.push(self.backfill_file(named, files.len(), range, &mut backfill)?);
        Ok(files)
    }

    fn backfill_file(
        &self,
        named: &NamedIndex,
        number: usize,
        range: [u64; 2],
        backfill: &mut Backfill<'_>,
    ) -> Result<LiveFile, Failure> {
        let live = live_file(BACKFILL, named.defined_at, number as u32, range);
        let lists = backfill.take();
        let source = Source { lists: &lists, ids: &[], attachment: &[] };
        let bytes = encode(file_head(self, &live), source);
        self.write_file(live, |file| file.write_at(&bytes, 0).map(|()| Some(bytes.len() as u64)))?
            .ok_or_else(crate::embedded::closed)
    }

    pub(super) fn remove_backfill(&self, named: &NamedIndex) -> Result<(), Failure> {
        // The set of the index keeps the files open: a read may have resolved the name just before.
        let of_index = |file: &LiveFile| file.kind == BACKFILL && file.id == named.defined_at;
        self.log.discard(of_index).map_err(|error| failed("removing an index file", &error))
    }
}

/// The postings of a backfill file.
struct Backfill<'a> {
    named: &'a NamedIndex,
    /// Offsets by key. The index's own key always has a list, so that a backfill without events is a file
    /// too.
    lists: BTreeMap<Key, Vec<u32>>,
    postings: usize,
}

impl<'a> Backfill<'a> {
    fn new(named: &'a NamedIndex) -> Self {
        Backfill { named, lists: BTreeMap::new(), postings: 0 }
    }

    fn add(&mut self, event: &Recorded, first: u64) {
        let offset = u32::try_from(event.position() - first).unwrap_or_default();
        let keys = [Some(self.named.key), self.named.partition_key(event)];
        for key in keys.into_iter().flatten() {
            self.lists.entry(key).or_default().push(offset);
            self.postings += 1;
        }
    }

    /// Takes the lists, ordered by key.
    fn take(&mut self) -> Vec<(Key, u64, Vec<u32>)> {
        self.lists.entry(self.named.key).or_default();
        self.postings = 0;
        std::mem::take(&mut self.lists).into_iter().map(|(key, list)| (key, 0, list)).collect()
    }
}
