//! Real Apache Kafka brokers without containers: jars from Maven Central, one Java process per node,
//! all on 127.0.0.1.
//!
//! [`Cluster::start`] fetches the jars that `pom.xml` pins (once, into the user's cache), formats a
//! directory for each node, starts the nodes on free ports, and waits until every broker lists all
//! others. A single broker is also the controller. With several brokers the controller is a separate
//! process, so the cluster still elects leaders when a broker is killed or paused.
//!
//! Each node can be killed (`SIGKILL`), paused (`SIGSTOP`), resumed and restarted with its port and
//! directory. Nodes end with the process that started them, however it ends. Only
//! [`Cluster::start_detached`] starts nodes that outlive it, and [`detached`] finds them again.
//!
//! ```no_run
//! use leftfold_kafka_broker::{Cluster, Options};
//!
//! let cluster = Cluster::start(&Options { brokers: 3, ..Options::default() })?;
//! cluster.broker(2)?.pause()?;
//! println!("{} took {:?}", cluster.bootstrap(), cluster.timings().ready);
//! # Ok::<(), leftfold_kafka_broker::BrokerError>(())
//! ```

mod cluster;
pub mod detached;
mod error;
mod jars;
mod node;
mod options;
mod probe;

use leftfold_java::Java;

pub use cluster::{Cluster, Timings};
pub use error::BrokerError;
pub use jars::kafka_version;
pub use node::Node;
pub use options::{Listener, Options, Tuning};

/// Checks that the machine has what brokers need: Java, and Maven unless the jars are in the cache.
/// Fetches nothing.
pub fn check() -> Result<(), BrokerError> {
    Java::find()?;
    jars::check()
}

/// Finds Java, and fetches the jars if they are not in the cache.
pub fn prepare() -> Result<(), BrokerError> {
    jars::directory(&Java::find()?).map(drop)
}

/// Returns a command that runs Java with the broker's jars, which hold Kafka's own client too.
pub fn java() -> Result<std::process::Command, BrokerError> {
    let java = Java::find()?;
    let mut command = std::process::Command::new(java.program());
    command.arg("-cp").arg(jars::directory(&java)?.join("*"));
    Ok(command)
}
