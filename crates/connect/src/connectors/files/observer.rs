//! What a run counts, and what it hears while a file is ingested.

use std::io;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use leftfold_api::Timestamp;

use super::halt::Halt;
use super::rejects::RejectsFile;
use crate::connectors::Gauges;
use crate::ingest::{IngestObserver, IngestSummary};
use crate::item::Reject;
use crate::pipeline::Tally;
use crate::reason::{Reason, Warning};

/// No file waits.
const NONE: i64 = i64::MAX;

/// What a run has counted.
pub(super) struct Counts {
    events: AtomicU64,
    skipped: AtomicU64,
    held: AtomicU64,
    /// When the oldest file that is not done was changed, in microseconds.
    oldest: AtomicI64,
}

impl Default for Counts {
    fn default() -> Self {
        let zero = AtomicU64::default;
        Counts { events: zero(), skipped: zero(), held: zero(), oldest: AtomicI64::new(NONE) }
    }
}

impl Counts {
    pub(super) fn gauges(&self, now: Timestamp) -> Gauges {
        let lag = match self.oldest.load(Ordering::Relaxed) {
            NONE => 0,
            oldest => u64::try_from(now.micros().saturating_sub(oldest)).unwrap_or_default(),
        };
        Gauges {
            events: self.events.load(Ordering::Relaxed),
            skipped: self.skipped.load(Ordering::Relaxed),
            held: self.held.load(Ordering::Relaxed),
            lag_micros: Some(lag),
        }
    }

    /// Notes the files that wait, and those that stay because they can't be read.
    pub(super) fn note_files(&self, oldest: Option<i64>, held: usize) {
        self.oldest.store(oldest.unwrap_or(NONE), Ordering::Relaxed);
        self.held.store(held as u64, Ordering::Relaxed);
    }
}

/// Follows the ingest of one file.
pub(super) struct FileObserver<'a> {
    pub(super) rejects: RejectsFile,
    pub(super) tally: Tally,
    /// Why the file is wrong as a whole, as far as its records tell.
    pub(super) verdict: Option<String>,
    /// The message of the last refused record: if the file ends early, it says why.
    last: Option<String>,
    counts: &'a Counts,
    halt: &'a Halt,
    rejected: u64,
    max_rejects: u64,
    /// The file, for the log and for errors.
    pub(super) path: &'a str,
}

impl<'a> FileObserver<'a> {
    pub(super) fn new(
        rejects: RejectsFile,
        counts: &'a Counts,
        halt: &'a Halt,
        max_rejects: u64,
        path: &'a str,
    ) -> Self {
        let tally = Tally::default();
        let (verdict, last, rejected) = (None, None, 0);
        FileObserver { rejects, tally, verdict, last, counts, halt, rejected, max_rejects, path }
    }

    /// Says why a file that was read is wrong as a whole, if it is.
    pub(super) fn judge(&mut self, done: &IngestSummary) -> Option<String> {
        let Tally { ingested, repeated, rejected, .. } = done.tally;
        let last = self.last.take().unwrap_or_default();
        if !done.read.complete {
            return Some(last);
        }
        let is_useless = rejected > 0 && ingested == 0 && repeated == 0;
        let useless = || format!("all {rejected} records were refused, the last one so: {last}");
        self.verdict.take().or(is_useless.then(useless))
    }
}

impl IngestObserver for FileObserver<'_> {
    fn on_reject(&mut self, reject: &Reject) -> io::Result<()> {
        if self.halt.is_set() {
            return Err(io::Error::other("the connector stops"));
        }
        if self.rejected >= self.max_rejects {
            let most = self.max_rejects;
            self.verdict = Some(format!("more than {most} records were refused"));
            return Err(io::Error::other("too many refused records"));
        }
        self.rejected += 1;
        self.counts.skipped.fetch_add(1, Ordering::Relaxed);
        if reject.reason == Reason::NothingFound {
            self.verdict = Some(reject.message.clone());
        }
        self.last = Some(reject.message.clone());
        self.rejects.write(reject)
    }

    fn on_warning(&mut self, warning: &Warning) -> io::Result<()> {
        let (code, Warning { line, message, .. }) = (warning.doubt.code(), warning);
        let file = self.path;
        tracing::warn!(file, line, code, message, "a record was kept with a warning");
        Ok(())
    }

    fn on_progress(&mut self, tally: Tally) {
        let new = tally.ingested.saturating_sub(self.tally.ingested);
        self.counts.events.fetch_add(new, Ordering::Relaxed);
        self.tally = tally;
    }
}
