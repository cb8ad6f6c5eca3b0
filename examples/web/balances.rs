//! The balance of each account, as a view.

use leftfold::view::{RowStore, Rows, View, ViewError};
use leftfold::{Query, Recorded, decode};
use serde::Serialize;

use crate::bank::Bank;

/// The balance of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Balance {
    /// The account.
    pub account: String,
    /// Its cents.
    pub cents: u64,
}

/// The view of all balances: the account's stream leads to its cents.
pub struct Balances;

impl View for Balances {
    fn name(&self) -> &str {
        "balances"
    }

    fn query(&self) -> Query {
        Query::category("account")
    }

    fn apply(&self, rows: &mut dyn Rows, event: &Recorded) -> Result<(), ViewError> {
        let account = event.stream().as_bytes();
        let cents = rows.get(account)?.map_or(0, |cents| cents_of(&cents));
        let cents = match decode(event)? {
            Some(Bank::Opened { .. }) | None => cents,
            Some(Bank::Deposited { cents: added }) => cents.saturating_add(added),
            Some(Bank::Withdrawn { cents: taken }) => cents.saturating_sub(taken),
        };
        rows.put(account, &cents.to_be_bytes())
    }
}

fn cents_of(value: &[u8]) -> u64 {
    value.try_into().map_or(0, u64::from_be_bytes)
}

/// Returns the balance of an account, or `None` if there is no such account.
pub fn balance_of(rows: &dyn RowStore, account: &str) -> Result<Option<Balance>, ViewError> {
    let cents = rows.get(account.as_bytes())?;
    Ok(cents.map(|cents| Balance { account: account.to_owned(), cents: cents_of(&cents) }))
}
