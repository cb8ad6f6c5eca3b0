use leftfold::Event;

/// The events that the services exchange. Those of an order have it as their correlation id.
#[derive(Debug, Clone, PartialEq, Event)]
#[event(category = "order")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Shop {
    Delivered {
        count: u64,
    },
    OrderPlaced {
        #[event(tag)]
        item: String,
        count: u64,
        cents: u64,
        address: String,
    },
    Reserved {
        order: String,
        count: u64,
    },
    OutOfStock {
        order: String,
    },
    Released {
        order: String,
        count: u64,
    },
    FraudChecked {
        suspicious: bool,
    },
    DetailsChecked {
        complete: bool,
    },
    OrderConfirmed,
    OrderRejected {
        #[event(tag)]
        item: String,
        reason: String,
    },
    OrderTimedOut,
}
