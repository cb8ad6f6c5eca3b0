use leftfold::{Event, NewEvent, Unencodable};

/// The events that the services exchange.
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
    /// Returns it as an event of an order, with the order as its correlation.
    pub(crate) fn of_order(&self, order: &str) -> Result<NewEvent, Unencodable> {
        Ok(self.to_new()?.correlation(order))
    }
}

/// The key of the tag that orders events of one item.
pub(crate) const ITEM: &str = "item";
