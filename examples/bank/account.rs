//! The bank's events, states and commands: pure code.

use leftfold::{Command, Emit, Event, QueryState, SnapshotPolicy, State, StreamState};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The events of the bank.
#[derive(Debug, Clone, PartialEq, Event)]
#[event(category = "account")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Bank {
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

/// The state of an account: the fold of its stream.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// Whether it was opened.
    pub open: bool,
    /// Its balance.
    pub cents: u64,
}

impl State for Account {
    type Event = Bank;

    const SNAPSHOTS: Option<SnapshotPolicy<Self>> = Some(SnapshotPolicy::json("account", 1));

    fn apply(&mut self, event: &Bank) {
        match event {
            Bank::Opened { .. } => self.open = true,
            Bank::Deposited { cents } => self.cents += cents,
            Bank::Withdrawn { cents } => self.cents -= cents,
        }
    }
}

/// The number of an owner's accounts: the fold of all events with the owner's tag, in any stream.
#[derive(Debug, Default, PartialEq)]
pub struct Owner {
    /// The number of accounts.
    pub accounts: usize,
}

impl State for Owner {
    type Event = Bank;

    fn apply(&mut self, event: &Bank) {
        if let Bank::Opened { .. } = event {
            self.accounts += 1;
        }
    }
}

/// Why the bank refuses a command.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the sentences say it")]
pub enum Refused {
    #[error("there is no such account")]
    NoAccount,
    #[error("the account has only {cents} cents")]
    Insufficient { cents: u64 },
    #[error("an owner has at most three accounts")]
    TooMany,
}

/// Opens an account; an owner has at most three.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Open {
    pub account: String,
    pub owner: String,
}

impl Command for Open {
    type Event = Bank;
    type Error = Refused;
    type Reads = (StreamState<Account>, QueryState<Owner>);

    fn reads(&self) -> Self::Reads {
        (StreamState::of(&self.account), QueryState::of(Bank::by_owner(&self.owner)))
    }

    fn decide(&self, (account, owner): &(Account, Owner)) -> Result<Vec<Emit<Bank>>, Refused> {
        match owner.accounts {
            _ if account.open => Ok(vec![]),
            3.. => Err(Refused::TooMany),
            _ => Ok(vec![Bank::Opened { owner: self.owner.clone() }.to(&self.account)]),
        }
    }
}

/// Deposits money into an account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Deposit {
    pub account: String,
    pub cents: u64,
}

impl Command for Deposit {
    type Event = Bank;
    type Error = Refused;
    type Reads = StreamState<Account>;

    fn reads(&self) -> StreamState<Account> {
        StreamState::of(&self.account)
    }

    fn decide(&self, account: &Account) -> Result<Vec<Bank>, Refused> {
        match account.open {
            true => Ok(vec![Bank::Deposited { cents: self.cents }]),
            false => Err(Refused::NoAccount),
        }
    }
}

/// Withdraws money from an account, if the balance allows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Withdraw {
    pub account: String,
    pub cents: u64,
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

/// Transfers money between two accounts: both events are written, or none.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Transfer {
    pub from: String,
    pub to: String,
    pub cents: u64,
}

impl Command for Transfer {
    type Event = Bank;
    type Error = Refused;
    type Reads = (StreamState<Account>, StreamState<Account>);

    fn reads(&self) -> Self::Reads {
        (StreamState::of(&self.from), StreamState::of(&self.to))
    }

    fn decide(&self, (from, to): &(Account, Account)) -> Result<Vec<Emit<Bank>>, Refused> {
        match from.cents {
            _ if !to.open => Err(Refused::NoAccount),
            cents if cents < self.cents => Err(Refused::Insufficient { cents }),
            _ => Ok(vec![
                Bank::Withdrawn { cents: self.cents }.to(&self.from),
                Bank::Deposited { cents: self.cents }.to(&self.to),
            ]),
        }
    }
}
