//! Real Apache Kafka brokers, without a container: jars from Maven Central, one Java process a node,
//! everything on 127.0.0.1.
//!
//! [`Cluster::start`] fetches the jars that `pom.xml` pins (once, into the user's cache), formats a
//! directory for each node, starts the nodes on free ports and waits until every broker, asked over
//! its own protocol, knows all the others. With one broker, that process is the controller too. With
//! several, the controller is a process of its own, so that any broker can be killed or paused and
//! the cluster still elects leaders.
//!
//! Each node can be killed (`SIGKILL`), paused (`SIGSTOP`), resumed and restarted on its old port and
//! directory. Nodes end with the process that started them, however that one ends; only
//! [`Cluster::start_detached`] starts nodes that live on, and [`detached`] finds them again.
//!
//! ```no_run
//! use leftfold_kafka_broker::{Cluster, Options};
//!
//! let cluster = Cluster::start(&Options { brokers: 3, ..Options::default() })?;
//! cluster.broker(2)?.pause()?;
//! println!("{} took {:?}", cluster.bootstrap(), cluster.timings().ready);
//! # Ok::<(), leftfold_kafka_broker::BrokerError>(())
//! ```

mod ask;
mod cluster;
pub mod detached;
mod directory;
mod error;
mod jars;
mod java;
mod node;
mod options;
mod ports;
mod process;

pub use cluster::{Cluster, Timings};
pub use error::BrokerError;
pub use jars::kafka_version;
pub use node::Node;
pub use options::{Options, Tuning};

/// Looks for what brokers need on this machine, and fetches nothing: Java, and Maven unless the jars are
/// in the cache.
pub fn check() -> Result<(), BrokerError> {
    java::Java::find().and_then(|_| jars::check())
}

/// Looks for Java, and fetches the jars if they are not in the cache.
pub fn prepare() -> Result<(), BrokerError> {
    java::Java::find().and_then(|java| jars::directory(&java)).map(|_| ())
}
