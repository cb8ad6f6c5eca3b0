use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use leftfold_api::record::EventHeader;
use leftfold_api::{
    AppendError, CheckpointMove, Failure, Field, Invalid, Limits, Timestamp, names,
};
use leftfold_index::PostingWriter;
use leftfold_log::Slot;

use super::{LAST_POSITION, beyond_last};
use crate::committed::{CommittedAppend, CommittedEvent};
use crate::embedded::core::Core;
use crate::embedded::draft::{Author, Draft, DraftBuilder};

/// An append of the owner on its way to the log.
pub(crate) struct CommittedDraft {
    /// Its streams have the version before it.
    pub(crate) draft: Box<Draft>,
    pub(crate) first: u64,
    pub(crate) commit_time: i64,
    run: Arc<Run>,
}

/// The appends of one call: after the first that is refused, all are.
#[derive(Default)]
pub(crate) struct Run(OnceLock<String>);

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
        if let Some(failed) = self.run.0.get() {
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
        for stream in &self.draft.streams {
            let last = adding.last(&stream.keys.stream).map(|(version, _)| version);
            let (next, version) = (after(last.or(stream.version)), after(stream.version));
            if next != version {
                return Err(wrong_version(&stream.name, version, next));
            }
        }
        Ok(())
    }

    /// Lets the rest of the call be refused.
    pub(crate) fn fail(&self, message: &str) {
        self.run.0.get_or_init(|| message.to_owned());
    }
}

impl Core {
    /// Checks appends of the owner against this copy, before any of them is written.
    pub(super) fn check_committed(&self, appends: &[CommittedAppend]) -> Result<(), AppendError> {
        let mut limits = Limits::default();
        // The owner has its own limits; only the format's apply here.
        (limits.event_bytes, limits.tags) = (usize::MAX, usize::MAX);
        let limits = limits.within_format();
        let mut next = NextVersions { core: self, next: HashMap::new() };
        let (mut position, mut time) = (self.last_known() + 1, Timestamp::MIN);
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
                next.check(event)?;
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
        Ok(())
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

    /// Encodes an append of the owner that was checked.
    pub(super) fn committed_draft(&self, append: CommittedAppend, run: Arc<Run>) -> CommittedDraft {
        let CommittedAppend { first, append_id, commit_time, events, checkpoints } = append;
        let bytes = |event: &CommittedEvent| {
            let length = leftfold_api::record::encoded_len(&event.stream, &event.event);
            length + EventHeader::SIZE
        };
        let bytes = events.iter().map(bytes).sum();
        let mut builder = DraftBuilder::new(self, Author::Owner, events.len(), bytes);
        let mut times = Vec::with_capacity(events.len());
        for CommittedEvent { stream, version, event_time, event } in events {
            times.push(event_time.0);
            builder.event_of(stream, version, &event);
        }
        let mut draft = builder.finish(append_id);
        for (event, time) in draft.events.iter_mut().zip(times) {
            event.default_time = Some(time);
        }
        let moved = |(name, to)| CheckpointMove { name, expected: None, to };
        draft.checkpoints = checkpoints.into_iter().map(moved).collect();
        CommittedDraft { draft: Box::new(draft), first, commit_time: commit_time.0, run }
    }
}

/// The next version of each stream of a call.
struct NextVersions<'a> {
    core: &'a Core,
    next: HashMap<&'a str, u64>,
}

impl<'a> NextVersions<'a> {
    fn check(&mut self, event: &'a CommittedEvent) -> Result<(), AppendError> {
        let stream = event.stream.as_str();
        let next = match self.next.get_mut(stream) {
            Some(next) => next,
            None => {
                let key = self.core.keys.of(Field::Stream, stream);
                let last = self.core.index.version(&key, self.core.last_known())?;
                self.next.entry(stream).or_insert(after(last))
            }
        };
        if event.version != *next {
            return Err(diverged(wrong_version(stream, event.version, *next)));
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
