use std::collections::HashMap;
use std::sync::Arc;

use super::rules::{Rule, selects};
use super::streams::{StreamRetention, is_kept_for_ever};
use crate::embedded::core::Core;
use leftfold_api::{Failure, Field, Recorded};

/// So many streams' answers are remembered while a page is read.
const REMEMBERED: usize = 10_000;

/// What can be seen at a moment: which events retention has dropped.
#[derive(Clone)]
pub(crate) struct Visibility {
    head: u64,
    now: i64,
    rules: Arc<Vec<Arc<Rule>>>,
    streams_limited: bool,
    streams: HashMap<String, StreamVisibility>,
}

/// What can be seen of a stream.
#[derive(Clone, Copy)]
struct StreamVisibility {
    first_kept: u64,
    cutoff: i64,
}

impl Core {
    /// What can be seen now, up to a durable position.
    pub(crate) fn visibility(&self, head: u64) -> Visibility {
        Visibility {
            head,
            now: self.clock.now_micros(),
            rules: self.definitions.rules.load_full(),
            streams_limited: self.definitions.are_streams_limited(),
            streams: HashMap::new(),
        }
    }
}

impl Visibility {
    /// Whether nothing can be hidden but what was scavenged.
    pub(crate) fn is_unlimited(&self) -> bool {
        !self.streams_limited && self.rules.is_empty()
    }

    /// Whether an event is still wanted.
    pub(crate) fn shows(&mut self, core: &Core, event: &Recorded) -> Result<bool, Failure> {
        if event.is_scavenged() {
            return Ok(false);
        }
        if self.is_unlimited() || is_kept_for_ever(event.stream()) {
            return Ok(true);
        }
        let stream = self.stream(core, event.stream())?;
        let commit = event.commit_time().0;
        if event.version() < stream.first_kept || commit < stream.cutoff {
            return Ok(false);
        }
        let too_old = |rule: &Arc<Rule>| {
            commit < rule.retention.cutoff(self.now) && rule.query.matches(event)
        };
        Ok(!self.rules.iter().any(too_old))
    }

    fn stream(&mut self, core: &Core, name: &str) -> Result<StreamVisibility, Failure> {
        if let Some(visibility) = self.streams.get(name) {
            return Ok(*visibility);
        }
        let visibility = self.look_at(core, name)?;
        if self.streams.len() == REMEMBERED {
            self.streams.clear();
        }
        self.streams.insert(name.to_owned(), visibility);
        Ok(visibility)
    }

    fn look_at(&self, core: &Core, name: &str) -> Result<StreamVisibility, Failure> {
        let nothing = StreamVisibility { first_kept: u64::MAX, cutoff: i64::MAX };
        let StreamRetention::Open(kept) = core.stream_state(name, self.head)?.kept else {
            return Ok(nothing);
        };
        let of_stream =
            |rule: &&Arc<Rule>| rule.retention.max_count.is_some() && selects(rule, name);
        let counting: Vec<_> = self.rules.iter().filter(of_stream).collect();
        let mut first_kept = kept.truncate_before.unwrap_or(0);
        if kept.max_count.is_some() || !counting.is_empty() {
            let key = core.keys.of(Field::Stream, name);
            let last = core.index.version(&key, self.head)?.unwrap_or(0);
            let all = counting.iter().map(|rule| rule.retention).chain([kept]);
            first_kept = all.map(|one| one.first_kept(last)).max().unwrap_or(first_kept);
        }
        Ok(StreamVisibility { first_kept, cutoff: kept.cutoff(self.now) })
    }
}
