//! A pass: one subscription, read by whichever member has nothing left, and what was read for the others.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use event_listener::Event;
use futures_util::future::select;
use futures_util::lock::MutexGuard;
use leftfold_api::{
    Cursor, Delivery, DynSubscription, EventStore, MAX_QUERY_BYTES, Query, ReadError, Recorded,
    Subscribe, Subscription,
};
use leftfold_fold::time::Time;
use parking_lot::Mutex;

/// What a pass holds, and for whom it waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct PassLimits {
    /// The most events of a block.
    pub(super) block: usize,
    /// How many events wait for a member that does not keep up; a last block may come on top.
    pub(super) waiting: usize,
    /// The same in bytes. They are the same for all members: a pass holds about as much as its slowest member.
    pub(super) waiting_bytes: usize,
    /// How far from the place of a pass, in positions, a member may begin: the others wait while what lies between is
    /// read once more, or the newcomer while it is read first.
    pub(super) near: u64,
    /// How long a pass waits for a member that does not keep up, beside a part of its time.
    pub(super) patience: Duration,
}

impl Default for PassLimits {
    fn default() -> Self {
        PassLimits {
            block: 256,
            waiting: 8_192,
            waiting_bytes: 8 << 20,
            near: 65_536,
            patience: Duration::from_secs(1),
        }
    }
}

/// The part of its time that a pass waits for a member: a quarter.
const PART: u32 = 4;

/// Events of a pass, with the cursors behind them.
struct Block {
    events: Vec<(Recorded, Cursor)>,
    /// The cursor behind the block.
    end: Cursor,
    bytes: usize,
}

/// A subscription for several views.
pub(super) struct Pass {
    state: Mutex<State>,
    reader: futures_util::lock::Mutex<Reader>,
    /// Notified when there are new blocks, when a queue has room again, and when the reader is free.
    moved: Event,
    time: Arc<dyn Time>,
    limits: PassLimits,
    began: Instant,
}

struct State {
    members: Vec<Weak<Queue>>,
    /// The queries of the members, each once.
    queries: Vec<Query>,
    /// Where the reader is to go on.
    next: Cursor,
    /// Counts the changes of the queries and of where to go on.
    version: u64,
    has_ended: bool,
}

/// The subscription, of a version of the state.
#[derive(Default)]
struct Reader {
    subscription: Option<(u64, DynSubscription)>,
}

/// What was read for a member.
struct Queue {
    query: Query,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    blocks: VecDeque<Arc<Block>>,
    events: usize,
    bytes: usize,
    /// How long others have waited for the member.
    cost: Duration,
    /// Whether nothing more is read for it.
    is_left: bool,
}

/// A view in a pass.
pub(super) struct Member {
    pass: Arc<Pass>,
    queue: Arc<Queue>,
    /// The block that is being taken, and how many of its events were.
    block: Option<(Arc<Block>, usize)>,
    /// Behind the last event that was delivered, or the last block.
    at: Cursor,
}

impl Waiting {
    fn is_full(&self, limits: &PassLimits) -> bool {
        self.events >= limits.waiting || self.bytes >= limits.waiting_bytes
    }
}

/// The turn of the member that reads. The others are woken when it ends, however it ends.
struct Turn<'p> {
    // Released first: those who are woken find it free.
    reader: MutexGuard<'p, Reader>,
    _wake: Wake<'p>,
}

struct Wake<'p>(&'p Pass);

impl Drop for Wake<'_> {
    fn drop(&mut self) {
        self.0.moved.notify(usize::MAX);
    }
}

impl Pass {
    /// Begins a pass at a cursor, with its first member.
    pub(super) fn begin(
        query: &Query,
        cursor: &Cursor,
        time: Arc<dyn Time>,
        limits: PassLimits,
    ) -> (Arc<Self>, Member) {
        let state = State {
            members: Vec::new(),
            queries: vec![query.clone()],
            next: cursor.clone(),
            version: 0,
            has_ended: false,
        };
        let pass = Arc::new(Pass {
            state: Mutex::new(state),
            reader: futures_util::lock::Mutex::default(),
            moved: Event::new(),
            time,
            limits,
            began: Instant::now(),
        });
        let member = Self::member(&pass, &mut pass.state.lock(), query, cursor);
        (pass, member)
    }

    /// Joins the pass, unless it is elsewhere.
    pub(super) fn join(self: &Arc<Self>, query: &Query, cursor: &Cursor) -> Option<Member> {
        let mut state = self.state.lock();
        let (next, begin) = (state.next.position()?, cursor.position()?);
        if state.has_ended || next.abs_diff(begin) > self.limits.near {
            return None;
        }
        if !state.queries.contains(query) {
            let mut queries = state.queries.clone();
            queries.push(query.clone());
            if Query::Or(queries.clone()).to_string().len() > MAX_QUERY_BYTES {
                return None;
            }
            state.queries = queries;
            state.version += 1;
        }
        if begin < next {
            // The others skip what they have had.
            state.next = cursor.clone();
            state.version += 1;
        }
        Some(Self::member(self, &mut state, query, cursor))
    }

    fn member(pass: &Arc<Self>, state: &mut State, query: &Query, cursor: &Cursor) -> Member {
        let queue = Arc::new(Queue { query: query.clone(), waiting: Mutex::default() });
        state.members.push(Arc::downgrade(&queue));
        Member { pass: pass.clone(), queue, block: None, at: cursor.clone() }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.state.lock().has_ended
    }

    /// Returns those for whom the pass reads. What only others wanted is not read any more.
    fn queues(&self) -> Vec<Arc<Queue>> {
        let mut state = self.state.lock();
        let before = state.members.len();
        state
            .members
            .retain(|queue| queue.upgrade().is_some_and(|queue| !queue.waiting.lock().is_left));
        let queues: Vec<_> = state.members.iter().filter_map(Weak::upgrade).collect();
        if queues.len() < before {
            let queries = state.queries.len();
            state.queries.retain(|query| queues.iter().any(|queue| queue.query == *query));
            state.version += u64::from(state.queries.len() < queries);
        }
        queues
    }

    fn turn(&self) -> Option<Turn<'_>> {
        Some(Turn { reader: self.reader.try_lock()?, _wake: Wake(self) })
    }

    /// Waits until all members have room, and leaves those behind that the pass has waited for too long.
    async fn wait_for_room(&self) {
        loop {
            let moved = self.moved.listen();
            let mut full = self.queues();
            full.retain(|queue| queue.waiting.lock().is_full(&self.limits));
            let allowed = self.limits.patience + self.began.elapsed() / PART;
            let mut shortest = None;
            for queue in &full {
                let mut waiting = queue.waiting.lock();
                let left = allowed.saturating_sub(waiting.cost);
                waiting.is_left |= left.is_zero();
                if !waiting.is_left {
                    shortest = Some(shortest.map_or(left, |least: Duration| least.min(left)));
                }
            }
            let Some(shortest) = shortest else { return };
            let before = Instant::now();
            select(moved, self.time.after(shortest)).await;
            let waited = before.elapsed();
            full.iter().for_each(|queue| queue.waiting.lock().cost += waited);
        }
    }

    /// Returns the version of the state and how to subscribe for it, if it is not this one.
    fn changed_since(&self, version: Option<u64>) -> Option<(u64, Subscribe)> {
        let state = self.state.lock();
        let subscribe = || Subscribe::after(union(&state.queries), state.next.clone());
        (version != Some(state.version)).then(|| (state.version, subscribe()))
    }

    /// Reads a block for all members.
    async fn read(&self, turn: &mut Turn<'_>, store: &impl EventStore) -> Result<(), ReadError> {
        let reader = &mut turn.reader.subscription;
        let changed = self.changed_since(reader.as_ref().map(|(version, _)| *version));
        if let Some((version, subscribe)) = changed {
            *reader = Some((version, Box::new(store.subscribe(subscribe).await?)));
        }
        let Some((version, subscription)) = reader else { return Ok(()) };
        let (mut events, mut bytes, mut end) = (Vec::new(), 0, None);
        let mut delivery = Some(subscription.next().await?);
        while let Some(Delivery::Event(event, at)) = delivery {
            bytes += event.record().len();
            events.push((event, at));
            let is_full = events.len() >= self.limits.block || bytes >= self.limits.waiting_bytes;
            delivery = if is_full { None } else { subscription.ready() };
        }
        if let Some(Delivery::CaughtUp(at)) = delivery {
            end = Some(at);
        }
        self.deliver(*version, events, bytes, end);
        Ok(())
    }

    fn deliver(
        &self,
        version: u64,
        events: Vec<(Recorded, Cursor)>,
        bytes: usize,
        caught_up: Option<Cursor>,
    ) {
        let mut state = self.state.lock();
        if state.version != version {
            // A member has joined: this is read again, with what the newcomer wants.
            return;
        }
        state.has_ended = caught_up.is_some();
        let Some(end) = caught_up.or_else(|| events.last().map(|(_, at)| at.clone())) else {
            return;
        };
        state.next = end.clone();
        let block = Arc::new(Block { events, end, bytes });
        for queue in state.members.iter().filter_map(Weak::upgrade) {
            let mut waiting = queue.waiting.lock();
            if !waiting.is_left {
                waiting.events += block.events.len();
                waiting.bytes += block.bytes;
                waiting.blocks.push_back(block.clone());
            }
        }
    }
}

/// Returns the query for the events of all queries.
fn union(queries: &[Query]) -> Query {
    match queries {
        [query] => query.clone(),
        _ => Query::Or(queries.to_vec()),
    }
}

impl Member {
    /// Waits for the next event. `None` if the member is to go on for itself: the pass has ended, or has left it
    /// behind.
    pub(super) async fn next(&mut self, store: &impl EventStore) -> Option<Delivery> {
        loop {
            let pass = self.pass.clone();
            let moved = pass.moved.listen();
            // Asked first: what was read before the end is taken.
            let is_over = pass.has_ended() || self.queue.waiting.lock().is_left;
            if let Some(delivery) = self.ready() {
                return Some(delivery);
            }
            if is_over {
                return None;
            }
            let Some(mut turn) = pass.turn() else {
                moved.await;
                continue;
            };
            if !self.queue.waiting.lock().blocks.is_empty() {
                // It was read between the look and the turn.
                continue;
            }
            pass.wait_for_room().await;
            if pass.read(&mut turn, store).await.is_err() {
                // Each member meets the error for itself, if it lasts.
                pass.state.lock().has_ended = true;
            }
        }
    }

    /// Returns the next event that was read.
    pub(super) fn ready(&mut self) -> Option<Delivery> {
        loop {
            if self.block.is_none() {
                self.block = Some((self.take()?, 0));
            }
            let (block, taken) = self.block.as_mut()?;
            let seen = self.at.position();
            // A pass that began anew for a newcomer repeats what this member has had.
            let wanted =
                |event: &Recorded| Some(event.position()) > seen && self.queue.query.matches(event);
            let found = block.events.iter().enumerate().skip(*taken);
            let mut found = found.filter(|(_, (event, _))| wanted(event));
            if let Some((at, (event, cursor))) = found.next() {
                *taken = at + 1;
                self.at = cursor.clone();
                return Some(Delivery::Event(event.clone(), cursor.clone()));
            }
            if block.end.position() > seen {
                self.at = block.end.clone();
            }
            self.block = None;
        }
    }

    fn take(&self) -> Option<Arc<Block>> {
        let mut waiting = self.queue.waiting.lock();
        let was_full = waiting.is_full(&self.pass.limits);
        let block = waiting.blocks.pop_front()?;
        waiting.events -= block.events.len();
        waiting.bytes -= block.bytes;
        if was_full && !waiting.is_full(&self.pass.limits) {
            self.pass.moved.notify(usize::MAX);
        }
        Some(block)
    }

    /// Returns how many events were read for it and not taken.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.queue.waiting.lock().events
    }

    /// Returns what the pass reads.
    #[cfg(test)]
    pub(super) fn queries(&self) -> Vec<Query> {
        self.pass.state.lock().queries.clone()
    }

    /// Returns the cursor behind all that was delivered or passed over.
    pub(super) fn cursor(&self) -> Cursor {
        self.at.clone()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // No member waits for it any more.
        self.queue.waiting.lock().is_left = true;
        self.pass.moved.notify(usize::MAX);
    }
}
