//! Definitions as facts: each connector has a stream that says what it is.

use leftfold_api::{NewEvent, Recorded, names};
use serde::{Deserialize, Serialize};

/// The category of the streams with the definitions of connectors.
pub(super) const CATEGORY: &str = names::CONNECTORS;

/// Where an outgoing connector begins.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ConnectorStart {
    /// With the first event of its query.
    #[default]
    Beginning,
    /// With the first event after this cursor.
    After(String),
}

/// A fact about a connector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "lowercase")]
pub(super) enum ConnectorFact {
    /// It is there, or has another definition.
    Defined {
        /// The text of its file.
        text: String,
        /// What it connects with: another kind begins anew.
        kind: String,
        start: ConnectorStart,
    },
    Paused,
    Resumed,
    /// It begins anew.
    Reset,
    Removed,
}

impl ConnectorFact {
    pub(super) fn event(&self) -> NewEvent {
        let event_type = match self {
            ConnectorFact::Defined { .. } => "leftfold.ConnectorDefined",
            ConnectorFact::Paused => "leftfold.ConnectorPaused",
            ConnectorFact::Resumed => "leftfold.ConnectorResumed",
            ConnectorFact::Reset => "leftfold.ConnectorReset",
            ConnectorFact::Removed => "leftfold.ConnectorRemoved",
        };
        NewEvent::json(event_type, serde_json::to_vec(self).unwrap_or_default())
    }

    pub(super) fn of(event: &Recorded) -> Option<Self> {
        serde_json::from_slice(&event.data()).ok()
    }
}

/// Returns the stream of a connector.
pub(super) fn stream_of(connector: &str) -> String {
    format!("{CATEGORY}-{connector}")
}

/// What the last definition of a connector says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Defined {
    pub(super) text: String,
    pub(super) kind: String,
    pub(super) start: ConnectorStart,
    /// The version of the fact from which on it keeps its place: of its first definition, of that of another kind, or of
    /// the last reset.
    pub(super) generation: u64,
}

/// What the facts of a connector's stream say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct ConnectorState {
    /// `None` if it was removed.
    pub(super) defined: Option<Defined>,
    pub(super) is_paused: bool,
    /// The version of the last fact.
    pub(super) version: u64,
}

impl ConnectorState {
    /// Folds a fact in.
    pub(super) fn apply(&mut self, version: u64, fact: ConnectorFact) {
        self.version = version;
        match fact {
            ConnectorFact::Defined { text, kind, start } => {
                let before = self.defined.take().filter(|before| before.kind == kind);
                let generation = before.map_or(version, |before| before.generation);
                self.defined = Some(Defined { text, kind, start, generation });
            }
            ConnectorFact::Reset => {
                if let Some(defined) = &mut self.defined {
                    defined.generation = version;
                }
            }
            ConnectorFact::Paused => self.is_paused = true,
            ConnectorFact::Resumed => self.is_paused = false,
            ConnectorFact::Removed => (self.defined, self.is_paused) = (None, false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connector_keeps_its_place_until_it_is_reset_or_of_another_kind() {
        let defined = |kind: &str| ConnectorFact::Defined {
            text: kind.to_owned(),
            kind: kind.to_owned(),
            start: ConnectorStart::Beginning,
        };
        let facts = [
            (defined("http"), Some(0)),
            (defined("http"), Some(0)),
            (ConnectorFact::Paused, Some(0)),
            (ConnectorFact::Reset, Some(3)),
            (ConnectorFact::Resumed, Some(3)),
            (defined("http"), Some(3)),
            (defined("kafka"), Some(6)),
            (ConnectorFact::Removed, None),
            (defined("kafka"), Some(8)),
        ];
        let mut state = ConnectorState::default();
        for (version, (fact, generation)) in (0..).zip(facts) {
            state.apply(version, fact);
            let found = state.defined.as_ref().map(|defined| defined.generation);
            assert_eq!(found, generation, "{version}");
        }
    }
}
