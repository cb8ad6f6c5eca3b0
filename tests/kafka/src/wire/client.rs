use std::collections::HashMap;
use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponse, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    ApiVersionsRequest, FindCoordinatorRequest, MetadataRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use parking_lot::Mutex;

use super::connection::Connection;
use leftfold_kafka::KafkaError;

/// The time within which a broker must answer a small request to be used.
const SOON: Duration = Duration::from_secs(2);

const COORDINATOR_OF_TRANSACTIONS: i8 = 1;

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Partition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's number in it.
    pub number: i32,
}

/// Finds the leader or coordinator of something, and keeps one connection per broker.
#[derive(Debug)]
pub struct Client {
    bootstrap: Vec<SocketAddr>,
    /// The index of the bootstrap broker that answered last.
    answering: AtomicUsize,
    patience: Duration,
    /// Brokers that are reached through a proxy, with the proxy's address.
    detours: HashMap<SocketAddr, SocketAddr>,
    connections: Mutex<HashMap<SocketAddr, Connection>>,
}

impl Client {
    /// Creates a client with bootstrap brokers (`host:port,host:port`). It connects on demand.
    ///
    /// It waits at most `patience` for any answer.
    pub fn new(bootstrap: &str, patience: Duration) -> Result<Self, KafkaError> {
        let resolve = |host: &str| {
            let found = host.trim().to_socket_addrs().ok().and_then(|mut all| all.next());
            found.ok_or_else(|| KafkaError::NoBroker(host.to_owned()))
        };
        let bootstrap = bootstrap.split(',').map(resolve).collect::<Result<_, _>>()?;
        let (answering, detours, connections) = Default::default();
        Ok(Client { bootstrap, answering, patience, detours, connections })
    }

    /// Connects to `through` instead of `broker`.
    #[must_use]
    pub fn detour(mut self, broker: SocketAddr, through: SocketAddr) -> Self {
        self.detours.insert(broker, through);
        self
    }

    /// Returns a connection to a broker that answers.
    ///
    /// A paused broker still accepts connections, so the client sends each a small request first. It
    /// begins with the broker that answered last.
    pub fn any(&self) -> Result<Connection, KafkaError> {
        let mut last = KafkaError::NoBroker("the cluster".to_owned());
        let count = self.bootstrap.len();
        let first = self.answering.load(Ordering::Relaxed);
        for at in (0..count).map(|step| (first + step) % count.max(1)) {
            let Some(address) = self.bootstrap.get(at) else { continue };
            match self.at(*address).and_then(responsive) {
                Ok(connection) => {
                    self.answering.store(at, Ordering::Relaxed);
                    return Ok(connection);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Returns a connection to the broker at this address; reuses an open one.
    pub fn at(&self, address: SocketAddr) -> Result<Connection, KafkaError> {
        let address = self.detours.get(&address).copied().unwrap_or(address);
        let known = self.connections.lock().get(&address).cloned();
        if let Some(open) = known.filter(Connection::is_open) {
            return Ok(open);
        }
        let connection = Connection::open(address, self.patience)?;
        self.connections.lock().insert(address, connection.clone());
        Ok(connection)
    }

    /// Drops all connections; their clones stay open.
    pub fn disconnect(&self) {
        self.connections.lock().clear();
    }

    /// Asks any broker for the metadata of a topic.
    pub fn topic(
        &self,
        topic: &str,
    ) -> Result<(MetadataResponse, MetadataResponseTopic), KafkaError> {
        let name = TopicName(StrBytes::from_string(topic.to_owned()));
        let wanted = MetadataRequestTopic::default().with_name(Some(name));
        let request = MetadataRequest::default().with_topics(Some(vec![wanted]));
        let mut answer = self.any()?.call(&request)?;
        let found = answer.topics.pop().ok_or_else(|| KafkaError::NoBroker(topic.to_owned()))?;
        KafkaError::check("MetadataRequest", found.error_code, None)?;
        Ok((answer, found))
    }

    /// Asks any broker for the metadata of a partition and the address of its leader.
    pub fn locate(
        &self,
        partition: &Partition,
    ) -> Result<(MetadataResponsePartition, SocketAddr), KafkaError> {
        let (answer, topic) = self.topic(&partition.topic)?;
        let missing = || KafkaError::NoBroker(partition.to_string());
        let found =
            topic.partitions.into_iter().find(|found| found.partition_index == partition.number);
        let found = found.ok_or_else(missing)?;
        let leader = answer.brokers.iter().find(|broker| broker.node_id == found.leader_id);
        let leader = leader.ok_or_else(missing)?;
        Ok((found, address_of(&leader.host, leader.port)?))
    }

    /// Returns a connection to the partition's leader.
    pub fn leader(&self, partition: &Partition) -> Result<Connection, KafkaError> {
        let (_, address) = self.locate(partition)?;
        self.at(address)
    }

    /// Returns a connection to the coordinator of a transactional id.
    pub fn coordinator(&self, transactional_id: &str) -> Result<Connection, KafkaError> {
        let request = FindCoordinatorRequest::default()
            .with_key(StrBytes::from_string(transactional_id.to_owned()))
            .with_key_type(COORDINATOR_OF_TRANSACTIONS);
        let answer = self.any()?.call(&request)?;
        let message = answer.error_message.as_deref();
        KafkaError::check("FindCoordinatorRequest", answer.error_code, message)?;
        self.at(address_of(&answer.host, answer.port)?)
    }
}

/// Returns the connection if its broker answers a small request soon.
fn responsive(connection: Connection) -> Result<Connection, KafkaError> {
    connection.send(&ApiVersionsRequest::default())?.wait_for(SOON)?;
    Ok(connection)
}

fn address_of(host: &str, port: i32) -> Result<SocketAddr, KafkaError> {
    let missing = || KafkaError::NoBroker(format!("{host}:{port}"));
    let port = u16::try_from(port).map_err(|_| missing())?;
    (host, port).to_socket_addrs().ok().and_then(|mut all| all.next()).ok_or_else(missing)
}

impl Partition {
    /// Returns the first partition of a topic.
    pub fn first_of(topic: &str) -> Self {
        Partition { topic: topic.into(), number: 0 }
    }

    pub(crate) fn topic_name(&self) -> TopicName {
        TopicName(StrBytes::from_string(self.topic.to_string()))
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.number)
    }
}
