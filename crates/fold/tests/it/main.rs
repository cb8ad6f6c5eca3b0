//! The crate as its users see it.

mod bank;
mod evolution;
mod execute;
mod snapshots;
