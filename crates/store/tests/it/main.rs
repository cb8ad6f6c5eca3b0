//! The embedded store as its users see it.

mod backups;
mod embedded;
mod faults;
mod partitioned;
mod repair;
mod replay;
mod simulation;
