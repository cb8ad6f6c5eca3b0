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
    /// The stream is open, with these settings.
    Open(StreamSettings),
    /// The stream has a tombstone: its events are deleted and it takes no more.
    Tombstoned,
}

/// What was set for an open stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct StreamSettings {
    /// The retention that a user has set.
    retention: Retention,
    /// Earlier versions were deleted; a later retention does not bring them back.
    deleted_before: u64,
}

impl StreamSettings {
    /// The name of the deletion in the form of the log, beside those of [`Retention`].
    const DELETED: &str = "deleted_before=";

    /// Returns the retention that holds: the set one and the deletion.
    pub(crate) fn retention(self) -> Retention {
        let deleted = Some(self.deleted_before).filter(|version| *version > 0);
        let truncate_before = self.retention.truncate_before.max(deleted);
        Retention { truncate_before, ..self.retention }
    }

    fn read(text: &str) -> Option<Self> {
        let (mut rest, mut deleted_before) = (String::new(), 0);
        for line in text.lines() {
            match line.strip_prefix(Self::DELETED) {
                Some(version) => deleted_before = version.parse().ok()?,
                None => rest.extend([line, "\n"]),
            }
        }
        Some(StreamSettings { retention: rest.parse().ok()?, deleted_before })
    }

    fn text(self) -> String {
        let deleted = match self.deleted_before {
            0 => String::new(),
            version => format!("{}{version}\n", Self::DELETED),
        };
        format!("{}{deleted}", self.retention)
    }
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
        StreamRetention::Open(StreamSettings::default())
    }
}

impl StreamRetention {
    /// Reads the retention that an event of a settings stream sets.
    fn of(event: &Recorded) -> Result<StreamRetention, Failure> {
        let (position, data) = (event.position(), event.data());
        let text = std::str::from_utf8(&data).unwrap_or_default();
        let what = match event.event_type() {
            STREAM_TOMBSTONED | STREAM_RETENTION => "its data is not a retention setting",
            _ => "it is in a settings stream, but its type is unknown",
        };
        let read = read_stream_retention(event.event_type(), text);
        read.ok_or(Failure::Record { position, what })
    }

    /// Returns the settings; nothing is set for a stream with a tombstone.
    pub(crate) fn settings(self) -> StreamSettings {
        match self {
            StreamRetention::Open(settings) => settings,
            StreamRetention::Tombstoned => StreamSettings::default(),
        }
    }
}

/// Reads the retention that an event of a settings stream sets, from its parts. `None` if it sets none.
pub(crate) fn read_stream_retention(event_type: &str, text: &str) -> Option<StreamRetention> {
    match event_type {
        STREAM_TOMBSTONED => Some(StreamRetention::Tombstoned),
        STREAM_RETENTION => StreamSettings::read(text).map(StreamRetention::Open),
        _ => None,
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

    /// Returns the retention that the last event of a settings stream sets, skipping placeholders.
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
            // Settings are never scavenged, but placeholders have the mark of it.
            if !event.is_scavenged() {
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
        self.settings_append(stream, |settings| {
            let settings = StreamSettings { retention: wanted, ..settings };
            NewEvent::new(STREAM_RETENTION, settings.text())
        })
    }

    /// Returns the append that deletes the current events of a stream. It expects the current version.
    pub(crate) fn deletion(&self, stream: &str, expected: Expected) -> Result<Append, AppendError> {
        names::check_new("stream", stream)?;
        let head = self.log.head().position;
        let version = self.index.version(&self.keys.of(Field::Stream, stream), head)?;
        let (true, Some(version)) = (expected.holds(version), version) else {
            let (stream, actual) = (stream.to_owned(), version);
            // There is nothing to delete, even if the stream was expected to have no events.
            let expected = if expected.holds(version) { Expected::Any } else { expected };
            return Err(Conflict::Version { stream, expected, actual }.into());
        };
        // Earlier releases do not know deletions.
        self.require_current_format()?;
        let append = self.settings_append(stream, |settings| {
            let settings = StreamSettings { deleted_before: version + 1, ..settings };
            NewEvent::new(STREAM_RETENTION, settings.text())
        })?;
        Ok(append.expect(stream, Expected::Exactly(version)))
    }

    /// Returns the append that puts a tombstone on a stream.
    pub(crate) fn tombstone(
        &self,
        stream: &str,
        expected: Expected,
    ) -> Result<Append, AppendError> {
        let append = self.settings_append(stream, |_| NewEvent::new(STREAM_TOMBSTONED, ""))?;
        Ok(match expected {
            Expected::Any => append,
            expected => append.expect(stream, expected),
        })
    }

    /// Returns an append to the settings stream of a stream.
    fn settings_append(
        &self,
        stream: &str,
        event: impl Fn(StreamSettings) -> NewEvent,
    ) -> Result<Append, AppendError> {
        names::check_new("stream", stream)?;
        let state = self.stream_state(stream, self.log.head().position)?;
        if state.retention == StreamRetention::Tombstoned {
            return Err(Conflict::Tombstoned { stream: stream.to_owned() }.into());
        }
        let settings = settings_stream(stream);
        let expected = state.version.map_or(Expected::NoStream, Expected::Exactly);
        let event = event(state.retention.settings());
        let event = NewEvent { content_type: "text/plain".to_owned(), ..event };
        Ok(Append::new().event(&settings, event).expect(settings, expected))
    }

    /// Whether there may be a stream of which only the last event is kept.
    pub(super) fn has_last_only(&self, head: u64) -> Result<bool, Failure> {
        let category = self.keys.of(Field::Category, names::KAFKA);
        Ok(self.index.set.load().last(&category, head)?.is_some())
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

/// Whether a stream is exempt from the retention that users set: all system streams are, except audit streams.
pub(crate) fn is_exempt(stream: &str) -> bool {
    stream.starts_with(names::SYSTEM) && names::category_of(stream) != names::AUDIT
}

/// Whether only the last event of a stream is visible and kept, without any setting. Each event of such a
/// stream replaces all earlier ones.
pub(crate) fn keeps_last_only(stream: &str) -> bool {
    stream.starts_with(names::KAFKA) && names::category_of(stream) == names::KAFKA
}
