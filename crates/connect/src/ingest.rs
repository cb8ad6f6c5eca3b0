//! A file, whole: read on one thread, appended on another.

use std::io::BufRead;
use std::sync::mpsc::{SyncSender, sync_channel};

use leftfold_api::{AppendError, EventStore};

use crate::item::{IngestError, Item, ReadSummary, Reject};
use crate::mapping::Mapping;
use crate::pipeline::{Pipeline, Tally};
use crate::read::read;

/// Items are handed over in groups: a wake-up for each would cost more than reading it.
const GROUP: usize = 128;
/// Groups that wait to be appended. With the pipeline's batches this bounds the memory.
const GROUPS: usize = 8;

/// What ingesting a file came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ingested {
    /// What became of the records.
    pub tally: Tally,
    /// What was read.
    pub read: ReadSummary,
}

/// Hears of what happens while a file is ingested.
pub trait Watch: Send {
    /// A record, a statement or the rest of the file was refused.
    fn rejected(&mut self, reject: &Reject) -> std::io::Result<()>;

    /// So much has become of the records by now.
    fn progressed(&mut self, tally: Tally) {
        _ = tally;
    }
}

/// Why a file could not be ingested to its end. What was acknowledged before stays, and ingesting
/// the file again adds nothing twice.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Stopped {
    /// The file could not be read.
    #[error("reading the file failed: {0}; ingest it again, nothing is added twice")]
    Input(std::io::Error),
    /// The rejects could not be written down.
    #[error("writing the rejects failed: {0}; ingest the file again, nothing is added twice")]
    Rejects(std::io::Error),
    /// The store is in trouble.
    #[error("{0}; then ingest the file again, nothing is added twice")]
    Store(#[from] AppendError),
}

/// Reads a file as the mapping says and appends one event for each good record.
///
/// Records that are in the store already, from this file or another, are recognised by their
/// natural keys and left alone. Memory is bounded whatever the size of the file.
pub fn ingest<S: EventStore>(
    store: &S,
    mapping: &Mapping,
    input: impl BufRead + Send,
    watch: &mut dyn Watch,
) -> Result<Ingested, Stopped> {
    std::thread::scope(|threads| {
        let (sender, receiver) = sync_channel::<Vec<Item>>(GROUPS);
        let name = "leftfold-ingest".to_owned();
        let reading = std::thread::Builder::new()
            .name(name)
            .spawn_scoped(threads, move || read_in_groups(mapping, input, &sender))
            .map_err(Stopped::Input)?;
        let appended: Result<Tally, Stopped> = pollster::block_on(async {
            let mut pipeline = Pipeline::new(store);
            for group in receiver {
                for item in group {
                    tell(watch, pipeline.take(item).await?)?;
                }
                watch.progressed(pipeline.tally());
            }
            tell(watch, pipeline.finish().await?)?;
            watch.progressed(pipeline.tally());
            Ok(pipeline.tally())
        });
        // The receiver is gone by now: a reader that still has something to say stops.
        let read = reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let tally = appended?;
        Ok(Ingested { tally, read: read.map_err(Stopped::Input)? })
    })
}

fn tell(watch: &mut dyn Watch, rejects: Vec<Reject>) -> Result<(), Stopped> {
    rejects.iter().try_for_each(|reject| watch.rejected(reject)).map_err(Stopped::Rejects)
}

/// The one who appends has stopped listening.
struct NobodyListens;

fn read_in_groups(
    mapping: &Mapping,
    input: impl BufRead,
    sender: &SyncSender<Vec<Item>>,
) -> std::io::Result<ReadSummary> {
    let mut group = Vec::with_capacity(GROUP);
    let done = read(mapping, input, &mut |item| {
        group.push(item);
        if group.len() < GROUP {
            return Ok(());
        }
        let full = std::mem::replace(&mut group, Vec::with_capacity(GROUP));
        sender.send(full).map_err(|_| NobodyListens)
    });
    match done {
        Ok(summary) => {
            // If nobody listens, the one who appends has its own error to tell.
            _ = sender.send(group);
            Ok(summary)
        }
        Err(IngestError::Io(error)) => Err(error),
        Err(IngestError::Sink(NobodyListens)) => Ok(ReadSummary::default()),
    }
}
