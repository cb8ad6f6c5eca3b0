//! Where a connector is in the log of its server, as an event of a stream of its own: it is appended together with the events
//! before it.

use leftfold_api::{
    Append, AppendError, Conflict, EventStore, Expected, NewEvent, Query, Read, Retention, names,
};
use serde::{Deserialize, Serialize};

use super::lsn::Lsn;
use crate::connectors::ConnectorError;

const EVENT_TYPE: &str = "leftfold.LogRead";

/// Where a connector is in the log of its server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// The identifier of the cluster of databases.
    pub(super) system: String,
    /// It grows when a standby is promoted or a backup is restored: the log is then another one from some position on.
    pub(super) timeline: String,
    pub(super) slot: String,
    /// Whether the rows from before the slot are in the store.
    pub(super) is_loaded: bool,
    /// What was committed before the slot, as PostgreSQL writes a snapshot; `None` before there is a slot, and when those rows
    /// are in the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) snapshot: Option<String>,
    /// All rows that were committed before it are in the store.
    pub(super) lsn: Lsn,
    /// What the store has of the transaction behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) part: Option<Part>,
}

/// What the store has of a transaction that is larger than a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    /// Where the transaction was committed.
    pub(super) commit: Lsn,
    /// The number of its first rows that the store has.
    pub(super) rows: u64,
}

impl Place {
    /// Returns the place of a connector that is about to make its slot.
    pub(super) fn before_slot(system: &str, timeline: &str, slot: String) -> Self {
        Place {
            system: system.to_owned(),
            timeline: timeline.to_owned(),
            slot,
            is_loaded: false,
            snapshot: None,
            lsn: Lsn::default(),
            part: None,
        }
    }
}

/// The stream with the place of a connector. Only its last event counts, and is kept.
pub(super) struct PlaceStream {
    name: String,
    version: Option<u64>,
    /// Whether this run has set that only the last event is kept.
    is_trimmed: bool,
}

impl PlaceStream {
    /// Reads the stream of a connector, and its place; `None` before the first.
    pub(super) async fn load(
        store: &impl EventStore,
        progress: &str,
    ) -> Result<(Self, Option<Place>), ConnectorError> {
        let name = format!("{}-{progress}", names::INGESTED);
        let page = store.read(Read::backward(Query::stream(name.clone())).limit(1)).await?;
        let last = page.events.first();
        let place = last.map(|event| {
            serde_json::from_slice(&event.data()).map_err(|_| {
                ConnectorError::unusable(format!(
                    "the stream {name} has no place that this release writes"
                ))
            })
        });
        let version = last.map(|event| event.version());
        Ok((PlaceStream { name, version, is_trimmed: false }, place.transpose()?))
    }

    /// Adds a place to an append, on condition that no other run has moved it.
    pub(super) fn add_to(&self, append: Append, place: &Place) -> Append {
        let data = serde_json::to_vec(place).unwrap_or_default();
        let expected = self.version.map_or(Expected::NoStream, Expected::Exactly);
        append.event(&self.name, NewEvent::json(EVENT_TYPE, data)).expect(&self.name, expected)
    }

    /// Notes that an append with a place is stored.
    pub(super) async fn moved(&mut self, store: &impl EventStore) -> Result<(), ConnectorError> {
        self.version = Some(self.version.map_or(0, |version| version.saturating_add(1)));
        if !std::mem::replace(&mut self.is_trimmed, true) {
            store.set_retention(&self.name, Retention::default().max_count(1)).await?;
        }
        Ok(())
    }

    /// Appends a place alone.
    pub(super) async fn store(
        &mut self,
        store: &impl EventStore,
        place: &Place,
    ) -> Result<(), ConnectorError> {
        match store.append(self.add_to(Append::new(), place)).await {
            Ok(_) => self.moved(store).await,
            // An earlier run may still have appended: the next attempt goes on behind that.
            Err(AppendError::Conflict(Conflict::Version { .. })) => {
                Err(ConnectorError::unavailable(format!(
                    "another run of this connector has moved the place in {}",
                    self.name
                )))
            }
            Err(error) => Err(error.into()),
        }
    }
}
