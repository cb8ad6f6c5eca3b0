//! Replay on several threads.
//!
//! The range from the cursor to the durable head is cut into chunks, and each thread reads chunks
//! by itself: decodes, filters, and puts every event to the piece of its partition (the hash of its
//! key). Each partition takes its pieces in the order of the chunks, on whichever thread is free;
//! so the events of a key come in the order of the log, while reading and folding share all
//! threads. The number of chunks in memory is bounded: whoever would read ahead too far helps to
//! fold, or waits.

mod schedule;
mod source;

use std::panic::resume_unwind;

use zerocopy::IntoBytes;

use super::Embedded;
use crate::keys::Keys;
use crate::replay::{Replay, ReplayError, ReplayKey, Replayed};
use leftfold_api::{Cursor, Field, Recorded};
use schedule::{Failed, Schedule, Task};
use source::Source;

/// An event and which of its keys it is applied for.
type Keyed = (Recorded, usize);

type Outcome<E> = Result<(), Failed<ReplayError<E>>>;

impl Embedded {
    /// Folds what a query yields, on several threads: for each key in the order of the log.
    ///
    /// There is a state for each partition, made by `start` (which is given its number), and each
    /// key belongs to one partition for ever. `apply` is given the state, the key, and the event.
    /// The states are the same for any number of threads; what is in them, together, is what a
    /// fold on one thread gives, if `apply` keeps the keys apart.
    ///
    /// Events without the key (no correlation id, no such tag) belong together: they are applied
    /// with no key, in the order of the log, to partition 0. An event that has several keys (tags
    /// with several values) is applied once for each.
    ///
    /// It goes up to what is durable when it starts, sees what retention keeps at that moment, and
    /// holds a few chunks for each thread. The first error in the order of the log ends it; a panic
    /// of `start` or `apply` becomes a panic of the caller.
    ///
    /// ```
    /// use std::collections::HashMap;
    /// use leftfold_store::{Append, Embedded, NewEvent, Options, Query, Replay, ReplayKey};
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
    /// // To go on with what has come since: accounts.after(replayed.cursor).
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn replay<S: Send, E: Send>(
        &self,
        replay: &Replay,
        start: impl FnMut(usize) -> S,
        apply: impl Fn(&mut S, Option<&str>, &Recorded) -> Result<(), E> + Sync,
    ) -> Result<Replayed<S>, ReplayError<E>> {
        let key = &replay.key;
        key.check().map_err(|invalid| ReplayError::Read(invalid.into()))?;
        let source = Source::new(&self.core, replay)?;
        let partitions = replay.partition_count();
        let keys = self.core.keys;
        let take = |event: Recorded, pieces: &mut [Vec<Keyed>]| {
            share_out(event, pieces, key, &keys);
            Ok(())
        };
        let apply = |state: &mut S, (event, n): Keyed| {
            apply(state, key.nth(&event, n), &event).map_err(|error| stopped(&event, n, error))
        };
        let states = (0..partitions).map(start).collect();
        let schedule = Schedule::new(source.range, replay, states);
        let work = || work(&schedule, &source, partitions, &take, Some(apply));
        on_threads(replay.thread_count(), work, work);
        Ok(Replayed { states: schedule.finish()?, cursor: reached(&source) })
    }

    /// Decodes what a query yields on several threads, and applies it on the caller's, in the
    /// order of the log: for what must meet, whatever its keys. Gives the cursor to go on from.
    ///
    /// It goes up to what is durable when it starts, and sees what retention keeps at that moment.
    /// The first error in the order of the log ends it, of `decode` or of `apply`; their panics
    /// become panics of the caller.
    ///
    /// ```
    /// use leftfold_store::{Append, Embedded, NewEvent, Options, Query, Replay};
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
            let decoded = decode(&event).map_err(|error| stopped(&event, 0, error))?;
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
        type Nothing<T, E> = fn(&mut (), (u64, T)) -> Outcome<E>;
        let helper = || work(&schedule, &source, 1, &take, None::<Nothing<T, E>>);
        let caller = || work(&schedule, &source, 1, &take, Some(apply));
        on_threads(replay.thread_count(), helper, caller);
        schedule.finish()?;
        Ok(reached(&source))
    }
}

fn stopped<E>(event: &Recorded, n: usize, error: E) -> Failed<ReplayError<E>> {
    let position = event.position();
    ((position, n), ReplayError::Stopped { position, error })
}

fn reached(source: &Source<'_>) -> Cursor {
    let [from, head] = source.range;
    source.core.cursor(head.max(from - 1))
}

/// Puts an event to the pieces of the partitions that its keys belong to.
fn share_out(event: Recorded, pieces: &mut [Vec<Keyed>], key: &ReplayKey, keys: &Keys) {
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

/// Evenly spread by the store's own hash key: the same for ever, and nobody can craft names that
/// all fall into one partition.
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

/// What each thread does until all is done; who has nothing to apply with only reads.
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
                let filled = reader.read(range, partitions, take);
                schedule.filled(range, filled);
            }
            (Task::Apply(mut piece), Some(apply)) => {
                let items = std::mem::take(&mut piece.items);
                let outcome = items.into_iter().try_for_each(|item| apply(&mut piece.state, item));
                schedule.applied(piece, outcome);
            }
            (Task::Apply(piece), None) => schedule.applied(piece, Ok(())),
        }
    }
    abandon.disarm();
}

/// Runs the caller's work on this thread and the helper's on the others; a panic of any becomes a
/// panic here. Where the system gives no more threads, those there are do all the work.
fn on_threads(threads: usize, helper: impl Fn() + Sync, caller: impl FnOnce()) {
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

/// Lets the other threads stop if this one panics.
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
