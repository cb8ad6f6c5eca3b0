//! An owner, whose appends go to a topic, and replicas that apply them.

use std::sync::Arc;

use leftfold_api::{Cursor, Query, Read, Recorded};
use leftfold_io::fake::{FakeDisk, ManualClock, SeededRandom};
use leftfold_store::commit::{Batch, Commit, Progress, Tail, WriteError};
use leftfold_store::{CommittedAppend, Embedded, Keep, OpenError, Options, StoreIdentity};

use crate::elsewhere::{Elsewhere, Topic};

pub(crate) const DAY: i64 = 24 * 60 * 60 * 1_000_000;

/// Confirms at once: what a replica applies is committed already.
pub(crate) struct AtOnce;

impl Commit for AtOnce {
    fn max_in_flight(&self) -> usize {
        1
    }

    fn syncs(&self) -> bool {
        false
    }

    fn positions_of_empty(&self) -> u64 {
        1
    }

    fn submit(&mut self, batch: &Batch<'_>, _tail: &mut Tail) -> Result<Progress, WriteError> {
        Ok(Progress::Confirmed(batch.confirmation()))
    }
}

/// A node of a cluster, as far as its store goes.
pub(crate) struct Node {
    pub(crate) disk: Arc<FakeDisk>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) options: Options,
}

impl Node {
    pub(crate) fn new(replica: bool) -> Self {
        let identity = StoreIdentity { store_id: [1; 16], incarnation: [2; 16], hash_key: [3; 16] };
        let mut options = Options { replica, identity: Some(identity), ..Options::default() };
        options.log.segment_bytes = 3_000;
        options.log.preallocate = 1_024;
        options.log.keep = Keep::Marked;
        let clock = Arc::new(ManualClock::at(DAY));
        Node { disk: Arc::new(FakeDisk::new()), clock, options }
    }

    pub(crate) fn open(&self, commit: Box<dyn Commit>) -> Result<Embedded, OpenError> {
        let random = Arc::new(SeededRandom::new(7));
        let (clock, options) = (self.clock.clone(), self.options.clone());
        Embedded::open_with(self.disk.clone(), clock, random, options, commit)
    }
}

/// Returns an owner and its topic.
pub(crate) fn owner() -> (Node, Embedded, Topic) {
    let (node, topic) = (Node::new(false), Topic::default());
    let store = node.open(Box::new(Elsewhere::new(topic.clone()))).unwrap();
    (node, store, topic)
}

/// Returns a replica.
pub(crate) fn replica() -> (Node, Embedded) {
    let node = Node::new(true);
    let store = node.open(Box::new(AtOnce)).unwrap();
    (node, store)
}

/// Applies what the topic has behind the replica's last position.
pub(crate) fn catch_up(store: &Embedded, topic: &Topic) {
    let last = store.last_position();
    let appends: Vec<CommittedAppend> =
        topic.lock().iter().filter(|append| append.first > last).cloned().collect();
    pollster::block_on(store.apply(appends)).unwrap();
}

/// Reads all pages of a query.
pub(crate) fn read(store: &Embedded, query: &Query) -> Vec<Recorded> {
    let (mut events, mut cursor) = (Vec::new(), Cursor::START);
    loop {
        let page = store.blocking().read(Read::forward(query.clone()).after(cursor)).unwrap();
        events.extend(page.events);
        cursor = page.cursor;
        if !page.more {
            return events;
        }
    }
}
