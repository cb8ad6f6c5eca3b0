//! Writes rows into files, and commits them together with the place in the store.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use leftfold_api::Timestamp;
use leftfold_fold::time::{Time, later};
use leftfold_fold::view::Saved;
use parking_lot::Mutex;

use super::part::{FinishedPart, Part};
use super::place::ExportPlace;
use super::render::{Renderer, Rows};
use super::settings::ExportSettings;
use super::state::{ExportState, StateFile};
use crate::connectors::ConnectorError;

/// The most files that are open at a time: each has a buffer and perhaps a compressor.
const MOST_OPEN: usize = 32;
/// The most bytes of rows that wait in memory for their row groups, over all files. To compress one takes as much again.
const MOST_BUFFERED: usize = 64 << 20;

/// The place in the store behind the files that are whole.
pub(super) type SavedCell = Arc<Mutex<Option<Saved>>>;

/// Writes the files of an export.
pub(super) struct Writer {
    settings: ExportSettings,
    renderer: Arc<Renderer>,
    place: ExportPlace,
    state_file: StateFile,
    state: ExportState,
    saved: SavedCell,
    /// The place behind all rows, also those in files that are not whole.
    taken: Option<Saved>,
    /// The number of the next file that is opened.
    number: u64,
    /// By partition.
    open: BTreeMap<String, Part>,
    finished: Vec<FinishedPart>,
    /// Since when something waits to be committed.
    waits_since: Option<Timestamp>,
    /// After a failure what is on disk is not known: another writer reads it.
    has_failed: bool,
    events: Arc<AtomicU64>,
    time: Arc<dyn Time>,
    /// Held until the last use of this writer has ended.
    _lock: File,
}

impl Writer {
    /// Reads how far the export is, and removes what a crash has left behind.
    pub(super) fn open(
        settings: ExportSettings,
        renderer: Arc<Renderer>,
        connector: String,
        progress: &str,
        time: Arc<dyn Time>,
    ) -> Result<Self, ConnectorError> {
        let directory = settings.directory.clone();
        let failed = |error: io::Error| {
            ConnectorError::unavailable(format_args!("{}: {error}", directory.display()))
        };
        let place = ExportPlace::new(directory.clone(), connector);
        place.prepare().map_err(failed)?;
        let Some(lock) = place.lock().map_err(failed)? else {
            return Err(ConnectorError::unavailable(format_args!(
                "another run of the connector writes into {}; it is tried again when that has ended",
                directory.display()
            )));
        };
        let state_file = place.state_file();
        let state = match state_file.read().map_err(ConnectorError::unusable)? {
            Some(state) if state.progress == progress => state,
            None if !place.has_files().map_err(failed)? => {
                let state = ExportState { progress: progress.to_owned(), next: 0, saved: None };
                state_file.write(&state).map_err(failed)?;
                state
            }
            found => return Err(of_other_run(&settings, found.is_some())),
        };
        place.remove_unfinished().map_err(failed)?;
        place.remove_from(state.next).map_err(failed)?;
        let saved = state.saved().map_err(ConnectorError::unusable)?;
        Ok(Writer {
            number: state.next,
            taken: saved.clone(),
            saved: Arc::new(Mutex::new(saved)),
            settings,
            renderer,
            place,
            state_file,
            state,
            open: BTreeMap::new(),
            finished: Vec::new(),
            waits_since: None,
            has_failed: false,
            events: Arc::default(),
            time,
            _lock: lock,
        })
    }

    pub(super) fn saved_cell(&self) -> SavedCell {
        self.saved.clone()
    }

    /// Returns where the events in whole files are counted.
    pub(super) fn events_counter(&self) -> Arc<AtomicU64> {
        self.events.clone()
    }

    /// Takes the rows behind a place. Returns whether that is where the last ones ended.
    pub(super) fn add(&mut self, from: Option<&Saved>, to: &Saved, rows: Rows) -> io::Result<bool> {
        self.check()?;
        if self.taken.as_ref() != from {
            return Ok(false);
        }
        let added = self.write_rows(rows);
        self.note(added)?;
        self.taken = Some(to.clone());
        self.waits_since.get_or_insert_with(|| self.time.now());
        // Files that are full, or had to make room.
        if !self.finished.is_empty() {
            self.flush()?;
        }
        Ok(true)
    }

    fn write_rows(&mut self, rows: Rows) -> io::Result<()> {
        for (partition, rows) in rows {
            for row in rows {
                let most = self.settings.rows();
                let part = self.part_of(&partition)?;
                part.write_row(row)?;
                if part.is_full(most)
                    && let Some(part) = self.open.remove(&partition)
                {
                    self.finished.push(part.finish()?);
                }
                self.bound_buffers()?;
            }
        }
        Ok(())
    }

    /// Writes the largest row group if too many rows wait in memory.
    fn bound_buffers(&mut self) -> io::Result<()> {
        let buffered: usize = self.open.values().map(Part::buffered).sum();
        match self.open.values_mut().max_by_key(|part| part.buffered()) {
            Some(largest) if buffered > MOST_BUFFERED => largest.write_buffered(),
            _ => Ok(()),
        }
    }

    /// Returns the open file of a partition.
    fn part_of(&mut self, partition: &str) -> io::Result<&mut Part> {
        if !self.open.contains_key(partition) {
            if self.open.len() >= MOST_OPEN
                && let Some((_, oldest)) = self.open.pop_first()
            {
                self.finished.push(oldest.finish()?);
            }
            let name = self.place.name(self.number, self.settings.extension());
            let directory = self.place.partition(partition);
            let unfinished = self.place.unfinished();
            let part = Part::create(&unfinished, directory, name, &self.renderer)?;
            self.number += 1;
            self.open.insert(partition.to_owned(), part);
        }
        self.open.get_mut(partition).ok_or_else(|| io::Error::other("a file was not opened"))
    }

    /// Commits what waits, if it has waited long enough.
    pub(super) fn flush_if_due(&mut self) -> io::Result<()> {
        let now = self.time.now();
        match self.waits_since {
            // Also if the clock was set back.
            Some(since) if later(since, self.settings.every()) <= now || now < since => {
                self.flush()
            }
            _ => Ok(()),
        }
    }

    /// Commits all rows that were taken: their files get their names, then the state has them.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.check()?;
        if self.waits_since.is_none() {
            return Ok(());
        }
        let committed = self.commit();
        self.note(committed)
    }

    fn commit(&mut self) -> io::Result<()> {
        for part in std::mem::take(&mut self.open).into_values() {
            self.finished.push(part.finish()?);
        }
        let mut directories = BTreeSet::<PathBuf>::new();
        for part in &self.finished {
            part.publish()?;
            directories.insert(part.directory.clone());
        }
        for directory in directories {
            fs::File::open(directory)?.sync_all()?;
        }
        self.state.next = self.number;
        self.state.saved = self.taken.as_ref().map(ToString::to_string);
        self.state_file.write(&self.state)?;
        self.saved.lock().clone_from(&self.taken);
        let rows = std::mem::take(&mut self.finished).iter().map(|part| part.rows).sum();
        self.events.fetch_add(rows, Ordering::Relaxed);
        self.waits_since = None;
        Ok(())
    }

    fn check(&self) -> io::Result<()> {
        match self.has_failed {
            true => Err(io::Error::other("an earlier write of the export has failed")),
            false => Ok(()),
        }
    }

    fn note(&mut self, done: io::Result<()>) -> io::Result<()> {
        self.has_failed |= done.is_err();
        let shown = self.settings.directory.display();
        done.map_err(|error| io::Error::new(error.kind(), format!("{shown}: {error}")))
    }
}

/// Returns the error of a directory with files that this run does not continue.
fn of_other_run(settings: &ExportSettings, has_state: bool) -> ConnectorError {
    let shown = settings.directory.display();
    let why = match has_state {
        true => "has files of this connector from before it was reset or added",
        false => "has files of this connector, but not how far it was (_leftfold is missing)",
    };
    ConnectorError::unusable(format_args!(
        "{shown} {why}; events would be there twice. Empty the directory or name another one, then resume the connector"
    ))
}
