//! The conformance suite over HTTP, by a store that speaks it.

mod convert;
pub(crate) mod store;

use std::sync::Arc;

leftfold_api::conformance_suite!(|| Arc::new(store::HttpStore::fresh()));
