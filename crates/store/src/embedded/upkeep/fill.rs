use leftfold_index::{Key, Order, Source, encode};
use leftfold_log::LiveFile;

use super::files::{failed, live_file};
use crate::embedded::core::Core;
use crate::embedded::indexes::Named;
use crate::embedded::open::{PAST, head_of, open_file};
use crate::error::{Failure, ReadError};

/// A file of a named index's past holds at most so many postings: they are in memory while it is
/// made.
const POSTINGS_PER_FILE: usize = 4 << 20;

impl Core {
    /// Finds what a named index should hold of the time before it was defined.
    pub(super) fn fill_past(&self, named: &Named) -> Result<(), Failure> {
        let files = self.past_files(named).map_err(|error| match error {
            ReadError::Failure(failure) => failure,
            ReadError::Invalid(invalid) => {
                Failure::Disk { what: "filling a named index", message: invalid.message }
            }
        })?;
        self.log.adopt(&files).map_err(|error| failed("adopting an index file", &error))?;
        let past: Result<Vec<_>, _> = files.iter().map(|live| open_file(self, live)).collect();
        self.with_backfill(named, &past?);
        Ok(())
    }

    fn past_files(&self, named: &Named) -> Result<Vec<LiveFile>, ReadError> {
        let plan = self.plan_of(&named.query);
        let range = [1, named.defined_at];
        let mut candidates = self.candidates(&plan, &named.query, range, Order::Ascending)?;
        let (mut files, mut first, mut offsets) = (Vec::new(), 1, Vec::new());
        while let Some(event) = candidates.next()? {
            if self.upkeep.is_closing() {
                // It is begun again when the store is opened again.
                return Err(crate::embedded::closed().into());
            }
            if !(plan.exact || named.query.matches(&event)) {
                continue;
            }
            let offset = u32::try_from(event.position() - first);
            if offset.is_err() || offsets.len() == POSTINGS_PER_FILE {
                let last = event.position() - 1;
                files.push(self.past_file(named, files.len(), [first, last], &mut offsets)?);
                first = event.position();
            }
            offsets.push(u32::try_from(event.position() - first).unwrap_or_default());
        }
        let range = [first, named.defined_at];
        files.push(self.past_file(named, files.len(), range, &mut offsets)?);
        Ok(files)
    }

    fn past_file(
        &self,
        named: &Named,
        number: usize,
        range: [u64; 2],
        offsets: &mut Vec<u32>,
    ) -> Result<LiveFile, Failure> {
        let live = live_file(PAST, named.defined_at, number as u32, range);
        let lists: [(Key, u64, Vec<u32>); 1] = [(named.key, 0, std::mem::take(offsets))];
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
