use std::sync::Arc;

use leftfold::react::{Cause, HandlerError, Reactor};
use leftfold::{Embedded, Event};

#[derive(Event)]
enum Bank {
    Deposited { cents: u64 },
}

fn thanks(store: Arc<Embedded>) {
    let thank = |cause: Cause| async move {
        Ok::<_, HandlerError>(cause.event.stream().to_owned())
    };
    let _ = Reactor::new("thanks", Bank::of_deposited(), store, thank).catch_up();
}

fn main() {}
