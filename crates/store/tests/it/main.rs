//! Tests of the embedded store through its public interface.

mod backups;
mod elsewhere;
mod embedded;
mod event_ids;
mod faults;
mod import;
mod last_only;
mod partitioned;
mod repair;
mod replay;
mod replica;
mod simulation;
mod transfer;
