//! The next offset of a partition, as an event of a stream of its own: it is appended together with the events before it.

use leftfold_api::{
    Append, AppendError, Conflict, EventStore, Expected, NewEvent, Query, Read, Retention, names,
};
use leftfold_kafka::Partition;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::connectors::ConnectorError;

const EVENT_TYPE: &str = "leftfold.OffsetRead";

/// The stream with the next offset of a partition. Only its last event counts, and is kept.
pub(super) struct OffsetStream {
    name: String,
    topic: Uuid,
    version: Option<u64>,
    next: Option<i64>,
    /// Whether this run has set that only the last event is kept.
    is_trimmed: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct OffsetRead {
    /// The id of the topic. Another topic of the same name has another one.
    topic: String,
    /// The next offset.
    next: i64,
}

impl OffsetStream {
    /// Reads the stream of a connector's partition.
    ///
    /// # Errors
    /// It can't be read, or is of another topic.
    pub(super) async fn load(
        store: &impl EventStore,
        progress: &str,
        partition: &Partition,
        topic: Uuid,
    ) -> Result<Self, ConnectorError> {
        let name = format!("{}-{progress}-{}", names::INGESTED, partition.number);
        let read = Read::backward(Query::stream(name.clone())).limit(1);
        let page = store.read(read).await?;
        let last = page.events.first();
        let (mut version, mut next) = (None, None);
        if let Some(event) = last {
            let found: OffsetRead = serde_json::from_slice(&event.data()).map_err(|_| {
                ConnectorError::unusable(format!(
                    "the stream {name} has no offset that this release writes"
                ))
            })?;
            if found.topic != topic.to_string() {
                return Err(ConnectorError::unusable(format!(
                    "the connector has read another topic named {}, which was deleted since: reset the connector to \
                     read this one from its beginning",
                    partition.topic
                )));
            }
            (version, next) = (Some(event.version()), Some(found.next));
        }
        Ok(OffsetStream { name, topic, version, next, is_trimmed: false })
    }

    /// Returns the next offset; `None` before the first.
    pub(super) fn next(&self) -> Option<i64> {
        self.next
    }

    /// Adds the next offset to an append, on condition that no other run has moved it.
    pub(super) fn add_to(&self, append: Append, next: i64) -> Append {
        let moved = OffsetRead { topic: self.topic.to_string(), next };
        let data = serde_json::to_vec(&moved).unwrap_or_default();
        let expected = self.version.map_or(Expected::NoStream, Expected::Exactly);
        append.event(&self.name, NewEvent::json(EVENT_TYPE, data)).expect(&self.name, expected)
    }

    /// Notes that an append with this offset is stored.
    pub(super) async fn moved(
        &mut self,
        store: &impl EventStore,
        next: i64,
    ) -> Result<(), ConnectorError> {
        self.version = Some(self.version.map_or(0, |version| version + 1));
        self.next = Some(next);
        if !std::mem::replace(&mut self.is_trimmed, true) {
            store.set_retention(&self.name, Retention::default().max_count(1)).await?;
        }
        Ok(())
    }

    /// Returns the error of an append.
    pub(super) fn failed(&self, error: AppendError) -> ConnectorError {
        match self.is_overtaken(&error) {
            // An earlier run may still have appended: the next attempt goes on behind that.
            true => ConnectorError::unavailable(format!(
                "another run of this connector has moved the offset in {}",
                self.name
            )),
            false => error.into(),
        }
    }

    /// Whether an append was refused because of its events, not because of the offset or the store.
    pub(super) fn is_of_events(&self, error: &AppendError) -> bool {
        !matches!(error, AppendError::Failure(_)) && !self.is_overtaken(error)
    }

    fn is_overtaken(&self, error: &AppendError) -> bool {
        matches!(error, AppendError::Conflict(Conflict::Version { stream, .. }) if *stream == self.name)
    }
}
