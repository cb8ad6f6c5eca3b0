use std::collections::HashMap;
use std::sync::Arc;

use super::rules::{Rule, selects};
use super::streams::{StreamRetention, is_exempt, keeps_last_only};
use crate::embedded::core::Core;
use leftfold_api::{Failure, Field, Recorded};

/// The most streams that are cached while a page is read.
const MAX_STREAMS: usize = 10_000;

/// Which events are visible at one time, and which retention has dropped.
#[derive(Clone)]
pub(crate) struct Visibility {
    head: u64,
    now: i64,
    rules: Arc<Vec<Arc<Rule>>>,
    streams_limited: bool,
    streams: HashMap<String, StreamVisibility>,
}

/// Which events of a stream are visible.
#[derive(Clone, Copy)]
struct StreamVisibility {
    /// Earlier versions are dropped.
    first_kept: u64,
    /// Events with an earlier commit time are dropped.
    cutoff: i64,
}

impl Core {
    /// Returns the visibility now, up to a durable position.
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
    /// Whether only scavenged events are hidden.
    pub(crate) fn is_unlimited(&self, core: &Core) -> Result<bool, Failure> {
        Ok(self.is_unset() && !core.has_last_only(self.head)?)
    }

    /// Whether users have set no retention.
    fn is_unset(&self) -> bool {
        !self.streams_limited && self.rules.is_empty()
    }

    /// Whether an event is visible.
    pub(crate) fn shows(&mut self, core: &Core, event: &Recorded) -> Result<bool, Failure> {
        if event.is_scavenged() {
            return Ok(false);
        }
        let name = event.stream();
        if keeps_last_only(name) {
            return Ok(event.version() >= self.stream(core, name)?.first_kept);
        }
        if self.is_unset() || is_exempt(name) {
            return Ok(true);
        }
        let stream = self.stream(core, name)?;
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
        let visibility = self.load_stream(core, name)?;
        if self.streams.len() == MAX_STREAMS {
            self.streams.clear();
        }
        self.streams.insert(name.to_owned(), visibility);
        Ok(visibility)
    }

    fn load_stream(&self, core: &Core, name: &str) -> Result<StreamVisibility, Failure> {
        if keeps_last_only(name) {
            let last = core.index.version(&core.keys.of(Field::Stream, name), self.head)?;
            return Ok(StreamVisibility { first_kept: last.unwrap_or(0), cutoff: i64::MIN });
        }
        let nothing = StreamVisibility { first_kept: u64::MAX, cutoff: i64::MAX };
        let StreamRetention::Open(settings) = core.stream_state(name, self.head)?.retention else {
            return Ok(nothing);
        };
        let retention = settings.retention();
        let of_stream =
            |rule: &&Arc<Rule>| rule.retention.max_count.is_some() && selects(rule, name);
        let counting: Vec<_> = self.rules.iter().filter(of_stream).collect();
        let mut first_kept = retention.truncate_before.unwrap_or(0);
        if retention.max_count.is_some() || !counting.is_empty() {
            let key = core.keys.of(Field::Stream, name);
            let last = core.index.version(&key, self.head)?.unwrap_or(0);
            let all = counting.iter().map(|rule| rule.retention).chain([retention]);
            first_kept = all.map(|one| one.first_kept(last)).max().unwrap_or(first_kept);
        }
        Ok(StreamVisibility { first_kept, cutoff: retention.cutoff(self.now) })
    }
}
