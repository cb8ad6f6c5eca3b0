//! The conformance suite over HTTP, by a store that speaks it.

mod convert;
mod store;

use std::sync::Arc;

leftfold_api::conformance_suite!(|| Arc::new(store::HttpStore::fresh()));
