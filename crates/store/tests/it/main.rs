//! Tests of the embedded store through its public interface.

mod backups;
mod embedded;
mod faults;
mod import;
mod partitioned;
mod repair;
mod replay;
mod simulation;
