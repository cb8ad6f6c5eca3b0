//! The end of an import: what the store has now is compared with the file, and checkpoints move.

use leftfold_api::{AppendError, Cursor, EventStore, Origin};
use pollster::block_on;

use super::{Import, ImportReport};
use crate::transfer::{ExportTotal, check_digests, move_checkpoint};

impl Import {
    /// Notes that a reader of the other store has seen the events so far: all, or those of one of its partitions.
    ///
    /// # Errors
    /// Those of [`add`](Import::add), for the events so far.
    pub fn checkpoint(&mut self, name: &str, source: Option<u32>) -> Result<(), AppendError> {
        self.flush()?;
        let reached = match self.matched < self.found {
            true => self.matched,
            false => {
                block_on(self.store.core.wait_for_admitted())?;
                self.store.core.log.head().position
            }
        };
        self.marks.note(name, source, &[reached]);
        Ok(())
    }

    /// Notes the last line of the export.
    pub fn total(&mut self, total: ExportTotal) {
        self.total = Some(total);
    }

    /// Writes what was added, makes it durable, compares the digests, moves checkpoints and closes the store. After an
    /// event was refused, it only writes.
    ///
    /// # Errors
    /// `import_differs` if the store does not have what was imported; `import_invalid` if the file was changed; those of
    /// appends.
    pub fn finish(mut self) -> Result<ImportReport, AppendError> {
        self.flush()?;
        block_on(self.store.core.wait_for_admitted())?;
        if self.is_stopped {
            return Ok(std::mem::take(&mut self.report));
        }
        self.add_written()?;
        check_digests(self.total, self.wanted, self.report.digest)?;
        self.report.is_complete = self.total.is_some();
        self.move_checkpoints()?;
        Ok(std::mem::take(&mut self.report))
    }

    /// Reads all that was written, from the log, for the digest.
    fn add_written(&mut self) -> Result<(), AppendError> {
        for position in self.found + 1..=self.store.core.log.head().position {
            self.report.digest.add(&self.store.core.event_at(position)?);
        }
        Ok(())
    }

    /// Moves checkpoints forward, if the store has nothing but what the other store had.
    fn move_checkpoints(&mut self) -> Result<(), AppendError> {
        let marks = std::mem::take(&mut self.marks);
        let source = self.total.map_or(1, |total| total.partitions);
        let header = self.store.core.log.header();
        let origin = Origin::new(&header.store_id, &header.incarnation);
        for (name, positions) in marks.positions(source, 1) {
            if !self.report.keeps_commit_times {
                self.report.checkpoints_left_out += 1;
                continue;
            }
            let to = Cursor::at_all(origin, &positions)?;
            let expected = block_on(self.store.checkpoint(name))?;
            if let Some(append) = move_checkpoint(name, expected, to)? {
                block_on(self.store.append(append))?;
            }
            self.report.checkpoints += 1;
        }
        Ok(())
    }
}
