//! What the experiments on Apache Kafka are made of.
//!
//! - [`wire`]: a small client of Kafka's protocol that does exactly what it is told: this producer
//!   id, this epoch, this sequence, this version of the request.
//! - [`proxy`]: a TCP proxy between a client and a broker that holds, drops and replays requests.
//! - [`admin`]: topics, settings, leaders, what a broker remembers of producers.
//! - [`owner`]: one writer of one partition, in the way that `docs/cluster-fencing.md` chooses, and
//!   the rule by which every reader finds out which records count.
//!
//! The brokers themselves come from `leftfold-kafka-broker`.

pub mod admin;
pub mod owner;
pub mod proxy;
pub mod wire;

pub use leftfold_kafka_broker as broker;
