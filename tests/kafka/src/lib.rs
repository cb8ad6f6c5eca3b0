//! The tools of the experiments on Apache Kafka.
//!
//! - [`wire`]: the client of `leftfold-kafka`, for code that blocks. Its caller chooses everything: the
//!   producer id, the epoch, the sequence, the version of the request.
//! - [`proxy`]: a TCP proxy between a client and a broker that holds, drops and replays requests.
//! - [`admin`]: topics, settings, leaders, and the producers that a broker remembers.
//! - [`owner`]: the only writer of a partition, as `docs/cluster-fencing.md` describes it, and the
//!   rule by which every reader decides which records count.
//!
//! The brokers come from `leftfold-kafka-broker`.

pub mod admin;
pub mod owner;
pub mod proxy;
pub mod wire;

pub use leftfold_kafka_broker as broker;
