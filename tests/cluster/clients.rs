//! Clients of all nodes: conditional appends, plain appends and linearizable reads of a few hot streams.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use leftfold::client::Client;
use leftfold::{
    Append, AppendError, Conflict, EventStore, Expected, Query, Read, ReadError, ReadLevel,
};

use crate::history::{Call, History, Last, Number, Outcome, event, number};
use crate::random::Random;

/// The streams that are hot at the same time.
const HOT: u64 = 4;
/// The appends after which other streams are hot: the checker remembers all states of a stream.
const WINDOW: u64 = 3_000;
/// The most milliseconds between two calls of a client.
const PAUSE_MILLIS: u64 = 120;
/// The time of a call, with all its attempts.
pub(crate) const CALL: Duration = Duration::from_secs(5);

/// The category of all streams.
pub(crate) const CATEGORY: &str = "hot";

/// What all clients share.
pub(crate) struct Load {
    pub(crate) history: History,
    appends: AtomicU64,
    pub(crate) stop: AtomicBool,
    /// When an append was last acknowledged, and the longest time between two.
    acknowledged: AtomicI64,
    longest_gap: AtomicI64,
}

impl Load {
    pub(crate) fn new() -> Self {
        let (appends, stop) = (AtomicU64::new(0), AtomicBool::new(false));
        let (acknowledged, longest_gap) = (AtomicI64::new(0), AtomicI64::new(0));
        Load { history: History::new(), appends, stop, acknowledged, longest_gap }
    }

    /// Returns the longest time without an acknowledged append of any client.
    pub(crate) fn longest_gap(&self) -> Duration {
        Duration::from_nanos(self.longest_gap.load(Ordering::Relaxed).unsigned_abs())
    }

    fn acknowledge(&self) {
        let now = self.history.now();
        let before = self.acknowledged.fetch_max(now, Ordering::Relaxed);
        self.longest_gap.fetch_max(now - before, Ordering::Relaxed);
    }
}

/// One client. It goes to the next node after each call that fails.
pub(crate) struct Caller {
    pub(crate) number: u32,
    pub(crate) nodes: Vec<Client>,
    pub(crate) random: Random,
    pub(crate) load: Arc<Load>,
    node: usize,
    /// The last versions of streams, as far as this client knows.
    known: HashMap<String, Option<u64>>,
}

impl Caller {
    pub(crate) fn new(number: u32, nodes: Vec<Client>, seed: u64, load: Arc<Load>) -> Self {
        let random = Random(seed ^ u64::from(number) << 32);
        let node = number as usize % nodes.len();
        Caller { number, nodes, random, load, node, known: HashMap::new() }
    }

    /// Makes calls until told to stop.
    pub(crate) async fn run(mut self) {
        while !self.load.stop.load(Ordering::Relaxed) {
            let window = self.load.appends.load(Ordering::Relaxed) / WINDOW;
            let stream = format!("{CATEGORY}-{window}.{}", self.random.below(HOT));
            let from = self.load.history.now();
            let outcome = match self.random.below(10) {
                0..4 => self.append_if_known(&stream).await,
                4..6 => self.append(&stream, Expected::Any).await,
                _ => self.read(&stream).await,
            };
            let to = self.load.history.now();
            if let Some(outcome) = outcome {
                self.learn(&stream, &outcome);
                let call = Call { client: self.number, stream, from, to, outcome };
                self.load.history.add(call);
            }
            tokio::time::sleep(self.random.millis(0, PAUSE_MILLIS)).await;
        }
    }

    fn learn(&mut self, stream: &str, outcome: &Outcome) {
        let last = match outcome {
            Outcome::Appended { version, .. } => Some(*version),
            Outcome::Conflict { last, .. } => *last,
            Outcome::Read(last) => last.map(|(version, _)| version),
            Outcome::Unknown { .. } => return,
        };
        if !self.known.contains_key(stream) && self.known.len() as u64 >= 2 * HOT {
            self.known.clear();
        }
        self.known.insert(stream.to_owned(), last);
    }

    async fn append_if_known(&mut self, stream: &str) -> Option<Outcome> {
        let known = self.known.get(stream).copied().flatten();
        let expected = known.map_or(Expected::NoStream, Expected::Exactly);
        self.append(stream, expected).await
    }

    async fn append(&mut self, stream: &str, expected: Expected) -> Option<Outcome> {
        let number: Number = self.load.appends.fetch_add(1, Ordering::Relaxed);
        let append = Append::new().expect(stream, expected).event(stream, event(number));
        Some(match self.nodes[self.node].append(append).await {
            Ok(done) => {
                self.load.acknowledge();
                Outcome::Appended { number, expected, version: done.streams[0].first }
            }
            Err(AppendError::Conflict(Conflict::Version { actual, .. })) => {
                Outcome::Conflict { number, expected, last: actual }
            }
            Err(AppendError::Failure(failure)) => {
                self.next_node();
                Outcome::Unknown { number, expected, why: format!("{}: {failure}", failure.code()) }
            }
            Err(other) => panic!("append {number} to {stream}: {other:?}"),
        })
    }

    async fn read(&mut self, stream: &str) -> Option<Outcome> {
        let read = Read::backward(Query::stream(stream)).limit(1).level(ReadLevel::Linearizable);
        match self.nodes[self.node].read(read).await {
            Ok(page) => {
                let last: Last = page.events.first().map(|event| (event.version(), number(event)));
                Some(Outcome::Read(last))
            }
            Err(ReadError::Failure(_)) => {
                self.next_node();
                None
            }
            Err(other) => panic!("a read of {stream}: {other:?}"),
        }
    }

    fn next_node(&mut self) {
        self.node = (self.node + 1) % self.nodes.len();
    }
}
