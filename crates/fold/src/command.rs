//! Commands and their decisions.

use std::time::Duration;

use crate::event::Event;
use crate::reads::{Decides, Reads};

/// A request to change state, and how it is decided.
///
/// What a command reads is its consistency boundary: its events are appended only if nothing that
/// it reads has changed in between. `decide` is pure and synchronous. It may be called again with
/// newer states.
///
/// # One stream
///
/// The classic aggregate reads one stream, and its events are appended to that stream. The command
/// need not name it again:
///
/// ```
/// # use leftfold::{StreamState, Command, Event, State, given};
/// # #[derive(Debug, PartialEq, Event)]
/// # enum Bank { Deposited { cents: u64 }, Withdrawn { cents: u64 } }
/// # #[derive(Default)]
/// # struct Account { cents: u64 }
/// # impl State for Account {
/// #     type Event = Bank;
/// #     fn apply(&mut self, event: &Bank) {
/// #         match event {
/// #             Bank::Deposited { cents } => self.cents += cents,
/// #             Bank::Withdrawn { cents } => self.cents -= cents,
/// #         }
/// #     }
/// # }
/// # #[derive(Debug, PartialEq, thiserror::Error)]
/// # enum Refused { #[error("only {cents} cents")] Insufficient { cents: u64 } }
/// struct Withdraw { account: String, cents: u64 }
///
/// impl Command for Withdraw {
///     type Event = Bank;
///     type Error = Refused;
///     type Reads = StreamState<Account>;
///
///     fn reads(&self) -> StreamState<Account> {
///         StreamState::of(format!("account-{}", self.account))
///     }
///
///     fn decide(&self, account: &Account) -> Result<Vec<Bank>, Refused> {
///         if account.cents < self.cents {
///             return Err(Refused::Insufficient { cents: account.cents });
///         }
///         Ok(vec![Bank::Withdrawn { cents: self.cents }])
///     }
/// }
/// # let withdraw = |cents| Withdraw { account: "1".into(), cents };
/// assert_eq!(
///     given([Bank::Deposited { cents: 10 }]).when(withdraw(11)),
///     Err(Refused::Insufficient { cents: 10 }),
/// );
/// ```
///
/// # Several folds
///
/// A command that reads several folds, or one over a query, has no stream of its own. So each event
/// names its target stream; the compiler requires it:
///
/// ```
/// # use leftfold::{StreamState, Command, Emit, Event, State, given};
/// # #[derive(Debug, Clone, PartialEq, Event)]
/// # enum Bank { Deposited { cents: u64 }, Withdrawn { cents: u64 } }
/// # #[derive(Default)]
/// # struct Account { cents: u64 }
/// # impl State for Account {
/// #     type Event = Bank;
/// #     fn apply(&mut self, event: &Bank) {
/// #         match event {
/// #             Bank::Deposited { cents } => self.cents += cents,
/// #             Bank::Withdrawn { cents } => self.cents -= cents,
/// #         }
/// #     }
/// # }
/// # #[derive(Debug, PartialEq, thiserror::Error)]
/// # enum Refused { #[error("only {cents} cents")] Insufficient { cents: u64 } }
/// struct Transfer { from: String, to: String, cents: u64 }
///
/// impl Command for Transfer {
///     type Event = Bank;
///     type Error = Refused;
///     type Reads = (StreamState<Account>, StreamState<Account>);
///
///     fn reads(&self) -> Self::Reads {
///         (StreamState::of(&self.from), StreamState::of(&self.to))
///     }
///
///     fn decide(&self, (from, _to): &(Account, Account)) -> Result<Vec<Emit<Bank>>, Refused> {
///         if from.cents < self.cents {
///             return Err(Refused::Insufficient { cents: from.cents });
///         }
///         Ok(vec![
///             Bank::Withdrawn { cents: self.cents }.to(&self.from),
///             Bank::Deposited { cents: self.cents }.to(&self.to),
///         ])
///     }
/// }
/// # let transfer = |cents| Transfer { from: "account-1".into(), to: "account-2".into(), cents };
/// let deposited = Bank::Deposited { cents: 10 }.to("account-1");
/// assert!(given([deposited.clone()]).when(transfer(10)).is_ok());
/// assert_eq!(given([deposited]).when(transfer(11)), Err(Refused::Insufficient { cents: 10 }));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a command",
    label = "nothing is decided by it",
    note = "write `impl Command for {Self}`: what it reads, and `decide`"
)]
pub trait Command: Send + Sync {
    /// The events that it can produce.
    type Event: Event;

    /// Why it can be refused.
    type Error: std::error::Error + Send + Sync + 'static;

    /// What it reads: [`StreamState`](crate::StreamState) a stream, [`QueryState`](crate::QueryState) a query, a tuple of up to
    /// six of them, or `()` for a command that depends on nothing.
    type Reads: Decides<Self::Event>;

    /// The streams and queries that it reads.
    fn reads(&self) -> Self::Reads;

    /// Decides: returns the events, or why the command is refused. No events means that nothing has
    /// to change.
    fn decide(
        &self,
        states: &<Self::Reads as Reads>::States,
    ) -> Result<<Self::Reads as Decides<Self::Event>>::Events, Self::Error>;

    /// Returns how long the command can wait if the state does not allow it yet; called before
    /// `decide`. Only a command stream stashes such a command; elsewhere the caller gets
    /// [`Waits`](crate::ExecuteError::Waits).
    fn waits(&self, _states: &<Self::Reads as Reads>::States) -> Option<Wait> {
        None
    }
}

/// The answer of a command that the state does not allow yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Wait {
    /// How long it may wait, counted from its acceptance.
    pub at_most: Duration,
}

impl Wait {
    /// Waits at most this long after the command's acceptance; then the command expires.
    pub const fn at_most(time: Duration) -> Self {
        Wait { at_most: time }
    }
}
