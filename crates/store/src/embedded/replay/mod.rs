//! Replay on several threads.
//!
//! The range from the cursor to the durable head is split into chunks. Each thread reads chunks: it
//! decodes and filters events, and adds each to the piece of its partition (the hash of its key). A
//! partition applies its pieces in the order of the chunks, on any free thread. So the events of a key are
//! applied in the order of the log, and all threads share the reading and the applying. The number of
//! chunks in memory is bounded: a thread that is too far ahead applies events, or waits.

mod schedule;
mod source;

use std::panic::resume_unwind;

use zerocopy::IntoBytes;

use super::Embedded;
use crate::keys::Keys;
use crate::replay::{Replay, ReplayError, ReplayKey, ReplayOutcome};
use leftfold_api::{Cursor, Field, Recorded};
use schedule::{ReplayFailure, Schedule, Task};
use source::Source;

/// An event, and the number of the key for which it is applied.
type KeyedEvent = (Recorded, usize);

type Outcome<E> = Result<(), ReplayFailure<ReplayError<E>>>;

impl Embedded {
    /// Folds the events of a query on several threads: the events of each key in the order of the log.
    ///
    /// Each partition has a state, which `start` makes from the partition's number, and each key always
    /// belongs to the same partition. `apply` gets the state, the key and the event. The states do not
    /// depend on the number of threads. Together they equal a fold on one thread, if `apply` keeps the
    /// keys separate.
    ///
    /// Events without the key (no correlation id, no such tag) are applied to partition 0 with the key
    /// `None`, in the order of the log. An event with several keys (tags with several values) is applied
    /// once for each.
    ///
    /// The replay ends at the durable head of its start, applies the retention of that time, and holds a
    /// few chunks for each thread. The first error in the order of the log ends it. A panic of `start` or
    /// `apply` becomes a panic of the caller.
    ///
    /// ```
    /// use std::collections::HashMap;
    /// use leftfold_api::{Append, NewEvent, Query};
    /// use leftfold_store::{Embedded, Options, Replay, ReplayKey};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let store = Embedded::open(dir.path(), Options::default())?;
    /// for (stream, cents) in [("account-1", "500"), ("account-2", "70"), ("account-1", "-100")] {
    ///     store.blocking().append(Append::new().event(stream, NewEvent::new("Booked", cents)))?;
    /// }
    /// type Balances = HashMap<String, i64>;
    /// let accounts = Replay::of(Query::category("account")).by(ReplayKey::Stream).threads(4);
    /// let replayed = store.replay(
    ///     &accounts,
    ///     |_partition| Balances::new(),
    ///     |balances, account, event| {
    ///         let cents: i64 = String::from_utf8_lossy(&event.data()).parse()?;
    ///         *balances.entry(account.unwrap_or_default().to_owned()).or_default() += cents;
    ///         Ok::<(), std::num::ParseIntError>(())
    ///     },
    /// )?;
    /// let balances: Balances = replayed.states.into_iter().flatten().collect();
    /// assert_eq!(balances["account-1"], 400);
    /// assert_eq!(balances["account-2"], 70);
    /// // To continue with later events: accounts.after(replayed.cursor).
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn replay<S: Send, E: Send>(
        &self,
        replay: &Replay,
        start: impl FnMut(usize) -> S,
        apply: impl Fn(&mut S, Option<&str>, &Recorded) -> Result<(), E> + Sync,
    ) -> Result<ReplayOutcome<S>, ReplayError<E>> {
        let key = &replay.key;
        key.check().map_err(|invalid| ReplayError::Read(invalid.into()))?;
        let source = Source::new(&self.core, replay)?;
        let partitions = replay.partition_count();
        let keys = self.core.keys;
        let take = |event: Recorded, pieces: &mut [Vec<KeyedEvent>]| {
            distribute(event, pieces, key, &keys);
            Ok(())
        };
        let apply = |state: &mut S, (event, n): KeyedEvent| {
            apply(state, key.nth(&event, n), &event).map_err(|error| refusal(&event, n, error))
        };
        let states = (0..partitions).map(start).collect();
        let schedule = Schedule::new(source.range, replay, states);
        let work = || work(&schedule, &source, partitions, &take, Some(apply));
        run_on_threads(replay.thread_count(), work, work);
        Ok(ReplayOutcome { states: schedule.finish()?, cursor: end_cursor(&source) })
    }

    /// Decodes the events of a query on several threads, and applies them on the caller's thread, in the
    /// order of the log. Returns the cursor at which to continue.
    ///
    /// The replay ends at the durable head of its start, and applies the retention of that time. The first
    /// error of `decode` or `apply` in the order of the log ends it. Their panics become panics of the
    /// caller.
    ///
    /// ```
    /// use leftfold_api::{Append, NewEvent, Query};
    /// use leftfold_store::{Embedded, Options, Replay};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let store = Embedded::open(dir.path(), Options::default())?;
    /// for (stream, cents) in [("account-1", "500"), ("account-2", "70"), ("account-1", "-100")] {
    ///     store.blocking().append(Append::new().event(stream, NewEvent::new("Booked", cents)))?;
    /// }
    /// let mut running = vec![];
    /// let cursor = store.replay_in_order(
    ///     &Replay::of(Query::All).threads(4),
    ///     |event| String::from_utf8_lossy(&event.data()).parse::<i64>(),
    ///     |cents| Ok(running.push(running.last().unwrap_or(&0) + cents)),
    /// )?;
    /// assert_eq!(running, [500, 570, 470]);
    /// assert_eq!(cursor, store.blocking().head());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn replay_in_order<T: Send, E: Send>(
        &self,
        replay: &Replay,
        decode: impl Fn(&Recorded) -> Result<T, E> + Sync,
        mut apply: impl FnMut(T) -> Result<(), E>,
    ) -> Result<Cursor, ReplayError<E>> {
        let source = Source::new(&self.core, replay)?;
        let take = |event: Recorded, pieces: &mut [Vec<(u64, T)>]| {
            let decoded = decode(&event).map_err(|error| refusal(&event, 0, error))?;
            if let [all] = pieces {
                all.push((event.position(), decoded));
            }
            Ok(())
        };
        let apply = |(): &mut (), (position, decoded): (u64, T)| {
            let failed = |error| ((position, 0), ReplayError::Stopped { position, error });
            apply(decoded).map_err(failed)
        };
        let schedule = Schedule::new(source.range, replay, vec![()]);
        type NoApply<T, E> = fn(&mut (), (u64, T)) -> Outcome<E>;
        let helper = || work(&schedule, &source, 1, &take, None::<NoApply<T, E>>);
        let caller = || work(&schedule, &source, 1, &take, Some(apply));
        run_on_threads(replay.thread_count(), helper, caller);
        schedule.finish()?;
        Ok(end_cursor(&source))
    }
}

fn refusal<E>(event: &Recorded, n: usize, error: E) -> ReplayFailure<ReplayError<E>> {
    let position = event.position();
    ((position, n), ReplayError::Stopped { position, error })
}

fn end_cursor(source: &Source<'_>) -> Cursor {
    let [from, head] = source.range;
    source.core.cursor(head.max(from - 1))
}

/// Adds an event to the pieces of the partitions of its keys.
fn distribute(event: Recorded, pieces: &mut [Vec<KeyedEvent>], key: &ReplayKey, keys: &Keys) {
    let mut push = |event: Recorded, n| {
        let hash = key.nth(&event, n).map_or(0, |value| hash(key, value, keys));
        let partition = hash % pieces.len();
        pieces[partition].push((event, n));
    };
    let mut n = 0;
    while key.nth(&event, n + 1).is_some() {
        push(event.clone(), n);
        n += 1;
    }
    push(event, n);
}

/// Hashes a key with the store's hash key. The result never changes, and no client can craft names that all
/// fall into one partition.
fn hash(key: &ReplayKey, value: &str, keys: &Keys) -> usize {
    let hash = match key {
        ReplayKey::Stream => keys.of(Field::Stream, value),
        ReplayKey::Category => keys.of(Field::Category, value),
        ReplayKey::Correlation => keys.of(Field::Correlation, value),
        ReplayKey::Tag(name) => keys.tag(name, value),
    };
    let bytes = hash.as_bytes().first_chunk::<4>();
    bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes) as usize)
}

/// Runs tasks until the replay is done. A thread without `apply` only reads.
fn work<S, T, E>(
    schedule: &Schedule<S, T, ReplayError<E>>,
    source: &Source<'_>,
    partitions: usize,
    take: &impl Fn(Recorded, &mut [Vec<T>]) -> Outcome<E>,
    mut apply: Option<impl FnMut(&mut S, T) -> Outcome<E>>,
) {
    let abandon = AbandonOnPanic(Some(schedule));
    let mut reader = source.reader();
    while let Some(task) = schedule.next(apply.is_some()) {
        match (task, &mut apply) {
            (Task::Read(range), _) => {
                let content = reader.read(range, partitions, take);
                schedule.finish_read(range, content);
            }
            (Task::Apply(mut piece), Some(apply)) => {
                let items = std::mem::take(&mut piece.items);
                let outcome = items.into_iter().try_for_each(|item| apply(&mut piece.state, item));
                schedule.finish_apply(piece, outcome);
            }
            (Task::Apply(piece), None) => schedule.finish_apply(piece, Ok(())),
        }
    }
    abandon.disarm();
}

/// Runs the caller's work on this thread and the helper's on the others. A panic of any thread becomes a
/// panic here. If the system starts fewer threads, those do all the work.
fn run_on_threads(threads: usize, helper: impl Fn() + Sync, caller: impl FnOnce()) {
    std::thread::scope(|scope| {
        let start = |_| {
            let builder = std::thread::Builder::new().name("leftfold-replay".to_owned());
            builder.spawn_scoped(scope, &helper).ok()
        };
        let others: Vec<_> = (1..threads).map_while(start).collect();
        caller();
        for other in others {
            other.join().unwrap_or_else(|panic| resume_unwind(panic));
        }
    });
}

/// Stops the other threads if this one panics.
struct AbandonOnPanic<'a, S, T, E>(Option<&'a Schedule<S, T, E>>);

impl<S, T, E> AbandonOnPanic<'_, S, T, E> {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl<S, T, E> Drop for AbandonOnPanic<'_, S, T, E> {
    fn drop(&mut self) {
        if let Some(schedule) = self.0 {
            schedule.abandon();
        }
    }
}
