//! Kafka's protocol: consumers read named indexes as topics, producers append.
//!
//! A topic is a named index, a record an event, an offset an ordinal. `connection.rs` reads requests and sends their answers
//! in their order; `session.rs` admits them; `dispatch.rs` says which there are; `topics/` finds what a topic is; `fetch/` and
//! `produce/` are the two ways of the data. `docs/kafka.md` tells clients what to expect.

mod admin;
mod broker;
mod cluster;
mod connection;
mod dispatch;
mod errors;
mod fetch;
mod groups;
#[cfg(test)]
pub(crate) mod limits;
mod list_offsets;
mod mended;
mod metadata;
mod order;
mod produce;
mod quota;
mod sasl;
mod session;
mod topics;

use std::net::SocketAddr;
use std::sync::Arc;

use leftfold_api::BoxFuture;

pub(crate) use self::broker::Broker;
use crate::net::{Connection, Protocol};

/// The protocol, for the connections of a listener of its own.
pub(crate) struct KafkaProtocol {
    broker: Arc<Broker>,
}

impl KafkaProtocol {
    pub(crate) fn new(broker: Arc<Broker>) -> Self {
        KafkaProtocol { broker }
    }
}

impl Protocol for KafkaProtocol {
    fn serve(self: Arc<Self>, connection: Connection) -> BoxFuture<'static, ()> {
        Box::pin(connection::serve(self.broker.clone(), connection))
    }
}

/// Where a client has reached the server, and who it is, as far as it has said so.
#[derive(Debug, Clone)]
struct Peer {
    /// Its address.
    address: SocketAddr,
    /// The server's address that it has connected to.
    reached: SocketAddr,
}
