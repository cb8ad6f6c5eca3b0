//! The client against a real server in this process.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod chaos;
mod proxy;
mod served;

/// Every promise of a store holds for one at the other end of a network.
mod conformance {
    leftfold_store::conformance_suite!(|| crate::served::Served::fresh());
}
