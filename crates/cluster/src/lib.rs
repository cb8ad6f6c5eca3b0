//! The event store with Apache Kafka as its log, on many nodes.
//!
//! A partition is a whole store whose batches are committed by Kafka instead of by `fdatasync`. One node owns it and
//! admits appends; the others apply the same records to their own copies. Who may write is decided by the order of the
//! log ([`ledger`]).

pub mod broker;
<<<<<<< HEAD
pub mod group;
=======
pub mod kafka_broker;
>>>>>>> 84bde19 (cluster: deliver appends to a partition in Kafka, in order)
pub mod ledger;
<<<<<<< HEAD
pub mod record;
=======
pub mod topic;
>>>>>>> d6a883b (cluster: create topics and check their settings)
