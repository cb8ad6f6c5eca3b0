//! The crate as its users see it.

mod bank;
mod entities;
mod evolution;
mod execute;
mod snapshots;
