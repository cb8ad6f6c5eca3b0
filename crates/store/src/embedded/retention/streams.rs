//! The retention of single streams.

use leftfold_index::Key;

use super::change::{CATEGORY_OF_STREAMS, STREAM_RETENTION, STREAM_TOMBSTONED};
use crate::embedded::core::Core;
use leftfold_api::names;
use leftfold_api::{
    Append, AppendError, Conflict, Expected, Failure, Field, NewEvent, Recorded, Retention,
};

/// The state of a stream's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamRetention {
    /// The stream is open, with this retention.
    Open(Retention),
    /// The stream has a tombstone: its events are deleted and it takes no more.
    Tombstoned,
}

/// The retention of a stream, and the version of its settings stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct StreamState {
    pub(crate) retention: StreamRetention,
    /// The version of the event that sets the retention; `None` if it was never set.
    version: Option<u64>,
}

impl Default for StreamRetention {
    fn default() -> Self {
        StreamRetention::Open(Retention::default())
    }
}

impl StreamRetention {
    /// Reads the retention that an event of a settings stream sets.
    fn of(event: &Recorded) -> Result<StreamRetention, Failure> {
        let (position, data) = (event.position(), event.data());
        let text = std::str::from_utf8(&data).ok();
        match event.event_type() {
            STREAM_TOMBSTONED => Ok(StreamRetention::Tombstoned),
            STREAM_RETENTION => match text.and_then(|text| text.parse().ok()) {
                Some(retention) => Ok(StreamRetention::Open(retention)),
                None => {
                    Err(Failure::Record { position, what: "its data is not a retention setting" })
                }
            },
            _ => Err(Failure::Record {
                position,
                what: "it is in a settings stream, but its type is unknown",
            }),
        }
    }

    /// Returns the retention; nothing is set for a stream with a tombstone.
    pub(crate) fn settings(self) -> Retention {
        match self {
            StreamRetention::Open(retention) => retention,
            StreamRetention::Tombstoned => Retention::default(),
        }
    }
}

/// Returns the name of the stream that holds the settings of a stream.
fn settings_stream(stream: &str) -> String {
    format!("{CATEGORY_OF_STREAMS}-{stream}")
}

impl Core {
    /// Returns the retention of a stream at a position.
    pub(crate) fn stream_state(&self, stream: &str, upto: u64) -> Result<StreamState, Failure> {
        if !self.definitions.are_streams_limited() || stream.starts_with(names::SYSTEM) {
            return Ok(StreamState::default());
        }
        let key = self.keys.of(Field::Stream, &settings_stream(stream));
        let Some(version) = self.index.version(&key, upto)? else {
            return Ok(StreamState::default());
        };
        if let Some((known, retention)) = self.definitions.retention.get(&key)
            && known == version
        {
            return Ok(StreamState { retention, version: Some(version) });
        }
        let retention = self.last_retention(&key, version, upto)?;
        self.definitions.retention.insert(key, (version, retention));
        Ok(StreamState { retention, version: Some(version) })
    }

    /// Returns the retention that the last event of a settings stream sets, skipping lost events.
    fn last_retention(
        &self,
        key: &Key,
        version: u64,
        upto: u64,
    ) -> Result<StreamRetention, Failure> {
        for version in (0..=version).rev() {
            let Some(position) = self.index.set.load().nth(key, version, upto)? else {
                let what = "the index does not list the retention setting of a stream";
                return Err(Failure::Record { position: upto, what });
            };
            let event = self.event_at(position)?;
            if !event.is_lost() {
                return StreamRetention::of(&event);
            }
        }
        Ok(StreamRetention::default())
    }

    /// Returns the append that sets the retention of a stream. It conflicts if another setting comes first.
    pub(crate) fn retention_append(
        &self,
        stream: &str,
        wanted: Retention,
    ) -> Result<Append, AppendError> {
        wanted.check()?;
        self.settings_append(stream, NewEvent::new(STREAM_RETENTION, wanted.to_string()))
    }

    /// Returns the append that deletes the current events of a stream. It expects the current version.
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
        let retention = self.stream_state(stream, head)?.retention.settings();
        let append = self.retention_append(stream, retention.truncate_before(version + 1))?;
        Ok(append.expect(stream, Expected::Exactly(version)))
    }

    /// Returns the append that puts a tombstone on a stream.
    pub(crate) fn tombstone(
        &self,
        stream: &str,
        expected: Expected,
    ) -> Result<Append, AppendError> {
        let append = self.settings_append(stream, NewEvent::new(STREAM_TOMBSTONED, ""))?;
        Ok(match expected {
            Expected::Any => append,
            expected => append.expect(stream, expected),
        })
    }

    /// Returns an append to the settings stream of a stream.
    fn settings_append(&self, stream: &str, event: NewEvent) -> Result<Append, AppendError> {
        names::check_new("stream", stream)?;
        let state = self.stream_state(stream, self.log.head().position)?;
        if state.retention == StreamRetention::Tombstoned {
            return Err(Conflict::Tombstoned { stream: stream.to_owned() }.into());
        }
        let settings = settings_stream(stream);
        let expected = state.version.map_or(Expected::NoStream, Expected::Exactly);
        let event = NewEvent { content_type: "text/plain".to_owned(), ..event };
        Ok(Append::new().event(&settings, event).expect(settings, expected))
    }

    /// Notes at opening whether any stream has settings.
    pub(crate) fn load_stream_limits(&self) -> Result<(), Failure> {
        let category = self.keys.of(Field::Category, CATEGORY_OF_STREAMS);
        if self.index.set.load().last(&category, self.log.head().position)?.is_some() {
            self.definitions.limit_streams();
        }
        Ok(())
    }
}

/// Whether a stream is exempt from retention: all system streams are, except audit streams.
pub(crate) fn is_exempt(stream: &str) -> bool {
    stream.starts_with(names::SYSTEM) && names::category_of(stream) != names::AUDIT
}
