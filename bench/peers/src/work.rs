//! The works that are measured, and the data set that reads are measured on.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::system::{Event, Loaded};

/// Bytes of an event's payload.
pub(crate) const PAYLOAD: usize = 256;
/// Events of an append in a batch, and of a stream that is read.
pub(crate) const HUNDRED: usize = 100;
/// Streams that all appenders of a work share out among themselves.
pub(crate) const STREAMS: usize = 1_024;
/// Streams of a contiguous category, so that a category query yields a thousand events.
pub(crate) const CATEGORY_STREAMS: usize = 10;
/// Events with the same tag in the data set.
const OWNED: usize = 100;

/// One thing that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Work {
    /// Streams of a hundred events that lie side by side, nothing in memory.
    ColdContiguous,
    /// The same, of streams whose events lie far apart.
    ColdInterleaved,
    HotContiguous,
    HotInterleaved,
    Category,
    Tag,
    Replay,
    /// Single events, with so many in flight.
    Single(usize),
    /// Batches of a hundred, with so many in flight.
    Batch(usize),
    /// Single events under a condition on two tags, with so many in flight.
    OnTags(usize),
}

/// In the order in which they are done: what must be cold comes first.
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
    /// Whether it writes.
    pub(crate) fn appends(self) -> bool {
        matches!(self, Work::Single(_) | Work::Batch(_) | Work::OnTags(_))
    }

    /// Whether it writes several events at a time.
    pub(crate) fn in_batches(self) -> bool {
        matches!(self, Work::Batch(_))
    }
}

/// How much of everything.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Scale {
    /// How long appends are measured.
    pub(crate) append_seconds: f64,
    /// How long hot reads, queries and replays are measured.
    pub(crate) read_seconds: f64,
    /// Streams that are read cold.
    pub(crate) cold_reads: usize,
    /// Contiguous streams of the data set; as many interleaved ones beside them.
    pub(crate) streams: usize,
}

impl Scale {
    pub(crate) const FULL: Scale =
        Scale { append_seconds: 0.7, read_seconds: 0.35, cold_reads: 40, streams: 500 };
    pub(crate) const QUICK: Scale =
        Scale { append_seconds: 0.1, read_seconds: 0.05, cold_reads: 5, streams: 100 };

    /// Events of the data set.
    pub(crate) fn events(&self) -> u64 {
        2 * (self.streams * HUNDRED) as u64
    }

    /// A contiguous stream; its category has ten.
    pub(crate) fn contiguous(n: usize) -> String {
        format!("c{}-{}", n / CATEGORY_STREAMS, n % CATEGORY_STREAMS)
    }

    /// An interleaved stream; its category has a hundred, which were written in turns.
    pub(crate) fn interleaved(n: usize) -> String {
        format!("i{}-{}", n / HUNDRED, n % HUNDRED)
    }

    pub(crate) fn owner(&self, n: usize) -> String {
        format!("o{}", n % self.owners())
    }

    pub(crate) fn owners(&self) -> usize {
        (self.streams * HUNDRED / OWNED).max(1)
    }

    /// Interleaved categories.
    pub(crate) fn groups(&self) -> usize {
        self.streams / HUNDRED
    }

    /// The data set in the order in which it is written: the contiguous streams, then the
    /// interleaved ones. A chunk is one stream's hundred events, or an event of each of a hundred
    /// streams of one category.
    pub(crate) fn chunks(self) -> impl Iterator<Item = Vec<Loaded>> {
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

    fn loaded(&self, stream: String, number: usize, version: usize) -> Loaded {
        let event = number * HUNDRED + version;
        // Only the contiguous half has owners, so that each has a hundred events.
        let owner = if number < self.streams { self.owner(event) } else { "nobody".to_owned() };
        Loaded { stream, version: version as u64, owner, event: self::event(event as u128) }
    }
}

/// An event of its own id. Ids look random, as people's do.
pub(crate) fn event(number: u128) -> Event {
    // An odd factor: no two numbers below 2^128 share a product.
    let mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    let id = uuid::Builder::from_random_bytes(mixed.to_be_bytes()).into_uuid();
    Event { id, data: payload(number as usize) }
}

/// Random letters, others for each event, cut from a pool so that making them costs nothing.
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

/// The id of the n-th event of an appender in a round.
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
    fn the_data_set_is_what_the_reads_expect() {
        let scale = Scale { streams: 200, ..Scale::QUICK };
        let all: Vec<Loaded> = scale.chunks().flatten().collect();
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
