//! Imports over a network: plain appends, which can leave no version out.

use std::collections::{BTreeMap, HashMap};

use leftfold::{
    Append, AppendError, Conflict, EventStore, Expected, ImportEvent, ImportReport, Invalid,
    NewEvent, Overlap, names,
};
use pollster::block_on;

use crate::args::Location;
use crate::store::Store;

/// The most events of one append.
const BATCH_EVENTS: usize = 500;
/// The bytes of data after which a batch is appended.
const BATCH_BYTES: usize = 1 << 20;

/// An import into the store of a server.
pub(super) struct Remote {
    store: Store,
    batch: Vec<ImportEvent>,
    bytes: usize,
    /// The next version of each stream of the batch.
    next: HashMap<String, u64>,
    report: ImportReport,
}

impl Remote {
    pub(super) fn open(location: &Location) -> anyhow::Result<Self> {
        Ok(Remote {
            store: Store::open(location)?,
            batch: Vec::new(),
            bytes: 0,
            next: HashMap::new(),
            report: ImportReport::default(),
        })
    }

    pub(super) fn report(&self) -> &ImportReport {
        &self.report
    }

    /// Adds an event behind those of its stream.
    pub(super) fn add(&mut self, event: ImportEvent) -> Result<(), AppendError> {
        if let Some(category) = left_out(&event.stream) {
            *self.report.left_out.entry(category).or_default() += 1;
            return Ok(());
        }
        if let Some(next) = self.next.get(&event.stream).filter(|next| **next != event.version) {
            return Err(missing(&event.stream, &format!("{next} to {}", event.version)).into());
        }
        self.bytes += event.event.data.len() + event.event.metadata.len();
        self.next.insert(event.stream.clone(), event.version + 1);
        self.batch.push(event);
        if self.batch.len() < BATCH_EVENTS && self.bytes < BATCH_BYTES {
            return Ok(());
        }
        self.flush()
    }

    pub(super) fn finish(mut self) -> Result<ImportReport, AppendError> {
        self.flush()?;
        Ok(self.report)
    }

    fn flush(&mut self) -> Result<(), AppendError> {
        let batch = std::mem::take(&mut self.batch);
        self.bytes = 0;
        self.next.clear();
        if batch.is_empty() {
            return Ok(());
        }
        match block_on(send(&self.store, &batch, true)) {
            Ok(repeated) => self.count(repeated, batch.len()),
            Err(AppendError::Overlap(_)) => {
                // Some are stored by other appends: each is new or a repeat.
                for event in &batch {
                    let repeated = block_on(send_one(&self.store, event))?;
                    self.count(repeated, 1);
                }
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn count(&mut self, repeated: bool, events: usize) {
        match repeated {
            true => self.report.repeated += events as u64,
            false => self.report.imported += events as u64,
        }
    }
}

/// Returns the category of a stream that only an import into a directory has, or none.
fn left_out(stream: &str) -> Option<&'static str> {
    let category = names::category_of(stream);
    let known = names::OF_SYSTEM.into_iter().chain([names::REACTORS, names::CONTROL]);
    known.into_iter().find(|known| *known == category)
}

/// Appends one event; returns whether it was stored before.
async fn send_one(store: &Store, event: &ImportEvent) -> Result<bool, AppendError> {
    let one = std::slice::from_ref(event);
    match send(store, one, true).await {
        // An import into a directory has stored it without an event time.
        Err(AppendError::Overlap(Overlap::Content { .. })) if event.event.event_time.is_none() => {
            send(store, one, false).await
        }
        answer => answer,
    }
}

/// Appends events, each behind the event of the version before; returns whether they were stored before.
/// `timed`: the event time is given, because the commit time is a new one.
async fn send(store: &Store, events: &[ImportEvent], timed: bool) -> Result<bool, AppendError> {
    let mut first: BTreeMap<&str, u64> = BTreeMap::new();
    let mut append = Append::new();
    for ImportEvent { stream, version, event, event_time, .. } in events {
        first.entry(stream).or_insert(*version);
        let event_time = event.event_time.or_else(|| timed.then_some(*event_time));
        append = append.event(stream, NewEvent { event_time, ..event.clone() });
    }
    for (stream, version) in &first {
        let before = version.checked_sub(1);
        append = append.expect(*stream, before.map_or(Expected::NoStream, Expected::Exactly));
    }
    match store.append(append).await {
        Ok(appended) => {
            let is_elsewhere = |stream: &str, found| first.get(stream).is_some_and(|v| *v != found);
            match appended.streams.iter().find(|found| is_elsewhere(&found.stream, found.first)) {
                None => Ok(appended.repeated),
                Some(found) => {
                    let version = first.get(&*found.stream).copied().unwrap_or_default();
                    let what = format!("it as version {}", found.first);
                    Err(conflict(&found.stream, version, &what).into())
                }
            }
        }
        Err(AppendError::Conflict(Conflict::Version { stream, actual, .. })) => {
            let (wanted, next) = (first.get(&*stream).copied().unwrap_or_default(), after(actual));
            Err(match next < wanted {
                true => missing(&stream, &format!("{next} to {wanted}")),
                false => conflict(&stream, wanted, "another event there"),
            }
            .into())
        }
        Err(error) => Err(error),
    }
}

fn after(last: Option<u64>) -> u64 {
    last.map_or(0, |last| last + 1)
}

/// Refuses the end of a stream whose last events are missing, unless the stream is left out.
pub(super) fn end_stream(stream: &str, last_version: u64) -> Result<(), AppendError> {
    match left_out(stream) {
        Some(_) => Ok(()),
        None => Err(missing(stream, &format!("the last ones, up to {last_version}")).into()),
    }
}

/// Returns the error for versions of a stream that are not in the file.
fn missing(stream: &str, versions: &str) -> Invalid {
    let message = format!(
        "stream {stream}: versions are missing ({versions}), and appends over a network can leave none \
         out; import into a directory with --data"
    );
    Invalid::new("import_needs_files", message)
}

fn conflict(stream: &str, version: u64, found: &str) -> Invalid {
    let message = format!(
        "version {version} of stream {stream} is to be imported, but the store has {found}; import \
         into another store"
    );
    Invalid::new("import_conflict", message)
}
