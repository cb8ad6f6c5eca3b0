use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use leftfold_api::record::EventHeader;
use leftfold_api::{AppendError, CheckpointMove, Failure, Invalid, Limits, Timestamp, names};
use leftfold_index::{KeyMap, PostingWriter};
use leftfold_log::Slot;
use parking_lot::Mutex;
use smallvec::SmallVec;

use super::{LAST_POSITION, beyond_last};
use crate::committed::{CommittedAppend, CommittedEvent};
use crate::embedded::core::Core;
use crate::embedded::draft::{Author, Draft, DraftBuilder};
use crate::keys::{CommittedKeyFinder, CommittedKeys};

/// An append of the owner on its way to the log.
pub(crate) struct CommittedDraft {
    /// Its streams have the version before it.
    pub(crate) draft: Box<Draft>,
    pub(crate) first: u64,
    pub(crate) commit_time: i64,
    /// The last position of the copy when its streams were looked up, and all before it in the call are written.
    after: u64,
    run: Arc<Run>,
}

/// The appends of one call: after the first that is refused, all are.
#[derive(Default)]
pub(crate) struct Run {
    failed: OnceLock<String>,
    /// Whether something else was written since the streams were looked up.
    is_overtaken: AtomicBool,
    /// Drafts that are written. The thread that allocated them frees them faster.
    #[expect(clippy::vec_box, reason = "unboxing a draft would copy it")]
    used: Mutex<Vec<Box<Draft>>>,
}

impl Run {
    /// Frees the drafts that are written.
    pub(super) fn free_used(&self) {
        let used = std::mem::take(&mut *self.used.lock());
        drop(used);
    }
}

impl CommittedDraft {
    /// Returns its last position.
    pub(crate) fn last(&self) -> u64 {
        self.first + (self.draft.events.len() as u64).max(1) - 1
    }

    /// Checks on the writer thread that it continues what was written. Otherwise says in a sentence why not.
    pub(crate) fn check(
        &self,
        is_replica: bool,
        slot: Slot,
        adding: &PostingWriter<'_>,
    ) -> Result<(), String> {
        if let Some(failed) = self.run.failed.get() {
            return Err(failed.clone());
        }
        if !is_replica {
            return Err("the store is no replica: it decides its appends itself".to_owned());
        }
        if self.first < slot.position {
            return Err(taken(self.first, slot.position));
        }
        if self.commit_time < slot.last_commit_time {
            let [found, last] = [self.commit_time, slot.last_commit_time].map(Timestamp);
            return Err(too_early(self.first, found, last));
        }
        // Whatever else was written since took positions. If nothing was, the versions are those that were looked up.
        if slot.position != self.after + 1 {
            self.run.is_overtaken.store(true, Ordering::Relaxed);
        }
        if !self.run.is_overtaken.load(Ordering::Relaxed) {
            return Ok(());
        }
        for stream in &self.draft.streams {
            let last = adding.last(&stream.keys.stream).map(|(version, _)| version);
            let (next, version) = (after(last.or(stream.version)), after(stream.version));
            if next != version {
                return Err(wrong_version(&stream.name, version, next));
            }
        }
        Ok(())
    }

    /// Returns the version of the first event of each stream.
    pub(crate) fn first_versions(&self) -> SmallVec<[u64; 1]> {
        self.draft.streams.iter().map(|stream| after(stream.version)).collect()
    }

    /// Lets the rest of the call be refused.
    pub(crate) fn fail(&self, message: &str) {
        self.run.failed.get_or_init(|| message.to_owned());
    }

    /// Keeps the draft, which is written, for the caller's thread.
    pub(crate) fn finish(self) {
        self.run.used.lock().push(self.draft);
    }
}

impl Core {
    /// Checks appends of the owner against this copy, before any of them is written. Returns the keys of their events.
    pub(super) fn check_committed(
        &self,
        appends: &[CommittedAppend],
        last: u64,
    ) -> Result<Vec<CommittedKeys>, AppendError> {
        let mut limits = Limits::default();
        // The owner has its own limits; only the format's apply here.
        (limits.event_bytes, limits.tags) = (usize::MAX, usize::MAX);
        let limits = limits.within_format();
        let mut next = NextVersions { core: self, last, next: KeyMap::default() };
        let mut finder = CommittedKeyFinder::new(&self.keys);
        let mut all_keys =
            Vec::with_capacity(appends.iter().map(|append| append.events.len()).sum());
        let (mut position, mut time) = (last + 1, Timestamp::MIN);
        for append in appends {
            let CommittedAppend { first, commit_time, .. } = *append;
            if first < position {
                return Err(diverged(taken(first, position)));
            }
            if commit_time < time {
                return Err(diverged(too_early(first, commit_time, time)));
            }
            let end = first.checked_add(append.positions()).filter(|end| *end <= LAST_POSITION);
            position = end.ok_or_else(|| beyond_last(first))?;
            time = commit_time.checked()?;
            for event in &append.events {
                self.check_committed_event(event, &limits)?;
                let keys = finder.find(&event.stream, &event.event.event_type);
                next.check(event, &keys)?;
                all_keys.push(keys);
            }
            for (name, _) in &append.checkpoints {
                names::check_new("checkpoint", name)?;
            }
        }
        let changes = |append: &CommittedAppend| {
            let of_system = |event: &CommittedEvent| event.stream.starts_with(names::SYSTEM);
            !append.checkpoints.is_empty() || append.events.first().is_some_and(of_system)
        };
        if appends.iter().any(changes) {
            self.require_current_format()?;
        }
        Ok(all_keys)
    }

    fn check_committed_event(
        &self,
        event: &CommittedEvent,
        limits: &Limits,
    ) -> Result<(), Invalid> {
        let CommittedEvent { stream, event, event_time, .. } = event;
        names::check_system("stream", stream)?;
        names::check("event type", &event.event_type)?;
        event_time.checked()?;
        event.check_form(stream, limits)?;
        match event.id {
            Some(_) => Ok(()),
            None => {
                let message = format!("an event of stream {stream} has no id: the owner gives one");
                Err(Invalid::new("data_invalid", message))
            }
        }
    }

    /// Encodes an append of the owner that was checked, and whose events have these keys. It is to be written after
    /// a position.
    pub(super) fn committed_draft(
        &self,
        append: CommittedAppend,
        keys: impl Iterator<Item = CommittedKeys>,
        after: u64,
        run: Arc<Run>,
    ) -> CommittedDraft {
        let CommittedAppend { first, append_id, commit_time, events, checkpoints } = append;
        let bytes = |event: &CommittedEvent| {
            let length = leftfold_api::record::encoded_len(&event.stream, &event.event);
            length + EventHeader::SIZE
        };
        let bytes = events.iter().map(bytes).sum();
        let mut builder = DraftBuilder::new(self, Author::Owner, events.len(), bytes);
        let mut times = SmallVec::<[i64; 1]>::with_capacity(events.len());
        for (CommittedEvent { stream, version, event_time, event }, keys) in
            events.into_iter().zip(keys)
        {
            times.push(event_time.0);
            builder.event_of(stream, version, &event, keys);
        }
        let mut draft = builder.finish(append_id);
        for (event, time) in draft.events.iter_mut().zip(times) {
            event.default_time = Some(time);
        }
        let moved = |(name, to)| CheckpointMove { name, expected: None, to };
        draft.checkpoints = checkpoints.into_iter().map(moved).collect();
        CommittedDraft { draft: Box::new(draft), first, commit_time: commit_time.0, after, run }
    }
}

/// The next version of each stream of a call.
struct NextVersions<'a> {
    core: &'a Core,
    /// The last position of the copy.
    last: u64,
    next: KeyMap<u64>,
}

impl NextVersions<'_> {
    fn check(&mut self, event: &CommittedEvent, keys: &CommittedKeys) -> Result<(), AppendError> {
        let key = keys.stream.stream;
        let next = match self.next.entry(key) {
            Entry::Occupied(next) => next.into_mut(),
            Entry::Vacant(next) => next.insert(after(self.core.index.version(&key, self.last)?)),
        };
        if event.version != *next {
            return Err(diverged(wrong_version(&event.stream, event.version, *next)));
        }
        *next += 1;
        Ok(())
    }
}

fn after(version: Option<u64>) -> u64 {
    version.map_or(0, |version| version + 1)
}

fn diverged(message: String) -> AppendError {
    Failure::Diverged { message }.into()
}

fn taken(first: u64, next: u64) -> String {
    format!(
        "position {first} of a committed append was expected to be at least {next}: delete this copy"
    )
}

fn too_early(first: u64, found: Timestamp, last: Timestamp) -> String {
    format!(
        "the committed append at position {first} was expected to have a commit time from {last} on, found \
         {found}: delete this copy"
    )
}

fn wrong_version(stream: &str, found: u64, next: u64) -> String {
    format!(
        "the next version of stream {stream} was expected to be {next} in this copy, found {found} in what \
         the owner committed: delete this copy"
    )
}
