//! The domain of the tests: bank accounts.

use std::cell::Cell;
use std::sync::Arc;

use leftfold::{
    Append, Command, Embedded, Emit, Event, NewEvent, Options, QueryState, SnapshotPolicy, State,
    StreamState,
};
use leftfold_io::fake::{FakeDisk, ManualClock, SeededRandom};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Event)]
pub(crate) enum Bank {
    Opened {
        #[event(tag)]
        owner: String,
    },
    Deposited {
        cents: u64,
    },
    Withdrawn {
        cents: u64,
    },
}

thread_local! {
    /// The number of events that this thread has folded.
    pub(crate) static FOLDED: Cell<u64> = const { Cell::new(0) };
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) open: bool,
    pub(crate) cents: u64,
    pub(crate) events: u64,
}

impl State for Account {
    type Event = Bank;

    const SNAPSHOTS: Option<SnapshotPolicy<Self>> =
        Some(SnapshotPolicy::json("account", 1).every_events(10));

    fn apply(&mut self, event: &Bank) {
        FOLDED.set(FOLDED.get() + 1);
        self.events += 1;
        match event {
            Bank::Opened { .. } => self.open = true,
            Bank::Deposited { cents } => self.cents += cents,
            Bank::Withdrawn { cents } => self.cents -= cents,
        }
    }
}

/// The number of accounts of an owner.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Accounts(pub(crate) usize);

impl State for Accounts {
    type Event = Bank;

    fn apply(&mut self, event: &Bank) {
        if let Bank::Opened { .. } = event {
            self.0 += 1;
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub(crate) enum Refused {
    #[error("only {cents} cents are left")]
    Insufficient { cents: u64 },
    #[error("the owner already has two accounts")]
    Enough,
}

/// Opens an account. An owner may have two, so the command reads the account and the owner.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Open {
    pub(crate) account: &'static str,
    pub(crate) owner: &'static str,
}

impl Command for Open {
    type Event = Bank;
    type Error = Refused;
    type Reads = (StreamState<Account>, QueryState<Accounts>);

    fn reads(&self) -> Self::Reads {
        (StreamState::of(self.account), QueryState::of(Bank::by_owner(self.owner)))
    }

    fn decide(&self, (account, owner): &(Account, Accounts)) -> Result<Vec<Emit<Bank>>, Refused> {
        match owner.0 {
            _ if account.open => Ok(vec![]),
            2.. => Err(Refused::Enough),
            _ => Ok(vec![Bank::Opened { owner: self.owner.into() }.to(self.account)]),
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Deposit {
    pub(crate) account: String,
    pub(crate) cents: u64,
}

impl Command for Deposit {
    type Event = Bank;
    type Error = Refused;
    type Reads = StreamState<Account>;

    fn reads(&self) -> StreamState<Account> {
        StreamState::of(&self.account)
    }

    fn decide(&self, _: &Account) -> Result<Vec<Bank>, Refused> {
        Ok(vec![Bank::Deposited { cents: self.cents }])
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Withdraw {
    pub(crate) account: String,
    pub(crate) cents: u64,
}

impl Command for Withdraw {
    type Event = Bank;
    type Error = Refused;
    type Reads = StreamState<Account>;

    fn reads(&self) -> StreamState<Account> {
        StreamState::of(&self.account)
    }

    fn decide(&self, account: &Account) -> Result<Vec<Bank>, Refused> {
        if account.cents < self.cents {
            return Err(Refused::Insufficient { cents: account.cents });
        }
        Ok(vec![Bank::Withdrawn { cents: self.cents }])
    }
}

pub(crate) fn deposit(account: impl Into<String>, cents: u64) -> Deposit {
    Deposit { account: account.into(), cents }
}

pub(crate) fn withdraw(account: impl Into<String>, cents: u64) -> Withdraw {
    Withdraw { account: account.into(), cents }
}

/// A command that runs something else before each decision.
pub(crate) struct After<C, F> {
    pub(crate) command: C,
    pub(crate) first: F,
}

impl<C: Serialize, F> Serialize for After<C, F> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.command.serialize(serializer)
    }
}

impl<C: Command, F: Fn() + Send + Sync> Command for After<C, F> {
    type Event = C::Event;
    type Error = C::Error;
    type Reads = C::Reads;

    fn reads(&self) -> C::Reads {
        self.command.reads()
    }

    fn decide(
        &self,
        states: &<C::Reads as leftfold::Reads>::States,
    ) -> Result<<C::Reads as leftfold::Decides<C::Event>>::Events, C::Error> {
        (self.first)();
        self.command.decide(states)
    }
}

/// Returns a store in memory.
pub(crate) fn store() -> Arc<Embedded> {
    store_on(FakeDisk::new())
}

pub(crate) fn store_on(disk: FakeDisk) -> Arc<Embedded> {
    let clock = Arc::new(ManualClock::at(1_000_000));
    let random = Arc::new(SeededRandom::new(7));
    let store = Embedded::open_on(Arc::new(disk), clock, random, Options::default());
    Arc::new(store.unwrap())
}

/// Appends an event, as another process would.
pub(crate) fn put(store: &Embedded, stream: &str, event_type: &str, data: &str) {
    let event = NewEvent::json(event_type, data.to_owned());
    store.blocking().append(Append::new().event(stream, event)).unwrap();
}
