//! The bank's events, its states and its commands. All of it is pure.

use leftfold::{By, Command, Emit, Event, Kept, Over, Query, State};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What can happen at the bank.
#[derive(Debug, Clone, PartialEq, Event)]
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

/// An account: what its stream comes to.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// Whether it is there.
    pub open: bool,
    /// What is on it.
    pub cents: u64,
}

impl State for Account {
    type Event = Bank;

    const KEPT: Option<Kept<Self>> = Some(Kept::json("account", 1));

    fn apply(&mut self, event: &Bank) {
        match event {
            Bank::Opened { .. } => self.open = true,
            Bank::Deposited { cents } => self.cents += cents,
            Bank::Withdrawn { cents } => self.cents -= cents,
        }
    }
}

/// How many accounts somebody has: what all events with his tag come to, in whatever streams.
#[derive(Debug, Default, PartialEq)]
pub struct Owner {
    /// How many.
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

/// Why the bank says no.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the sentences say it")]
pub enum Refused {
    #[error("there is no such account")]
    NoAccount,
    #[error("only {cents} cents are there")]
    Insufficient { cents: u64 },
    #[error("nobody has more than three accounts")]
    TooMany,
}

/// Opens an account; nobody has more than three.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Open {
    pub account: String,
    pub owner: String,
}

impl Command for Open {
    type Event = Bank;
    type Error = Refused;
    type Reads = (By<Account>, Over<Owner>);

    fn reads(&self) -> Self::Reads {
        (By::stream(&self.account), Over::query(Query::tag("owner", &self.owner)))
    }

    fn decide(&self, (account, owner): &(Account, Owner)) -> Result<Vec<Emit<Bank>>, Refused> {
        match owner.accounts {
            _ if account.open => Ok(vec![]),
            3.. => Err(Refused::TooMany),
            _ => Ok(vec![Bank::Opened { owner: self.owner.clone() }.to(&self.account)]),
        }
    }
}

/// Puts money into an account.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Deposit {
    pub account: String,
    pub cents: u64,
}

impl Command for Deposit {
    type Event = Bank;
    type Error = Refused;
    type Reads = By<Account>;

    fn reads(&self) -> By<Account> {
        By::stream(&self.account)
    }

    fn decide(&self, account: &Account) -> Result<Vec<Bank>, Refused> {
        match account.open {
            true => Ok(vec![Bank::Deposited { cents: self.cents }]),
            false => Err(Refused::NoAccount),
        }
    }
}

/// Takes money out of an account, if it is there.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Withdraw {
    pub account: String,
    pub cents: u64,
}

impl Command for Withdraw {
    type Event = Bank;
    type Error = Refused;
    type Reads = By<Account>;

    fn reads(&self) -> By<Account> {
        By::stream(&self.account)
    }

    fn decide(&self, account: &Account) -> Result<Vec<Bank>, Refused> {
        if account.cents < self.cents {
            return Err(Refused::Insufficient { cents: account.cents });
        }
        Ok(vec![Bank::Withdrawn { cents: self.cents }])
    }
}

/// Moves money from one account to another: both events are written, or none.
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
    type Reads = (By<Account>, By<Account>);

    fn reads(&self) -> Self::Reads {
        (By::stream(&self.from), By::stream(&self.to))
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
