//! The crate as its users see it.

mod bank;
mod commands;
mod entities;
mod evolution;
mod execute;
mod golden;
mod snapshots;
