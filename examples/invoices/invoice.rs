//! The invoice's events, state and commands.

use leftfold::{Command, Event, Recordable, SnapshotPolicy, State, StreamState};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The events of an invoice.
#[derive(Debug, Clone, PartialEq, Event)]
#[event(category = "invoice", prefix = "Invoice")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Billing {
    Issued {
        #[event(tag)]
        customer: String,
        cents: u64,
    },
    Paid {
        cents: u64,
    },
    Cancelled,
}

/// The state of an invoice: the fold of its stream.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Invoice {
    issued: bool,
    cancelled: bool,
    /// The cents that are still due.
    pub due: u64,
}

impl State for Invoice {
    type Event = Billing;

    const SNAPSHOTS: Option<SnapshotPolicy<Self>> = Some(SnapshotPolicy::json("invoice", 1));

    fn apply(&mut self, event: &Billing) {
        match event {
            Billing::Issued { cents, .. } => (self.issued, self.due) = (true, *cents),
            Billing::Paid { cents } => self.due -= cents,
            Billing::Cancelled => (self.cancelled, self.due) = (true, 0),
        }
    }
}

/// A requested change of an invoice.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Action {
    Issue { customer: String, cents: u64 },
    Pay { cents: u64 },
    Cancel,
}

/// A command: a requested change, and the invoice.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Request {
    pub invoice: String,
    pub what: Action,
}

/// Why a command is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the sentences say it")]
pub enum Refused {
    #[error("there is no such invoice")]
    Unknown,
    #[error("there is already an invoice of this number")]
    Taken,
    #[error("only {due} cents are due")]
    TooMuch { due: u64 },
    #[error("the invoice is cancelled")]
    Cancelled,
}

impl Command for Request {
    type Event = Billing;
    type Error = Refused;
    type Reads = StreamState<Invoice>;

    fn reads(&self) -> StreamState<Invoice> {
        StreamState::of(&self.invoice)
    }

    fn decide(&self, invoice: &Invoice) -> Result<Vec<Billing>, Refused> {
        match self.what.clone() {
            Action::Issue { .. } if invoice.issued => Err(Refused::Taken),
            Action::Issue { customer, cents } => Ok(vec![Billing::Issued { customer, cents }]),
            _ if !invoice.issued => Err(Refused::Unknown),
            _ if invoice.cancelled => Err(Refused::Cancelled),
            Action::Pay { cents } if cents > invoice.due => {
                Err(Refused::TooMuch { due: invoice.due })
            }
            Action::Pay { cents } => Ok(vec![Billing::Paid { cents }]),
            Action::Cancel => Ok(vec![Billing::Cancelled]),
        }
    }
}

impl Recordable for Request {}
