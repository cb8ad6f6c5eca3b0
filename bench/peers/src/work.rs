//! The workloads, and the data set for reads.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::system::{DataSetEvent, Event};

/// The bytes of an event's payload.
pub(crate) const PAYLOAD: usize = 256;
/// The events of a batch, and of a stream that is read.
pub(crate) const HUNDRED: usize = 100;
/// The number of streams, which all appenders of a workload share out.
pub(crate) const STREAMS: usize = 1_024;
/// The streams of a contiguous category, so that a category query yields a thousand events.
pub(crate) const CATEGORY_STREAMS: usize = 10;
/// The events with the same tag in the data set.
const OWNED: usize = 100;

/// A workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Work {
    /// Cold reads of streams of a hundred adjacent events.
    ColdContiguous,
    /// Cold reads of streams whose events are far apart.
    ColdInterleaved,
    HotContiguous,
    HotInterleaved,
    Category,
    Tag,
    Replay,
    /// Single events, this number in flight.
    Single(usize),
    /// Batches of a hundred events, this number in flight.
    Batch(usize),
    /// Single events with a condition on two tags, this number in flight.
    OnTags(usize),
}

/// All workloads, in the order of a turn: cold reads come first.
pub(crate) const ALL: [Work; 15] = [
    Work::ColdContiguous,
    Work::ColdInterleaved,
    Work::HotContiguous,
    Work::HotInterleaved,
    Work::Category,
    Work::Tag,
    Work::Replay,
    Work::Single(1),
    Work::Single(8),
    Work::Single(64),
    Work::Single(512),
    Work::Batch(1),
    Work::Batch(8),
    Work::OnTags(1),
    Work::OnTags(64),
];

impl Work {
    /// Returns whether it writes.
    pub(crate) fn appends(self) -> bool {
        matches!(self, Work::Single(_) | Work::Batch(_) | Work::OnTags(_))
    }

    /// Returns how many callers it has at the same time.
    pub(crate) fn callers(self) -> usize {
        match self {
            Work::Single(in_flight) | Work::Batch(in_flight) | Work::OnTags(in_flight) => in_flight,
            _ => 1,
        }
    }

    /// Returns whether it writes several events at a time.
    pub(crate) fn in_batches(self) -> bool {
        matches!(self, Work::Batch(_))
    }
}

/// The sizes of a run.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Scale {
    /// How long appends are measured, in seconds.
    pub(crate) append_seconds: f64,
    /// How long hot reads, queries and replays are measured, in seconds.
    pub(crate) read_seconds: f64,
    /// The number of streams that are read cold.
    pub(crate) cold_reads: usize,
    /// The number of contiguous streams in the data set; there are as many interleaved ones.
    pub(crate) streams: usize,
}

impl Scale {
    pub(crate) const FULL: Scale =
        Scale { append_seconds: 0.7, read_seconds: 0.35, cold_reads: 40, streams: 500 };
    pub(crate) const QUICK: Scale =
        Scale { append_seconds: 0.1, read_seconds: 0.05, cold_reads: 5, streams: 100 };

    /// Returns the number of events in the data set.
    pub(crate) fn events(&self) -> u64 {
        2 * (self.streams * HUNDRED) as u64
    }

    /// Returns the name of a contiguous stream; its category has ten streams.
    pub(crate) fn contiguous(n: usize) -> String {
        format!("c{}-{}", n / CATEGORY_STREAMS, n % CATEGORY_STREAMS)
    }

    /// Returns the name of an interleaved stream; its category has a hundred streams, written in
    /// turns.
    pub(crate) fn interleaved(n: usize) -> String {
        format!("i{}-{}", n / HUNDRED, n % HUNDRED)
    }

    pub(crate) fn owner(&self, n: usize) -> String {
        format!("o{}", n % self.owners())
    }

    pub(crate) fn owners(&self) -> usize {
        (self.streams * HUNDRED / OWNED).max(1)
    }

    /// Returns the number of interleaved categories.
    pub(crate) fn groups(&self) -> usize {
        self.streams / HUNDRED
    }

    /// Returns the data set in the order of its writing: the contiguous streams, then the
    /// interleaved ones. A chunk has a hundred events, of one stream, or one of each stream in a
    /// category of a hundred.
    pub(crate) fn chunks(self) -> impl Iterator<Item = Vec<DataSetEvent>> {
        let contiguous = (0..self.streams).map(move |stream| {
            let of = |version| self.loaded(Scale::contiguous(stream), stream, version);
            (0..HUNDRED).map(of).collect()
        });
        let groups = self.groups();
        let interleaved = (0..HUNDRED * groups).map(move |turn| {
            let (version, group) = (turn / groups, turn % groups);
            let of = |n| {
                let stream = group * HUNDRED + n;
                self.loaded(Scale::interleaved(stream), self.streams + stream, version)
            };
            (0..HUNDRED).map(of).collect()
        });
        contiguous.chain(interleaved)
    }

    fn loaded(&self, stream: String, number: usize, version: usize) -> DataSetEvent {
        let event = number * HUNDRED + version;
        // Only the contiguous half has owners, so that each owner has a hundred events.
        let owner = if number < self.streams { self.owner(event) } else { "no-one".to_owned() };
        DataSetEvent { stream, version: version as u64, owner, event: self::event(event as u128) }
    }
}

/// Returns an event with an id of its own. The ids look random, like those of users.
pub(crate) fn event(number: u128) -> Event {
    // The factor is odd, so different numbers below 2^128 have different products.
    let mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    let id = uuid::Builder::from_random_bytes(mixed.to_be_bytes()).into_uuid();
    Event { id, data: payload(number as usize) }
}

/// Returns random letters, different ones for each event, cut from a pool so that making them is
/// cheap.
fn payload(number: usize) -> Bytes {
    const POOL: usize = 1 << 20;
    static LETTERS: std::sync::OnceLock<Bytes> = std::sync::OnceLock::new();
    let make = || {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut letter = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            b"abcdefghijklmnopqrstuvwxyz012345"[(state >> 40) as usize % 32]
        };
        (0..POOL + PAYLOAD).map(|_| letter()).collect()
    };
    let from = number.wrapping_mul(7_919) % POOL;
    LETTERS.get_or_init(make).slice(from..from + PAYLOAD)
}

/// Returns the n-th event of an appender in a round, with its id.
pub(crate) fn appended(round: u64, work: u64, appender: u64, n: u64) -> Event {
    let number = 1 << 120
        | u128::from(round) << 100
        | u128::from(work) << 80
        | u128::from(appender) << 60
        | u128::from(n);
    event(number)
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_data_set_has_the_events_that_reads_expect() {
        let scale = Scale { streams: 200, ..Scale::QUICK };
        let all: Vec<DataSetEvent> = scale.chunks().flatten().collect();
        assert_eq!(all.len() as u64, scale.events());
        let ids: HashSet<Uuid> = all.iter().map(|one| one.event.id).collect();
        assert_eq!(ids.len(), all.len());
        let mut streams: HashMap<&str, u64> = HashMap::new();
        let mut owned = 0;
        for one in &all {
            let next = streams.entry(&one.stream).or_default();
            assert_eq!(one.version, *next, "{}", one.stream);
            *next += 1;
            owned += usize::from(one.owner == "o7");
        }
        assert!(streams.values().all(|events| *events == 100));
        assert_eq!(owned, OWNED);
        let category = all.iter().filter(|one| one.stream.starts_with("c3-")).count();
        assert_eq!(category, CATEGORY_STREAMS * HUNDRED);
    }
}
