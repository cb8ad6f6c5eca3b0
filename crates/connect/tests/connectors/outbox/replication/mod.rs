//! Rows that come by logical replication.

mod begin;
mod crashes;
mod findings;
mod flow;
mod login;
mod refused;
mod slot;
mod standby;
