//! The outbox of a real PostgreSQL.

mod crashes;
mod database;
mod findings;
mod order;
mod replication;
mod rows;
mod tls;
