//! The client against a real server in this process.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod blocking;
mod chaos;
mod errors;
mod plain;
mod proxy;
mod refusals;
mod secure;
mod served;
mod slow;
mod socket;

/// Every promise of a store holds over the network.
mod conformance {
    leftfold_api::conformance_suite!(crate::served::Served::fresh);
}
