use std::net::SocketAddr;
use std::time::Duration;

use kafka_protocol::messages::metadata_response::MetadataResponsePartition;
use leftfold_kafka::{Address, KafkaError, Partition};

use super::block_on;
use super::connection::Connection;

/// Finds the leader or coordinator of something, and keeps one connection per broker.
#[derive(Debug)]
pub struct Client(leftfold_kafka::Client);

impl Client {
    /// Creates a client with bootstrap brokers (`host:port,host:port`). It connects on demand.
    ///
    /// It waits at most `patience` for any answer.
    pub fn new(bootstrap: &str, patience: Duration) -> Result<Self, KafkaError> {
        leftfold_kafka::Client::new(bootstrap, patience).map(Client)
    }

    /// Returns a connection to a broker that answers.
    pub fn any(&self) -> Result<Connection, KafkaError> {
        block_on(self.0.any()).map(Connection)
    }

    /// Asks any broker for the metadata of a partition and the address of its leader.
    pub fn locate(
        &self,
        partition: &Partition,
    ) -> Result<(MetadataResponsePartition, SocketAddr), KafkaError> {
        let found = block_on(self.0.locate(partition))?;
        Ok((found.partition, socket_address(&found.address)?))
    }

    /// Returns a connection to the partition's leader.
    pub fn leader(&self, partition: &Partition) -> Result<Connection, KafkaError> {
        block_on(self.0.leader(partition)).map(Connection)
    }

    /// Returns a connection to the coordinator of a transactional id.
    pub fn coordinator(&self, transactional_id: &str) -> Result<Connection, KafkaError> {
        block_on(self.0.coordinator(transactional_id)).map(Connection)
    }
}

/// Converts the address of a broker of the tests, whose host is an IP address.
fn socket_address(address: &Address) -> Result<SocketAddr, KafkaError> {
    let text = address.to_string();
    text.parse().map_err(|_| KafkaError::InvalidAddress(text))
}
