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
use super::error::WireError;

/// A broker that takes longer to answer the smallest question is not the one to ask.
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

/// Finds the broker that answers for something, and keeps a connection to each.
#[derive(Debug)]
pub struct Client {
    bootstrap: Vec<SocketAddr>,
    /// Which of them answered last.
    answering: AtomicUsize,
    patience: Duration,
    /// Where to go instead: brokers that are reached through a proxy.
    detours: HashMap<SocketAddr, SocketAddr>,
    connections: Mutex<HashMap<SocketAddr, Connection>>,
}

impl Client {
    /// Knows these brokers to begin with (`host:port,host:port`) and waits no longer than `patience`
    /// for any answer. Connects when it must.
    pub fn new(bootstrap: &str, patience: Duration) -> Result<Self, WireError> {
        let resolve = |host: &str| {
            let found = host.trim().to_socket_addrs().ok().and_then(|mut all| all.next());
            found.ok_or_else(|| WireError::Nobody(host.to_owned()))
        };
        let bootstrap = bootstrap.split(',').map(resolve).collect::<Result<_, _>>()?;
        let (answering, detours, connections) = Default::default();
        Ok(Client { bootstrap, answering, patience, detours, connections })
    }

    /// Goes to `through` whenever it would go to `broker`.
    #[must_use]
    pub fn detour(mut self, broker: SocketAddr, through: SocketAddr) -> Self {
        self.detours.insert(broker, through);
        self
    }

    /// A connection to some broker that answers. One that is paused still takes connections, so each
    /// is asked something first, the one that answered last time before others.
    pub fn any(&self) -> Result<Connection, WireError> {
        let mut last = WireError::Nobody("the cluster".to_owned());
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

    /// A connection to the broker at this address; an open one is used again.
    pub fn at(&self, address: SocketAddr) -> Result<Connection, WireError> {
        let address = self.detours.get(&address).copied().unwrap_or(address);
        let known = self.connections.lock().get(&address).cloned();
        if let Some(open) = known.filter(Connection::is_open) {
            return Ok(open);
        }
        let connection = Connection::open(address, self.patience)?;
        self.connections.lock().insert(address, connection.clone());
        Ok(connection)
    }

    /// Forgets all connections; clones of them stay open.
    pub fn disconnect(&self) {
        self.connections.lock().clear();
    }

    /// What some broker knows of a topic, from one that answers.
    pub fn topic(
        &self,
        topic: &str,
    ) -> Result<(MetadataResponse, MetadataResponseTopic), WireError> {
        let name = TopicName(StrBytes::from_string(topic.to_owned()));
        let wanted = MetadataRequestTopic::default().with_name(Some(name));
        let request = MetadataRequest::default().with_topics(Some(vec![wanted]));
        let mut answer = self.any()?.call(&request)?;
        let found = answer.topics.pop().ok_or_else(|| WireError::Nobody(topic.to_owned()))?;
        WireError::check("MetadataRequest", found.error_code, None)?;
        Ok((answer, found))
    }

    /// What some broker knows of a partition, and the address of its leader.
    pub fn locate(
        &self,
        partition: &Partition,
    ) -> Result<(MetadataResponsePartition, SocketAddr), WireError> {
        let (answer, topic) = self.topic(&partition.topic)?;
        let nobody = || WireError::Nobody(partition.to_string());
        let found =
            topic.partitions.into_iter().find(|found| found.partition_index == partition.number);
        let found = found.ok_or_else(nobody)?;
        let leader = answer.brokers.iter().find(|broker| broker.node_id == found.leader_id);
        let leader = leader.ok_or_else(nobody)?;
        Ok((found, address_of(&leader.host, leader.port)?))
    }

    /// A connection to the partition's leader.
    pub fn leader(&self, partition: &Partition) -> Result<Connection, WireError> {
        let (_, address) = self.locate(partition)?;
        self.at(address)
    }

    /// A connection to the coordinator of a transactional id.
    pub fn coordinator(&self, transactional_id: &str) -> Result<Connection, WireError> {
        let request = FindCoordinatorRequest::default()
            .with_key(StrBytes::from_string(transactional_id.to_owned()))
            .with_key_type(COORDINATOR_OF_TRANSACTIONS);
        let answer = self.any()?.call(&request)?;
        let message = answer.error_message.as_deref();
        WireError::check("FindCoordinatorRequest", answer.error_code, message)?;
        self.at(address_of(&answer.host, answer.port)?)
    }
}

/// The connection, if its broker answers a small question soon.
fn responsive(connection: Connection) -> Result<Connection, WireError> {
    connection.send(&ApiVersionsRequest::default())?.wait_for(SOON)?;
    Ok(connection)
}

fn address_of(host: &str, port: i32) -> Result<SocketAddr, WireError> {
    let nobody = || WireError::Nobody(format!("{host}:{port}"));
    let port = u16::try_from(port).map_err(|_| nobody())?;
    (host, port).to_socket_addrs().ok().and_then(|mut all| all.next()).ok_or_else(nobody)
}

impl Partition {
    /// The first partition of a topic.
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
