//! An invoice and what may be requested of it.

use leftfold::{By, Command, Event, Kept, Recordable, State};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What can happen to an invoice.
#[derive(Debug, Clone, PartialEq, Event)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Billing {
    #[event(name = "InvoiceIssued")]
    Issued {
        #[event(tag)]
        customer: String,
        cents: u64,
    },
    #[event(name = "InvoicePaid")]
    Paid { cents: u64 },
    #[event(name = "InvoiceCancelled")]
    Cancelled,
}

/// An invoice: what its stream comes to.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Invoice {
    issued: bool,
    cancelled: bool,
    /// What is still to be paid.
    pub due: u64,
}

impl State for Invoice {
    type Event = Billing;

    const KEPT: Option<Kept<Self>> = Some(Kept::json("invoice", 1));

    fn apply(&mut self, event: &Billing) {
        match event {
            Billing::Issued { cents, .. } => (self.issued, self.due) = (true, *cents),
            Billing::Paid { cents } => self.due -= cents,
            Billing::Cancelled => (self.cancelled, self.due) = (true, 0),
        }
    }
}

/// What is requested.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub enum What {
    Issue { customer: String, cents: u64 },
    Pay { cents: u64 },
    Cancel,
}

/// A request, and of which invoice.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Request {
    pub invoice: String,
    pub what: What,
}

/// Why it is not done.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the sentences say it")]
pub enum Refused {
    #[error("there is no such invoice")]
    Unknown,
    #[error("the number is taken")]
    Taken,
    #[error("only {due} cents are due")]
    TooMuch { due: u64 },
    #[error("the invoice is cancelled")]
    Cancelled,
}

impl Command for Request {
    type Event = Billing;
    type Error = Refused;
    type Reads = By<Invoice>;

    fn reads(&self) -> By<Invoice> {
        By::stream(&self.invoice)
    }

    fn decide(&self, invoice: &Invoice) -> Result<Vec<Billing>, Refused> {
        match self.what.clone() {
            What::Issue { .. } if invoice.issued => Err(Refused::Taken),
            What::Issue { customer, cents } => Ok(vec![Billing::Issued { customer, cents }]),
            _ if !invoice.issued => Err(Refused::Unknown),
            _ if invoice.cancelled => Err(Refused::Cancelled),
            What::Pay { cents } if cents > invoice.due => {
                Err(Refused::TooMuch { due: invoice.due })
            }
            What::Pay { cents } => Ok(vec![Billing::Paid { cents }]),
            What::Cancel => Ok(vec![Billing::Cancelled]),
        }
    }
}

impl Recordable for Request {}
