//! What is measured of a kind of connector.

use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;

/// What a measurement ends with.
pub(crate) type Measured<'a, T> = LocalBoxFuture<'a, anyhow::Result<T>>;
/// Starts the other side of a row, and fills its store.
pub(crate) type Prepare = fn(&Bench) -> Measured<'_, Box<dyn Row>>;

/// A row of the tables.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) name: &'static str,
    /// What the connector does, and what is done by hand.
    pub(crate) about: &'static str,
    pub(crate) prepare: Prepare,
}

/// A kind of connector, and the same by hand.
pub(crate) trait Row {
    /// Returns what is measured, in the order of the table.
    fn ways(&self) -> &'static [Way] {
        &[Way::Connector, Way::ByHand]
    }

    /// Moves all events; returns how many in a second.
    fn rate(&mut self, way: Way) -> Measured<'_, f64>;

    /// Moves single events, one after the other; returns how long each took. `None` if a row or way has no such thing.
    fn latencies(&mut self, _way: Way) -> Option<Measured<'_, Vec<Duration>>> {
        None
    }
}

/// How events get to the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// By a connector.
    Connector,
    /// By a short program of the same client library.
    ByHand,
    /// By Apache's `ProducerPerformance`, from memory.
    Apache,
}

impl Way {
    /// Returns its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Way::Connector => "connector",
            Way::ByHand => "by hand",
            Way::Apache => "ProducerPerformance",
        }
    }
}

/// The place and the size of the measurements.
pub(crate) struct Bench {
    pub(crate) home: PathBuf,
    pub(crate) size: Size,
}

/// The amount of work of a round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    /// The events that are sent to Kafka and to files.
    pub(crate) events: u64,
    /// The rows of an outbox, and the events that are sent to Redis and OpenSearch.
    pub(crate) rows: u64,
    /// The events that are sent to a web server.
    pub(crate) requests: u64,
    /// The events that are timed one after the other: a share of all that are timed in all rounds.
    pub(crate) singles: u64,
}

impl Size {
    /// Returns the full sizes times a scale.
    pub(crate) fn scaled(scale: f64, rounds: usize) -> Self {
        let scaled = |full: u64, least: u64| ((full as f64 * scale) as u64).max(least);
        Size {
            events: scaled(500_000, 1_000),
            rows: scaled(100_000, 1_000),
            requests: scaled(20_000, 200),
            singles: scaled(2_000, 0).div_ceil(rounds.max(1) as u64).max(20),
        }
    }
}
