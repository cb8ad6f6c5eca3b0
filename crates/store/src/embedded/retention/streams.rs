//! What is kept of single streams.

use leftfold_index::Key;

use super::change::{CATEGORY_OF_STREAMS, STREAM_RETENTION, STREAM_TOMBSTONED};
use crate::embedded::core::Core;
use leftfold_api::names;
use leftfold_api::{
    Append, AppendError, Conflict, Expected, Failure, Field, NewEvent, Recorded, Retention,
};

/// The retention of a stream of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamRetention {
    /// The stream is open; it keeps what this says.
    Open(Retention),
    /// The stream was closed with a tombstone: it has no events, for ever.
    Tombstoned,
}

/// What was said last of a stream, and how often something was said of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StreamState {
    pub(crate) kept: StreamRetention,
    /// The version of what says so; none if nothing was ever said.
    version: Option<u64>,
}

impl Default for StreamRetention {
    fn default() -> Self {
        StreamRetention::Open(Retention::default())
    }
}

impl StreamRetention {
    fn of(event: &Recorded) -> Result<StreamRetention, Failure> {
        let (position, data) = (event.position(), event.data());
        let text = std::str::from_utf8(&data).ok();
        match event.event_type() {
            STREAM_TOMBSTONED => Ok(StreamRetention::Tombstoned),
            STREAM_RETENTION => match text.and_then(|text| text.parse().ok()) {
                Some(retention) => Ok(StreamRetention::Open(retention)),
                None => Err(Failure::Record { position, what: "it is no retention" }),
            },
            _ => Err(Failure::Record { position, what: "its type is not known" }),
        }
    }

    pub(crate) fn retention(self) -> Retention {
        match self {
            StreamRetention::Open(retention) => retention,
            StreamRetention::Tombstoned => Retention::default(),
        }
    }
}

fn stream_about(stream: &str) -> String {
    format!("{CATEGORY_OF_STREAMS}-{stream}")
}

impl Core {
    /// What is kept of a stream, as was said at or before a position.
    pub(crate) fn stream_state(&self, stream: &str, upto: u64) -> Result<StreamState, Failure> {
        if !self.definitions.are_streams_limited() || stream.starts_with(names::SYSTEM) {
            return Ok(StreamState { kept: StreamRetention::default(), version: None });
        }
        let key = self.keys.of(Field::Stream, &stream_about(stream));
        let Some(version) = self.index.version(&key, upto)? else {
            return Ok(StreamState { kept: StreamRetention::default(), version: None });
        };
        if let Some((known, kept)) = self.definitions.retention.get(&key)
            && known == version
        {
            return Ok(StreamState { kept, version: Some(version) });
        }
        let kept = self.last_said(&key, version, upto)?;
        self.definitions.retention.insert(key, (version, kept));
        Ok(StreamState { kept, version: Some(version) })
    }

    /// What the last event that was not lost says.
    fn last_said(&self, key: &Key, version: u64, upto: u64) -> Result<StreamRetention, Failure> {
        for version in (0..=version).rev() {
            let Some(position) = self.index.set.load().nth(key, version, upto)? else {
                let what = "what is kept of a stream is not found";
                return Err(Failure::Record { position: upto, what });
            };
            let event = self.event_at(position)?;
            if !event.is_lost() {
                return StreamRetention::of(&event);
            }
        }
        Ok(StreamRetention::default())
    }

    /// The append that says what is kept of a stream. It fails as a conflict if something else was
    /// said meanwhile.
    pub(crate) fn retention_append(
        &self,
        stream: &str,
        wanted: Retention,
    ) -> Result<Append, AppendError> {
        wanted.check()?;
        self.say(stream, NewEvent::new(STREAM_RETENTION, wanted.to_string()))
    }

    /// The append that deletes the events that a stream has now; it expects the stream as it is.
    pub(crate) fn deletion(&self, stream: &str, expected: Expected) -> Result<Append, AppendError> {
        names::check_new("stream", stream)?;
        let head = self.log.head().position;
        let version = self.index.version(&self.keys.of(Field::Stream, stream), head)?;
        let expected = if expected == Expected::Any { Expected::Exists } else { expected };
        let (true, Some(version)) = (expected.holds(version), version) else {
            let (stream, actual) = (stream.to_owned(), version);
            let expected = if expected.holds(version) { Expected::Exists } else { expected };
            return Err(Conflict::Version { stream, expected, actual }.into());
        };
        let kept = self.stream_state(stream, head)?.kept.retention();
        let append = self.retention_append(stream, kept.truncate_before(version + 1))?;
        Ok(append.expect(stream, Expected::Exactly(version)))
    }

    /// The append that closes a stream for ever.
    pub(crate) fn tombstone(
        &self,
        stream: &str,
        expected: Expected,
    ) -> Result<Append, AppendError> {
        let append = self.say(stream, NewEvent::new(STREAM_TOMBSTONED, ""))?;
        Ok(match expected {
            Expected::Any => append,
            expected => append.expect(stream, expected),
        })
    }

    fn say(&self, stream: &str, event: NewEvent) -> Result<Append, AppendError> {
        names::check_new("stream", stream)?;
        let state = self.stream_state(stream, self.log.head().position)?;
        if state.kept == StreamRetention::Tombstoned {
            return Err(Conflict::Tombstoned { stream: stream.to_owned() }.into());
        }
        let about = stream_about(stream);
        let expected = state.version.map_or(Expected::NoStream, Expected::Exactly);
        let event = NewEvent { content_type: "text/plain".to_owned(), ..event };
        Ok(Append::new().event(&about, event).expect(about, expected))
    }

    /// Whether anything was ever said of what is kept of a stream.
    pub(crate) fn find_limited_streams(&self) -> Result<(), Failure> {
        let category = self.keys.of(Field::Category, CATEGORY_OF_STREAMS);
        if self.index.set.load().last(&category, self.log.head().position)?.is_some() {
            self.definitions.limit_streams();
        }
        Ok(())
    }
}

/// The streams of the store itself have no retention, but for what was only written down: who did
/// what falls under rules as any stream does.
pub(crate) fn is_kept_for_ever(stream: &str) -> bool {
    stream.starts_with(names::SYSTEM) && names::category_of(stream) != names::AUDIT
}
