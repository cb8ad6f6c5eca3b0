//! Entities: one writer per stream or query, with its state in memory.
//!
//! A command for an entity goes into the entity's mailbox. The callers do the work: the first that
//! finds the mailbox idle takes the queued commands, decides them in order on the state in memory,
//! and appends all their events at once. Callers that arrive meanwhile wait, and one of them takes
//! the next batch. So commands for one entity are decided in the order of their arrival, and
//! different entities run concurrently on their callers' threads. A hot entity needs no reads and
//! shares its syncs, and nothing has to be spawned.
//!
//! An entity is a stream ([`StreamState`](crate::StreamState)) or the events of a query
//! ([`QueryState`](crate::QueryState)), named by the query's text. Of the events that a query's
//! commands decide, the entity applies those that the query selects. Other processes may write too:
//! the append's condition notices it.
//!
//! **An answer rests on durable facts.** It is sent when the append of its batch is durable. If an
//! append fails, the decisions that built on its events are made again. An append is all or nothing
//! for each command of the batch. A refusal is checked against the store before it is sent, because
//! another process may have written to the stream.
//!
//! **A panic stays with its command.** If `decide` panics, the command fails, and the rest of its
//! batch is decided. A state whose `apply` has panicked is discarded and loaded again. If it panicked
//! over events that are not written yet, they never are; if they are durable, the command has
//! succeeded.
//!
//! States stay in memory within the budget. The least recently used leave first; they are loaded
//! again from their snapshot and the later events.

mod job;
mod mailbox;
mod reads;
mod registry;
mod work;

use std::future::Future;
use std::sync::Arc;

use leftfold_api::EventStore;
use serde::Serialize;

use crate::command::Command;
use crate::execute::{CommandContext, Decider, ExecuteError, Executed, FoldError, OutcomeEvents};
use crate::one::One;
use crate::state::State;
use job::PendingCommand;
use mailbox::Mailbox;
pub use reads::EntityReads;
use registry::Registry;

/// The default budget for states in memory, in bytes.
const MEMORY: usize = 64 << 20;
/// The default maximum of queued commands in one mailbox; further senders wait for room.
const MAILBOX: usize = 1_024;

/// The entities of one kind. Their states stay in memory while they are used.
///
/// A command that reads `StreamState<S>` is decided by the entity of its stream. One that reads
/// `QueryState<S>` is decided by the entity of its query, so concurrent commands for one query need
/// no retries within a process:
///
/// ```
/// # use leftfold::{QueryState, Command, Emit, Event, State};
/// # #[derive(Debug, Event)]
/// # enum Booking { Booked { #[event(tag)] room: u32, night: u32 } }
/// # #[derive(Default)]
/// # struct Occupancy { nights: Vec<u32> }
/// # impl State for Occupancy {
/// #     type Event = Booking;
/// #     fn apply(&mut self, Booking::Booked { night, .. }: &Booking) { self.nights.push(*night) }
/// # }
/// # #[derive(Debug, thiserror::Error)]
/// # #[error("the room is taken")]
/// # struct Taken;
/// # struct Book { room: u32, night: u32 }
/// # impl Command for Book {
/// #     type Event = Booking;
/// #     type Error = Taken;
/// #     type Reads = QueryState<Occupancy>;
/// #     fn reads(&self) -> QueryState<Occupancy> { QueryState::of(Booking::by_room(&self.room)) }
/// #     fn decide(&self, taken: &Occupancy) -> Result<Vec<Emit<Booking>>, Taken> {
/// #         match taken.nights.contains(&self.night) {
/// #             true => Err(Taken),
/// #             false => Ok(vec![Booking::Booked { room: self.room, night: self.night }.to("bookings")]),
/// #         }
/// #     }
/// # }
/// # use std::sync::Arc;
/// # use leftfold::{Decider, Embedded, Entities, ExecuteError, Options};
/// # let dir = tempfile::tempdir()?;
/// # let store = Arc::new(Embedded::open(dir.path(), Options::default())?);
/// let rooms = Entities::<Occupancy, _>::new(Decider::new(store));
/// pollster::block_on(async {
///     let first = rooms.execute(Book { room: 101, night: 7 });
///     let second = rooms.execute(Book { room: 101, night: 7 });
///     assert!(matches!(second.await, Err(ExecuteError::Refused(Taken))));
///     assert_eq!(first.await?.attempts, 1);
///     Ok::<_, Box<dyn std::error::Error>>(())
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The classic aggregate reads its stream:
///
/// ```
/// # use leftfold::{StreamState, Command, Event, State};
/// # #[derive(Debug, Event)]
/// # enum Bank { Deposited { cents: u64 } }
/// # #[derive(Default)]
/// # struct Account { cents: u64 }
/// # impl State for Account {
/// #     type Event = Bank;
/// #     fn apply(&mut self, Bank::Deposited { cents }: &Bank) { self.cents += cents }
/// # }
/// # struct Deposit { account: &'static str, cents: u64 }
/// # impl Command for Deposit {
/// #     type Event = Bank;
/// #     type Error = std::convert::Infallible;
/// #     type Reads = StreamState<Account>;
/// #     fn reads(&self) -> StreamState<Account> { StreamState::of(self.account) }
/// #     fn decide(&self, _: &Account) -> Result<Vec<Bank>, Self::Error> {
/// #         Ok(vec![Bank::Deposited { cents: self.cents }])
/// #     }
/// # }
/// use std::sync::Arc;
/// use leftfold::{Decider, Embedded, Entities, Options};
///
/// # let dir = tempfile::tempdir()?;
/// let store = Arc::new(Embedded::open(dir.path(), Options::default())?);
/// let accounts = Entities::<Account, _>::new(Decider::new(store)).memory(16 << 20);
/// pollster::block_on(async {
///     let (a, b) = (Deposit { account: "account-1", cents: 5 }, Deposit { account: "account-1", cents: 7 });
///     let (a, b) = (accounts.execute(a), accounts.execute(b));
///     assert_eq!(b.await?.events[0].version, 1);
///     assert_eq!(a.await?.events[0].version, 0);
///     Ok::<_, Box<dyn std::error::Error>>(())
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Entities<S: State, T> {
    inner: Arc<Inner<S, T>>,
}

struct Inner<S: State, T> {
    decider: Decider<T>,
    registry: Registry<S>,
    mailbox: usize,
}

impl<S: State, T> Clone for Entities<S, T> {
    /// Returns a handle to the same entities.
    fn clone(&self) -> Self {
        Entities { inner: self.inner.clone() }
    }
}

impl<S: State, T: EventStore + Clone + 'static> Entities<S, T> {
    /// Makes entities on a decider's store, with its snapshots and its limit of attempts.
    pub fn new(decider: Decider<T>) -> Self {
        Entities::with(decider, MEMORY, MAILBOX)
    }

    fn with(decider: Decider<T>, memory: usize, mailbox: usize) -> Self {
        Entities { inner: Arc::new(Inner { decider, registry: Registry::new(memory), mailbox }) }
    }

    /// Sets the budget for states in memory, as [`State::bytes`] counts them; the default is 64
    /// MiB. Entities with a running batch may exceed it. Call this before the first command.
    pub fn memory(self, bytes: usize) -> Self {
        Entities::with(self.inner.decider.clone(), bytes, self.inner.mailbox)
    }

    /// Sets the maximum of queued commands in one mailbox; the default is 1,024. Further senders
    /// wait for room. Call this before the first command.
    pub fn mailbox(self, commands: usize) -> Self {
        let memory = self.inner.registry.budget();
        Entities::with(self.inner.decider.clone(), memory, commands.max(1))
    }

    /// Sends a command to its entity. It is in the mailbox when this returns, if there is room; the
    /// future waits for the answer.
    ///
    /// Dropping the future withdraws the command, unless it is being decided: then its events may
    /// or may not be written.
    pub fn execute<C>(
        &self,
        command: C,
    ) -> impl Future<Output = Result<Executed<C::Event>, ExecuteError<C::Error>>> + Send + use<C, S, T>
    where
        C: Command<Event = S::Event, Reads: EntityReads<S>> + 'static,
    {
        self.send(CommandContext::new(), command, None)
    }

    /// Sends a command with its metadata. Its id makes it idempotent: it is handled once. The same id
    /// with another command is an error; see [`CommandContext`].
    pub fn execute_as<C>(
        &self,
        issued: CommandContext,
        command: C,
    ) -> impl Future<Output = Result<Executed<C::Event>, ExecuteError<C::Error>>> + Send + use<C, S, T>
    where
        C: Command<Event = S::Event, Reads: EntityReads<S>> + Serialize + 'static,
    {
        // It is sent now, not when the future is first polled: the order of the calls counts.
        let issued = issued.bound_to(&command).map_err(FoldError::from);
        let sent = issued.map(|issued| self.send(issued, command, None));
        async move { sent?.await }
    }

    /// Sends a command with a function that makes the outcome events to append with its events.
    pub(crate) fn send<C>(
        &self,
        issued: CommandContext,
        command: C,
        outcome: Option<OutcomeEvents<C>>,
    ) -> impl Future<Output = Result<Executed<C::Event>, ExecuteError<C::Error>>> + Send + use<C, S, T>
    where
        C: Command<Event = S::Event, Reads: EntityReads<S>> + 'static,
    {
        let mailbox = self.inner.registry.mailbox(command.reads().source());
        let (pending, answer) = PendingCommand::new(issued, command, outcome);
        let unsent = mailbox.send(Box::new(pending), self.inner.mailbox);
        let inner = self.inner.clone();
        async move {
            let answer = inner.answer(mailbox, unsent, answer).await;
            inner.decider.counters().add_answer(&answer);
            answer
        }
    }

    /// Returns how many entities are in memory, and about how many bytes they take.
    pub fn in_memory(&self) -> (usize, usize) {
        self.inner.registry.in_memory()
    }
}

impl<S: State, T: EventStore + Clone + 'static> Inner<S, T> {
    /// Waits for the answer, and runs batches while no other caller does.
    async fn answer<C: Command>(
        &self,
        mailbox: Arc<Mailbox<S>>,
        mut unsent: Option<Box<dyn job::Job<S>>>,
        answer: job::Answer<C>,
    ) -> job::AnswerOf<C> {
        loop {
            // Listen before checking, so that no notification is lost.
            let changed = mailbox.listen();
            if let Some(job) = unsent.take() {
                unsent = mailbox.send(job, self.mailbox);
            }
            if let Some(answer) = answer.take() {
                return answer;
            }
            let work = |batch, loaded| {
                work::run_batch(self.decider.clone(), mailbox.source.clone(), batch, loaded)
            };
            match mailbox.claim_batch(work) {
                Some(claim) => {
                    let bytes = claim.finish().await;
                    self.registry.charge(&mailbox, bytes);
                }
                None => changed.await,
            }
        }
    }
}
