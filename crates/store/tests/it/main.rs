//! The embedded store as its users see it.

mod backups;
mod embedded;
mod faults;
mod repair;
mod replay;
mod simulation;
