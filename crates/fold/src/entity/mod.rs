//! Entities: one writer a stream, with its state at hand.
//!
//! A command for an entity goes into the entity's mailbox. Whoever waits for an answer also does the
//! work: the first to find the mailbox idle takes what waits in it, decides one command after the
//! other on the state in memory, and appends the events of all of them at once. Those who come
//! meanwhile wait, and the next of them takes the next batch. So commands for one entity are decided in
//! the order in which they came, different entities go on side by side on as many threads as their
//! callers have, a hot entity costs no reads and shares its syncs, and nothing has to be spawned.
//!
//! **An answer rests on durable facts.** It is given when the append of its batch is durable; what was
//! decided on events that were then not written is decided again. An append is all or nothing for the
//! whole batch, so it is for each of its commands. A refusal is checked against the store before it is
//! given: another process may have been there.
//!
//! States are in memory as long as the budget allows; those that were not asked for go first, and come
//! back from the snapshot and the events since.

mod job;
mod mailbox;
mod registry;
mod work;

use std::future::Future;
use std::sync::Arc;

use leftfold_api::EventStore;

use crate::command::Command;
use crate::execute::{Decider, ExecuteError, Executed, Issued, OutcomeOf};
use crate::reads::{By, Reads};
use crate::state::State;
use job::Pending;
use mailbox::Mailbox;
use registry::Registry;

/// Bytes of states in memory, unless said otherwise.
const MEMORY: usize = 64 << 20;
/// Commands that wait in one mailbox, unless said otherwise; more wait for room.
const MAILBOX: usize = 1_024;

/// The entities of one kind: what a command is decided on is in memory while it is hot.
///
/// ```
/// # use leftfold::{By, Command, Event, State};
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
/// #     type Reads = By<Account>;
/// #     fn reads(&self) -> By<Account> { By::stream(self.account) }
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
    /// The same entities.
    fn clone(&self) -> Self {
        Entities { inner: self.inner.clone() }
    }
}

impl<S: State, T: EventStore + Clone + 'static> Entities<S, T> {
    /// Entities on a decider's store, with its snapshots and its bound of attempts.
    pub fn new(decider: Decider<T>) -> Self {
        Entities::with(decider, MEMORY, MAILBOX)
    }

    fn with(decider: Decider<T>, memory: usize, mailbox: usize) -> Self {
        Entities { inner: Arc::new(Inner { decider, registry: Registry::new(memory), mailbox }) }
    }

    /// With at most so many bytes of states in memory, as [`State::bytes`] counts them; 64 MiB unless
    /// said otherwise. Entities that are at work count beyond it. Before the first command.
    pub fn memory(self, bytes: usize) -> Self {
        Entities::with(self.inner.decider.clone(), bytes, self.inner.mailbox)
    }

    /// With at most so many commands in one mailbox; 1,024 unless said otherwise. More wait for room.
    /// Before the first command.
    pub fn mailbox(self, commands: usize) -> Self {
        let memory = self.inner.registry.budget();
        Entities::with(self.inner.decider.clone(), memory, commands.max(1))
    }

    /// Sends a command to its entity. It is in the mailbox when this returns, if there is room; the
    /// future waits for the answer.
    ///
    /// Dropping the future takes the command back, unless it is being decided: then its events are
    /// written or not.
    pub fn execute<C>(
        &self,
        command: C,
    ) -> impl Future<Output = Result<Executed<C::Event>, ExecuteError<C::Error>>> + Send + use<C, S, T>
    where
        C: Command<Event = S::Event, Reads = By<S>> + 'static,
        C::Error: 'static,
    {
        self.execute_as(Issued::anonymously(), command)
    }

    /// The same, with what is said of the command beside it: above all its id, by which it is
    /// handled once.
    pub fn execute_as<C>(
        &self,
        issued: Issued,
        command: C,
    ) -> impl Future<Output = Result<Executed<C::Event>, ExecuteError<C::Error>>> + Send + use<C, S, T>
    where
        C: Command<Event = S::Event, Reads = By<S>> + 'static,
        C::Error: 'static,
    {
        self.send(issued, command, None)
    }

    /// Sends a command whose outcome is to be written beside its events.
    pub(crate) fn send<C>(
        &self,
        issued: Issued,
        command: C,
        outcome: Option<OutcomeOf<C>>,
    ) -> impl Future<Output = Result<Executed<C::Event>, ExecuteError<C::Error>>> + Send + use<C, S, T>
    where
        C: Command<Event = S::Event, Reads = By<S>> + 'static,
        C::Error: 'static,
    {
        let stream = command.reads().sources().into_iter().find_map(|source| source.stream);
        let mailbox = self.inner.registry.mailbox(&stream.unwrap_or_default());
        let (pending, answer) = Pending::new(issued, command, outcome);
        let unsent = mailbox.send(Box::new(pending), self.inner.mailbox);
        let inner = self.inner.clone();
        async move { inner.answer(mailbox, unsent, answer).await }
    }

    /// How many entities are in memory, and about how many bytes they take.
    pub fn in_memory(&self) -> (usize, usize) {
        self.inner.registry.in_memory()
    }
}

impl<S: State, T: EventStore + Clone + 'static> Inner<S, T> {
    /// Waits for an answer, and works for it while nobody else does.
    async fn answer<A>(
        &self,
        mailbox: Arc<Mailbox<S>>,
        mut unsent: Option<Box<dyn job::Job<S>>>,
        answer: job::Answer<A>,
    ) -> A {
        loop {
            // Listen before looking: what happens in between is not missed.
            let changed = mailbox.listen();
            if let Some(job) = unsent.take() {
                unsent = mailbox.send(job, self.mailbox);
            }
            if let Some(answer) = answer.take() {
                return answer;
            }
            let work = |batch, loaded| {
                work::work(self.decider.clone(), mailbox.stream.clone(), batch, loaded)
            };
            match mailbox.take_over(work) {
                Some(turn) => {
                    let bytes = turn.finish().await;
                    self.registry.charge(&mailbox, bytes);
                }
                None => changed.await,
            }
        }
    }
}
