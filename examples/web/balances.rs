//! The balance of each account, as a view.

use leftfold::view::{RowView, TypedRows, ViewError};
use serde::{Deserialize, Serialize};

use crate::bank::Bank;

/// The balance of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Balance {
    pub account: String,
    pub cents: u64,
}

/// The view of all balances: a row for each account's stream.
pub struct Balances;

impl RowView for Balances {
    type Event = Bank;
    type Key = String;
    type Row = Balance;

    fn name(&self) -> &str {
        "balances"
    }

    fn apply(&self, rows: &mut TypedRows<'_, Self>, event: Bank) -> Result<(), ViewError> {
        let account = rows.recorded().stream().to_owned();
        match event {
            Bank::Opened { .. } => rows.put(&account.clone(), &Balance { account, cents: 0 }),
            Bank::Deposited { cents } => rows.update(&account, |row| row.cents += cents),
            Bank::Withdrawn { cents } => rows.update(&account, |row| row.cents -= cents),
        }
    }
}
