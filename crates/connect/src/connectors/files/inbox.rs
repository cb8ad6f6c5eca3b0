//! The files that are there, and what becomes of each.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use leftfold_api::{EventStore, Read, ReadError};
use leftfold_fold::time::Time;

use super::halt::Halt;
use super::listing::{FoundFile, Listing, list};
use super::moved::move_into;
use super::observer::{Counts, FileObserver};
use super::reader;
use super::reading::{Reading, read_file};
use super::rejects::RejectsFile;
use super::settings::{Done, FilesSettings, load_mapping};
use super::settling::Settling;
use super::stamp::Stamp;
use crate::connectors::kind::Run;
use crate::connectors::{ConnectorError, OnError};
use crate::ingest::{IngestSummary, Source};
use crate::ledger::{LedgerEntry, WatchedFile};
use crate::mapping::Mapping;

/// The shortest pause before the next look.
const SHORTEST: Duration = Duration::from_millis(1);

/// The files of a connector.
pub(super) struct Inbox<S> {
    settings: FilesSettings,
    store: Arc<S>,
    mapping: Mapping,
    /// The name by which the ledger's entries of this connector are known; another one after a reset.
    progress: String,
    on_error: OnError,
    settling: Settling,
    /// The files that are there and done, by the path as the ledger has it.
    done: HashMap<String, WatchedFile>,
    halt: Halt,
    counts: Arc<Counts>,
    time: Arc<dyn Time>,
}

impl<S: EventStore + 'static> Inbox<S> {
    /// Loads the mapping, and reads from the ledger which of the files that are there are done.
    pub(super) fn open(
        settings: FilesSettings,
        run: &Run<S>,
        halt: Halt,
        counts: Arc<Counts>,
    ) -> Result<Self, ConnectorError> {
        let mapping = load_mapping(&settings).map_err(ConnectorError::unavailable)?;
        let listing = list(&settings).map_err(ConnectorError::unavailable)?;
        let mut inbox = Inbox {
            settings,
            store: run.store.clone(),
            mapping,
            progress: run.progress.clone(),
            on_error: run.definition.on_error,
            settling: Settling::default(),
            done: HashMap::new(),
            halt,
            counts,
            time: run.time.clone(),
        };
        pollster::block_on(inbox.load_done(&listing))?;
        Ok(inbox)
    }

    async fn load_done(&mut self, listing: &Listing) -> Result<(), ReadError> {
        let names: HashSet<String> = listing.files.iter().map(FoundFile::name).collect();
        let query = LedgerEntry::query(Some(self.mapping.name()));
        let mut read = Read::forward(query.clone());
        while !self.halt.is_set() {
            let page = self.store.read(read).await?;
            for entry in page.events.iter().filter_map(LedgerEntry::of_recorded) {
                let watched = entry.watched.filter(|of| of.connector == self.progress);
                if let Some(watched) = watched.filter(|_| names.contains(&entry.file)) {
                    self.done.insert(entry.file, watched);
                }
            }
            if !page.more {
                break;
            }
            read = Read::forward(query.clone()).after(page.cursor);
        }
        if let Some(last) = LedgerEntry::of_other_text(&*self.store, &self.mapping).await? {
            let (mapping, version, file) = (self.mapping.name(), self.mapping.version(), last.file);
            tracing::warn!(
                mapping,
                version,
                file,
                "the text of the mapping has changed since the file was ingested, and its version has not"
            );
        }
        Ok(())
    }

    /// Looks at the files, and ingests those that have settled. Returns the pause before the next look.
    ///
    /// # Errors
    /// That of the first file that can't be read or moved now: all others are done first. Or that of the store.
    pub(super) fn look(&mut self) -> Result<Duration, ConnectorError> {
        let listing = list(&self.settings).map_err(ConnectorError::unavailable)?;
        let mut failure = listing.failure.map(ConnectorError::unavailable);
        let names: HashSet<String> = listing.files.iter().map(FoundFile::name).collect();
        self.done.retain(|name, _| names.contains(name));
        let mut waiting = Vec::new();
        for file in listing.files {
            match self.done.get(&file.name()).filter(|done| done.stamp == file.stamp) {
                None => waiting.push(file),
                Some(done) if done.is_held || self.settings.done == Done::Remember => {}
                // It was not moved before a crash, or could not be.
                Some(_) => note_first(&mut failure, self.move_away(&file.path)),
            }
        }
        self.note_files(&waiting);
        let (settle, now) = (self.settings.settle(), self.time.now());
        let (settled, wait) = self.settling.settled(waiting.clone(), now, settle);
        for file in settled {
            if self.halt.is_set() {
                break;
            }
            match self.take(&file) {
                Err(error @ ConnectorError::Unavailable(_)) => {
                    failure.get_or_insert(error);
                }
                taken => taken?,
            }
            waiting.retain(|other| other.path != file.path);
            self.note_files(&waiting);
        }
        match failure {
            Some(failure) => Err(failure),
            None => {
                let poll = self.settings.poll();
                Ok(wait.map_or(poll, |wait| wait.clamp(SHORTEST, poll)))
            }
        }
    }

    fn note_files(&self, waiting: &[FoundFile]) {
        let oldest = waiting.first().map(|file| file.stamp.modified);
        self.counts.note_files(oldest, self.done.values().filter(|done| done.is_held).count());
    }

    /// Ingests a file, and notes in the ledger that it is done.
    fn take(&mut self, file: &FoundFile) -> Result<(), ConnectorError> {
        let shown = file.name();
        let failed =
            |error: io::Error| ConnectorError::unavailable(format_args!("{shown}: {error}"));
        let opened = match reader::open(&file.path, self.halt.clone()) {
            Err(_) if self.halt.is_set() => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => opened.map_err(failed)?,
        };
        let name = file.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let counts = self.counts.clone();
        let halt = self.halt.clone();
        let rejects = RejectsFile::new(self.rejects_directory(&file.path), name.clone());
        let max = self.settings.max_rejects();
        let mut observer = FileObserver::new(rejects, &counts, &halt, max, &shown);
        let may_be_empty = self.settings.may_be_empty;
        let source = Source { name: &name, may_be_empty };
        let reading = read_file(&*self.store, &self.mapping, source, opened, &mut observer);
        // What was appended stays; the file is read again.
        if self.halt.is_set() {
            return Ok(());
        }
        let Reading { summary, wrong } = reading?;
        let about = std::fs::metadata(&file.path);
        if about.is_ok_and(|about| Stamp::of(&about) != file.stamp) {
            // It has changed meanwhile: it is read again when it has settled.
            return Ok(());
        }
        observer.rejects.publish().map_err(failed)?;
        if let Some(why) = &wrong {
            tracing::warn!(file = shown, why, "a file is wrong as a whole");
            if self.on_error == OnError::Stop {
                return Err(ConnectorError::unusable(format_args!(
                    "{shown}: {why} Mend the file or take it away, then resume the connector"
                )));
            }
        }
        let is_held = wrong.is_some() && self.on_error == OnError::Park;
        self.finish(file, &summary, is_held)
    }

    fn rejects_directory(&self, file: &Path) -> PathBuf {
        let given = self.settings.rejects_directory.as_deref();
        given.or(file.parent()).unwrap_or(Path::new("/")).to_owned()
    }

    /// Writes into the ledger that a file is done, and moves it away.
    fn finish(
        &mut self,
        file: &FoundFile,
        summary: &IngestSummary,
        is_held: bool,
    ) -> Result<(), ConnectorError> {
        let mut entry = LedgerEntry::new(&file.name(), &self.mapping, summary);
        let (connector, stamp) = (self.progress.clone(), file.stamp);
        let watched = WatchedFile { connector, stamp, is_held };
        entry.watched = Some(watched.clone());
        pollster::block_on(entry.write(&*self.store))?;
        self.done.insert(file.name(), watched);
        match self.settings.done {
            Done::Move if !is_held => self.move_away(&file.path),
            _ => Ok(()),
        }
    }

    fn move_away(&self, file: &Path) -> Result<(), ConnectorError> {
        let Some(directory) = &self.settings.done_directory else { return Ok(()) };
        move_into(directory, file).map_err(|error| {
            let (file, directory) = (file.display(), directory.display());
            ConnectorError::unavailable(format_args!(
                "{file} is done, but can't be moved into {directory}: {error}"
            ))
        })
    }
}

fn note_first(failure: &mut Option<ConnectorError>, done: Result<(), ConnectorError>) {
    if let Err(error) = done {
        failure.get_or_insert(error);
    }
}
