use std::collections::{BTreeMap, HashMap};

use leftfold_api::names::{self, category_of};
use leftfold_api::{
    Append, AppendError, Appended, CheckpointMove, Cursor, EventStore, Invalid, Origin, Overlap,
    partition_of,
};

use super::digest::{EventDigest, check_digests};
use super::export::ExportTotal;
use super::marks::Marks;
use super::read_back::{digest_of, read_back};
use super::send::{SendError, send, send_placeholders};
use super::settings::Settings;
use crate::{ImportEvent, ImportReport};

/// The most events of one append, and the bytes of data after which a batch is appended.
const BATCH_EVENTS: usize = 500;
const BATCH_BYTES: usize = 1 << 20;
/// A store of many partitions gets a batch of this many times the events, which its partitions share.
const MAX_SHARES: usize = 8;

/// An import by appends into any store, such as that of a server or a cluster.
///
/// Ids and versions make it repeatable: run again after an interruption, it finds what is there, and goes on behind it.
/// Commit times are new. In a store of many partitions each append is split by partition, so a reader may see a part of
/// it for a moment. What was appended is read back for the digest.
pub struct AppendingImport<S> {
    store: S,
    batch: Vec<ImportEvent>,
    bytes: usize,
    /// The next version of each stream of the batch.
    next: HashMap<String, u64>,
    target: Option<Target>,
    marks: Marks,
    settings: Settings,
    /// The digest of the events of the file.
    wanted: EventDigest,
    total: Option<ExportTotal>,
    /// Whether an event was refused: then there is nothing to compare with.
    is_stopped: bool,
    report: ImportReport,
}

/// What the first answer has told of the store.
struct Target {
    origin: Origin,
    /// The last imported position of each partition.
    reached: Vec<u64>,
}

impl Target {
    fn partitions(&self) -> u32 {
        self.reached.len() as u32
    }
}

impl<S: EventStore> AppendingImport<S> {
    /// Begins an import.
    pub fn new(store: S) -> Self {
        AppendingImport {
            store,
            batch: Vec::new(),
            bytes: 0,
            next: HashMap::new(),
            target: None,
            marks: Marks::default(),
            settings: Settings::default(),
            wanted: EventDigest::default(),
            total: None,
            is_stopped: false,
            report: ImportReport::default(),
        }
    }

    /// Returns the counts so far.
    pub fn report(&self) -> &ImportReport {
        &self.report
    }

    /// Adds an event, behind those of its stream.
    ///
    /// # Errors
    /// `import_conflict` if the store has another event at its version, `import_invalid`, and those of appends.
    pub async fn add(&mut self, event: ImportEvent) -> Result<(), AppendError> {
        let added = self.add_event(event).await;
        self.is_stopped |= added.is_err();
        added
    }

    async fn add_event(&mut self, event: ImportEvent) -> Result<(), AppendError> {
        if self.settings.note(&event)? {
            return Ok(());
        }
        if let Some(category) = left_out(&event.stream) {
            *self.report.left_out.entry(category).or_default() += 1;
            return Ok(());
        }
        check(&event)?;
        self.wanted.add_import(&event);
        // Missing versions get placeholders, which are appended between two batches.
        if self.next.get(&event.stream).is_some_and(|next| *next != event.version) {
            self.flush().await?;
        }
        self.bytes += size(&event);
        self.next.insert(event.stream.clone(), event.version.saturating_add(1));
        self.batch.push(event);
        let shares = self.target.as_ref().map_or(1, |target| target.reached.len()).min(MAX_SHARES);
        if self.batch.len() < BATCH_EVENTS * shares && self.bytes < BATCH_BYTES * shares {
            return Ok(());
        }
        self.flush().await
    }

    /// Notes that a stream has had events up to a version, though the last ones are dropped.
    ///
    /// # Errors
    /// Those of [`add`](Self::add).
    pub async fn end_stream(&mut self, stream: &str, last: u64) -> Result<(), AppendError> {
        if names::OF_SYSTEM.contains(&category_of(stream)) || left_out(stream).is_some() {
            return Ok(());
        }
        self.is_stopped = true;
        self.flush().await?;
        let info = self.store.stream(stream).await?;
        let next = info.map_or(0, |info| info.version + 1);
        self.fill(stream, next, last.saturating_add(1)).await?;
        self.is_stopped = false;
        Ok(())
    }

    /// Notes that a reader has seen the events so far: all, or those of one partition of the source.
    ///
    /// # Errors
    /// Those of [`add`](Self::add), for the events so far.
    pub async fn checkpoint(&mut self, name: &str, source: Option<u32>) -> Result<(), AppendError> {
        self.flush().await?;
        let reached = self.target.as_ref().map_or(&[][..], |target| &target.reached);
        self.marks.note(name, source, reached);
        Ok(())
    }

    /// Notes the last line of the export.
    pub fn total(&mut self, total: ExportTotal) {
        self.total = Some(total);
    }

    /// Appends the rest, compares the digests, defines indexes and retention, and moves checkpoints. After an event was
    /// refused, it only appends.
    ///
    /// # Errors
    /// `import_differs` if the store does not return what was imported; `import_invalid` if the file was changed;
    /// those of appends.
    pub async fn finish(mut self) -> Result<ImportReport, AppendError> {
        self.flush().await?;
        if self.is_stopped {
            return Ok(self.report);
        }
        check_digests(self.total, self.wanted, self.report.digest)?;
        let marks = std::mem::take(&mut self.marks);
        self.report.is_complete = self.total.is_some();
        let is_copy = marks.is_empty() || digest_of(&self.store).await? == self.wanted;
        self.report.definitions = self.settings.define(&self.store).await?;
        let partitions = self.target.as_ref().map_or(1, Target::partitions);
        let source = self.total.map_or(1, |total| total.partitions);
        for (name, positions) in marks.positions(source, partitions) {
            match is_copy {
                true => {
                    self.set_checkpoint(name, &positions).await?;
                    self.report.checkpoints += 1;
                }
                // Readers of the other store have not seen the events that only this one has.
                false => self.report.checkpoints_left_out += 1,
            }
        }
        Ok(self.report)
    }

    /// Moves a checkpoint forward to positions, unless its reader is there already.
    async fn set_checkpoint(&self, name: &str, positions: &[u64]) -> Result<(), AppendError> {
        let to = match &self.target {
            Some(target) => Cursor::at_all(target.origin, positions)?,
            None => Cursor::START,
        };
        let expected = self.store.checkpoint(name).await?;
        if let Some(append) = move_checkpoint(name, expected, to)? {
            self.store.append(append).await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), AppendError> {
        let mut batch = std::mem::take(&mut self.batch);
        self.bytes = 0;
        self.next.clear();
        if self.target.is_none() && !batch.is_empty() {
            // The answer to one event tells how many partitions there are. A repeated import does the same again.
            let rest = batch.split_off(1);
            self.write(batch).await?;
            batch = rest;
        }
        for part in self.split(batch) {
            self.write(part).await?;
        }
        Ok(())
    }

    /// Splits events by the partitions of their streams.
    fn split(&self, events: Vec<ImportEvent>) -> Vec<Vec<ImportEvent>> {
        let partitions = self.target.as_ref().map_or(1, Target::partitions);
        let mut parts: BTreeMap<u32, Vec<ImportEvent>> = BTreeMap::new();
        for event in events {
            parts.entry(partition_of(&event.stream, partitions)).or_default().push(event);
        }
        // A partition may have got more than its share.
        parts.into_values().flat_map(chunks).collect()
    }

    /// Appends events of one partition, as a whole or, where some are stored by other appends, one by one.
    async fn write(&mut self, events: Vec<ImportEvent>) -> Result<(), AppendError> {
        match self.append(&events, true).await {
            Err(AppendError::Overlap(_)) => {
                for event in &events {
                    self.write_one(event).await?;
                }
                Ok(())
            }
            answer => answer,
        }
    }

    async fn write_one(&mut self, event: &ImportEvent) -> Result<(), AppendError> {
        let one = std::slice::from_ref(event);
        match self.append(one, true).await {
            // An import into a directory has stored it without an event time.
            Err(AppendError::Overlap(Overlap::Content { .. }))
                if event.event.event_time.is_none() =>
            {
                self.append(one, false).await
            }
            answer => answer,
        }
    }

    /// Appends events, after placeholders for the versions that are missing before them, and reads them back.
    async fn append(&mut self, events: &[ImportEvent], timed: bool) -> Result<(), AppendError> {
        // Each stream can miss versions once.
        for _ in 0..=events.len() {
            match send(&self.store, events, timed).await {
                Ok(appended) => {
                    let found = read_back(&self.store, events, &appended).await?;
                    self.report.digest.add_all(found);
                    self.note(&appended, events.len());
                    return Ok(());
                }
                Err(SendError::Missing { stream, next, wanted }) => {
                    self.fill(&stream, next, wanted).await?;
                }
                Err(SendError::Append(error)) => return Err(error),
            }
        }
        let stream = events.first().map_or("", |event| &event.stream);
        let message = format!("stream {stream} changes during the import; stop its writers");
        Err(Invalid::new("import_conflict", message).into())
    }

    /// Appends placeholders for the versions of a stream from one to the one before another.
    async fn fill(&mut self, stream: &str, from: u64, before: u64) -> Result<(), AppendError> {
        let mut from = from;
        while from < before {
            let to = before.min(from + BATCH_EVENTS as u64);
            let appended = send_placeholders(&self.store, stream, from, to).await?;
            self.report.holes += to - from;
            self.reach(&appended);
            from = to;
        }
        Ok(())
    }

    fn note(&mut self, appended: &Appended, events: usize) {
        match appended.repeated {
            true => self.report.repeated += events as u64,
            false => self.report.imported += events as u64,
        }
        self.reach(appended);
    }

    /// Notes how far the import has come in the partition of an append.
    fn reach(&mut self, appended: &Appended) {
        let count = appended.cursor.positions().len();
        let first = || Target { origin: appended.cursor.origin(), reached: vec![0; count] };
        let target = self.target.get_or_insert_with(first);
        let Some((_, last)) = appended.positions else { return };
        let stream = appended.streams.first().map_or("", |found| &found.stream);
        let partition = partition_of(stream, target.partitions()) as usize;
        if let Some(reached) = target.reached.get_mut(partition) {
            *reached = last.max(*reached);
        }
    }
}

/// Cuts events into those of one append each.
fn chunks(events: Vec<ImportEvent>) -> Vec<Vec<ImportEvent>> {
    let (mut all, mut chunk, mut bytes) = (Vec::new(), Vec::new(), 0);
    for event in events {
        bytes += size(&event);
        chunk.push(event);
        if chunk.len() == BATCH_EVENTS || bytes >= BATCH_BYTES {
            all.push(std::mem::take(&mut chunk));
            bytes = 0;
        }
    }
    all.push(chunk);
    all.retain(|chunk| !chunk.is_empty());
    all
}

/// Returns the bytes of an event's metadata and data.
fn size(event: &ImportEvent) -> usize {
    event.event.data.len() + event.event.metadata.len()
}

/// Returns the append that moves a checkpoint forward, or none if it is there or further already.
///
/// # Errors
/// `import_conflict`: its reader has seen other events.
pub(crate) fn move_checkpoint(
    name: &str,
    expected: Option<Cursor>,
    to: Cursor,
) -> Result<Option<Append>, Invalid> {
    match &expected {
        Some(known) if known.covers(&to) => return Ok(None),
        Some(known) if !to.covers(known) => {
            let message = format!(
                "checkpoint {name} is at another place in the store; delete it there, and import again"
            );
            return Err(Invalid::new("import_conflict", message));
        }
        _ => {}
    }
    let to = CheckpointMove { name: name.to_owned(), expected, to };
    Ok(Some(Append::new().checkpoint(to)))
}

/// Checks what an append does not: that the event can be found again.
fn check(event: &ImportEvent) -> Result<(), Invalid> {
    match event.event.id {
        Some(_) => Ok(()),
        None => {
            let message = format!("the event of stream {} has no id", event.stream);
            Err(Invalid::new("import_invalid", message))
        }
    }
}

/// Returns the category of a stream that no client can append to, or whose events belong to the other store.
fn left_out(stream: &str) -> Option<&'static str> {
    let category = category_of(stream);
    let known = names::OF_SYSTEM.into_iter().chain(names::OF_ONE_STORE);
    known.into_iter().find(|known| *known == category)
}
