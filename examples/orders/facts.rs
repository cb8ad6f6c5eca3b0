use leftfold::{Event, NewEvent, Unencodable};

/// All that is said between the services.
#[derive(Debug, Clone, PartialEq, Event)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Shop {
    Delivered { count: u64 },
    OrderPlaced { item: String, count: u64, cents: u64, address: String },
    Reserved { order: String, count: u64 },
    OutOfStock { order: String },
    Released { order: String, count: u64 },
    FraudChecked { suspicious: bool },
    DetailsChecked { complete: bool },
    OrderConfirmed,
    OrderRejected { item: String, reason: String },
    OrderTimedOut,
}

impl Shop {
    /// As an event of an order: what belongs together has the same correlation.
    pub(crate) fn of_order(&self, order: &str) -> Result<NewEvent, Unencodable> {
        Ok(self.to_new()?.correlation(order))
    }
}

/// The tag by which orders of one item are taken one after the other.
pub(crate) const ITEM: &str = "item";
