//! The cart's events, state and commands.

use std::time::Duration;

use leftfold::{Command, Event, Recordable, State, StreamState, Wait};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The events of a cart.
#[derive(Debug, Clone, PartialEq, Event)]
#[event(category = "cart")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Shop {
    Created { customer: String },
    ItemAdded { item: String },
    CheckedOut,
}

/// The state of a cart: the fold of its stream.
#[derive(Debug, Default, PartialEq)]
pub struct Cart {
    created: bool,
    checked_out: bool,
    /// The items in the cart.
    pub items: Vec<String>,
}

impl State for Cart {
    type Event = Shop;

    fn apply(&mut self, event: &Shop) {
        match event {
            Shop::Created { .. } => self.created = true,
            Shop::ItemAdded { item } => self.items.push(item.clone()),
            Shop::CheckedOut => self.checked_out = true,
        }
    }
}

/// A requested change of a cart.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Wish {
    Create { customer: String },
    AddItem { item: String },
    CheckOut,
}

/// A command: a requested change, and the cart.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct AtCart {
    pub cart: String,
    pub wish: Wish,
}

/// Why a command is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum Refused {
    /// The cart is checked out, so nothing can be added.
    #[error("the cart is checked out")]
    CheckedOut,
}

impl Command for AtCart {
    type Event = Shop;
    type Error = Refused;
    type Reads = StreamState<Cart>;

    fn reads(&self) -> StreamState<Cart> {
        StreamState::of(&self.cart)
    }

    /// All commands but `Create` wait up to an hour until the cart exists.
    fn waits(&self, cart: &Cart) -> Option<Wait> {
        match self.wish {
            Wish::Create { .. } => None,
            _ if cart.created => None,
            _ => Some(Wait::at_most(Duration::from_secs(3_600))),
        }
    }

    fn decide(&self, cart: &Cart) -> Result<Vec<Shop>, Refused> {
        match &self.wish {
            _ if cart.checked_out => Err(Refused::CheckedOut),
            Wish::Create { .. } if cart.created => Ok(vec![]),
            Wish::Create { customer } => Ok(vec![Shop::Created { customer: customer.clone() }]),
            Wish::AddItem { item } => Ok(vec![Shop::ItemAdded { item: item.clone() }]),
            Wish::CheckOut => Ok(vec![Shop::CheckedOut]),
        }
    }
}

impl Recordable for AtCart {}
