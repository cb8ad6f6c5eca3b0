//! The fraud and details services: two checks that need only the order.

use std::sync::Arc;

use leftfold::react::{Cause, Handler, HandlerError, Reaction, Reactor};
use leftfold::{Event, EventStore, decode};

use crate::orders::Shop;

/// The price from which an order is suspicious.
const SUSPICIOUS_CENTS: u64 = 100_000;

/// Makes the fraud service.
pub fn fraud<S>(store: Arc<S>) -> Reactor<S, impl Handler>
where
    S: EventStore + 'static,
{
    check("fraud", store, |cents, _| Shop::FraudChecked { suspicious: cents >= SUSPICIOUS_CENTS })
}

/// Makes the service that checks an order's details.
pub fn details<S>(store: Arc<S>) -> Reactor<S, impl Handler>
where
    S: EventStore + 'static,
{
    check("details", store, |_, address| Shop::DetailsChecked { complete: !address.is_empty() })
}

fn check<S>(
    name: &'static str,
    store: Arc<S>,
    verdict: fn(u64, &str) -> Shop,
) -> Reactor<S, impl Handler>
where
    S: EventStore + 'static,
{
    let handler = move |cause: Cause| async move {
        let Some(Shop::OrderPlaced { cents, address, .. }) = decode(&cause.event)? else {
            return Ok(Reaction::none());
        };
        let order = cause.event.correlation().unwrap_or_default();
        let checked = verdict(cents, &address).to(format!("{name}-{order}"));
        Ok::<_, HandlerError>(Reaction::none().emit(checked))
    };
    Reactor::new(name, Shop::of_order_placed(), store, handler)
}
