//! A store of many partitions in memory. Each partition is an embedded store on a fake disk.
//!
//! It proves that the contract allows such stores, before a cluster exists: it passes
//! `conformance_suite!(fresh, partitioned)`. `docs/partitions.md` says what it promises.

mod append;
mod definitions;
mod engine;
mod event_store;
mod merge;
mod places;
mod read;
mod store;
mod subscription;
mod turns;

pub use store::Partitioned;
pub use subscription::MergedSubscription;
