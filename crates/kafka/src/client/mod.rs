//! A cluster: its brokers, and who of them is responsible for what.

mod partition;
mod responsible;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::{ApiVersionsRequest, MetadataResponse};
use parking_lot::Mutex;

use crate::address::Address;
use crate::connection::Connection;
use crate::error::KafkaError;
use crate::security::Security;

pub use partition::Partition;
pub use responsible::PartitionLeader;

/// The time within which a broker must answer a small request to be used.
const SOON: Duration = Duration::from_secs(2);

/// The most brokers that the client remembers beside those of the bootstrap list.
const MOST_LEARNED: usize = 16;

/// The connection to one broker. The lock is held while it is opened, so that it is opened once.
type Slot = Arc<tokio::sync::Mutex<Option<Connection>>>;

/// Finds the leader or coordinator of something, and keeps one connection per broker.
#[derive(Debug)]
pub struct Client {
    bootstrap: Vec<Address>,
    /// The other brokers, as the last metadata named them.
    learned: Mutex<Vec<Address>>,
    /// The broker that answered last.
    answering: Mutex<Option<Address>>,
    patience: Duration,
    security: Security,
    /// Brokers that are reached through a proxy, with the proxy's address.
    detours: HashMap<Address, Address>,
    connections: Mutex<HashMap<Address, Slot>>,
}

impl Client {
    /// Creates a client with bootstrap brokers (`host:port,host:port`). It connects on demand, and resolves names then.
    ///
    /// It waits at most `patience` for any answer.
    ///
    /// # Errors
    /// The text is not a list of addresses.
    pub fn new(bootstrap: &str, patience: Duration) -> Result<Self, KafkaError> {
        let bootstrap = bootstrap.split(',').map(str::parse).collect::<Result<_, _>>()?;
        let (learned, answering, security, detours, connections) = Default::default();
        Ok(Client { bootstrap, learned, answering, patience, security, detours, connections })
    }

    /// Returns a client of the same cluster that waits at most `patience` for any answer. It has its own connections.
    #[must_use]
    pub fn with_patience(&self, patience: Duration) -> Self {
        let (answering, connections) = Default::default();
        Client {
            bootstrap: self.bootstrap.clone(),
            learned: Mutex::new(self.learned.lock().clone()),
            answering,
            patience,
            security: self.security.clone(),
            detours: self.detours.clone(),
            connections,
        }
    }

    /// Protects the connections.
    #[must_use]
    pub fn secured(mut self, security: Security) -> Self {
        self.security = security;
        self
    }

    /// Connects to `through` instead of `broker`. Tests use this to put a proxy before a broker.
    #[must_use]
    pub fn detour(mut self, broker: Address, through: Address) -> Self {
        self.detours.insert(broker, through);
        self
    }

    /// Returns the bootstrap brokers.
    pub fn bootstrap(&self) -> &[Address] {
        &self.bootstrap
    }

    /// Returns the most time that the client waits for an answer.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// Returns a connection to a broker that answers.
    ///
    /// A paused broker still accepts connections, so the client sends each a small request first. It begins with the
    /// broker that answered last, and tries those of the bootstrap list before the others that it has heard of.
    ///
    /// # Errors
    /// No broker answers; the error is that of the last one.
    pub async fn any(&self) -> Result<Connection, KafkaError> {
        let mut last = KafkaError::NoBroker("the cluster".to_owned());
        for address in self.candidates() {
            match self.responsive(&address).await {
                Ok(connection) => {
                    *self.answering.lock() = Some(address);
                    return Ok(connection);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn candidates(&self) -> Vec<Address> {
        let answering = self.answering.lock().clone();
        let learned = self.learned.lock().clone();
        let mut all: Vec<Address> = answering.into_iter().collect();
        for address in self.bootstrap.iter().chain(&learned) {
            if !all.contains(address) {
                all.push(address.clone());
            }
        }
        all
    }

    /// Remembers the brokers that an answer names, in case those of the bootstrap list are away.
    fn learn(&self, answer: &MetadataResponse) {
        let brokers = answer.brokers.iter().take(MOST_LEARNED);
        let brokers = brokers.filter_map(|one| Address::of_answer(&one.host, one.port).ok());
        *self.learned.lock() = brokers.collect();
    }

    /// Returns a connection to the broker at this address; reuses an open one.
    ///
    /// # Errors
    /// The broker is not reachable, or does not answer.
    pub async fn at(&self, address: &Address) -> Result<Connection, KafkaError> {
        let slot = self.slot(address);
        let mut slot = slot.lock().await;
        if let Some(open) = slot.as_ref().filter(|known| known.is_open()) {
            return Ok(open.clone());
        }
        let connection = self.open(address).await?;
        *slot = Some(connection.clone());
        Ok(connection)
    }

    /// Opens a connection of the caller's own to the broker at this address.
    ///
    /// A broker executes the requests of a connection one after the other, so requests that wait, such as Fetch and
    /// Produce, have connections of their own.
    ///
    /// # Errors
    /// The broker is not reachable, or does not answer.
    pub async fn open(&self, address: &Address) -> Result<Connection, KafkaError> {
        let address = self.detours.get(address).unwrap_or(address);
        Connection::open_secured(address, self.patience, &self.security).await
    }

    /// Drops all connections; their clones stay open.
    pub fn disconnect(&self) {
        self.connections.lock().clear();
    }

    /// Makes the next caller open another connection to the broker, because this one may be cut without a sign. Its
    /// clones stay open.
    pub fn forget(&self, connection: &Connection) {
        self.connections.lock().retain(|_, slot| {
            let slot = slot.try_lock();
            slot.map_or(true, |slot| !slot.as_ref().is_some_and(|known| known.is(connection)))
        });
    }

    fn slot(&self, address: &Address) -> Slot {
        let mut connections = self.connections.lock();
        if let Some(known) = connections.get(address) {
            return known.clone();
        }
        // Brokers come and go; what is closed is forgotten when another broker is met.
        connections.retain(|_, slot| {
            slot.try_lock().map_or(true, |slot| slot.as_ref().is_some_and(Connection::is_open))
        });
        connections.entry(address.clone()).or_default().clone()
    }

    /// Returns a connection to this broker if it answers a small request soon.
    async fn responsive(&self, address: &Address) -> Result<Connection, KafkaError> {
        let connection = self.at(address).await?;
        let answer = connection.send(&ApiVersionsRequest::default())?.wait_for(SOON).await;
        if let Err(KafkaError::Timeout { .. }) = answer {
            self.forget(&connection);
        }
        answer.map(|_| connection)
    }
}
