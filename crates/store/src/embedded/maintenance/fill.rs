use std::collections::BTreeMap;

use leftfold_index::{Key, Order, Source, encode};
use leftfold_log::LiveFile;

use super::files::{failed, live_file};
use crate::embedded::core::Core;
use crate::embedded::indexes::Named;
use crate::embedded::open::{PAST, as_failure, head_of, open_file};
use leftfold_api::{Failure, ReadError, Recorded};

/// A file of a named index's past holds at most so many postings: they are in memory while it is
/// made.
const POSTINGS_PER_FILE: usize = 4 << 20;

impl Core {
    /// Finds what a named index should hold of the time before it was defined.
    pub(super) fn fill_past(&self, named: &Named) -> Result<(), Failure> {
        let files = self.past_files(named).map_err(as_failure)?;
        self.log.adopt(&files).map_err(|error| failed("adopting an index file", &error))?;
        let past: Result<Vec<_>, _> = files.iter().map(|live| open_file(self, live)).collect();
        self.index.add_backfill(named, &past?);
        Ok(())
    }

    fn past_files(&self, named: &Named) -> Result<Vec<LiveFile>, ReadError> {
        let query = &named.definition.query;
        let plan = self.plan_of(query);
        let range = [1, named.defined_at];
        let mut candidates = self.candidates(&plan, query, range, Order::Ascending)?;
        let (mut files, mut first, mut past) = (Vec::new(), 1, Past::new(named));
        while let Some(event) = candidates.next()? {
            if self.maintenance.is_closing() {
                // It is begun again when the store is opened again.
                return Err(crate::embedded::closed().into());
            }
            if !(plan.exact || query.matches(&event)) {
                continue;
            }
            let is_far = u32::try_from(event.position() - first).is_err();
            if is_far || past.postings >= POSTINGS_PER_FILE {
                let last = event.position() - 1;
                files.push(self.past_file(named, files.len(), [first, last], &mut past)?);
                first = event.position();
            }
            past.add(&event, first);
        }
        let range = [first, named.defined_at];
        files.push(self.past_file(named, files.len(), range, &mut past)?);
        Ok(files)
    }

    fn past_file(
        &self,
        named: &Named,
        number: usize,
        range: [u64; 2],
        past: &mut Past<'_>,
    ) -> Result<LiveFile, Failure> {
        let live = live_file(PAST, named.defined_at, number as u32, range);
        let lists = past.take();
        let source = Source { lists: &lists, singles: &[], attachment: &[] };
        let bytes = encode(head_of(self, &live), source);
        self.put_file(live, |file| file.write_at(&bytes, 0).map(|()| Some(bytes.len() as u64)))?
            .ok_or_else(crate::embedded::closed)
    }

    pub(super) fn forget_past(&self, named: &Named) -> Result<(), Failure> {
        let of_it = |file: &LiveFile| file.kind == PAST && file.id == named.defined_at;
        self.log.discard(of_it).map_err(|error| failed("removing an index file", &error))
    }
}

/// The postings of a file of a named index's past.
struct Past<'a> {
    named: &'a Named,
    /// Offsets by key; the index's own key always has a list, so that a past without events is a
    /// file too.
    lists: BTreeMap<Key, Vec<u32>>,
    postings: usize,
}

impl<'a> Past<'a> {
    fn new(named: &'a Named) -> Self {
        Past { named, lists: BTreeMap::new(), postings: 0 }
    }

    fn add(&mut self, event: &Recorded, first: u64) {
        let offset = u32::try_from(event.position() - first).unwrap_or_default();
        let keys = [Some(self.named.key), self.named.partition_key(event)];
        for key in keys.into_iter().flatten() {
            self.lists.entry(key).or_default().push(offset);
            self.postings += 1;
        }
    }

    /// Takes the lists, in the order of their keys.
    fn take(&mut self) -> Vec<(Key, u64, Vec<u32>)> {
        self.lists.entry(self.named.key).or_default();
        self.postings = 0;
        std::mem::take(&mut self.lists).into_iter().map(|(key, list)| (key, 0, list)).collect()
    }
}
