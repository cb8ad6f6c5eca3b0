use std::net::SocketAddr;
use std::sync::Arc;

use leftfold_api::BoxFuture;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::OwnedSemaphorePermit;

use super::threads::ThreadSlot;
use super::{ByteStream, Shutdown};
use crate::limits::Lease;

/// A protocol that serves connections.
pub(crate) trait Protocol: Send + Sync + 'static {
    /// Returns the names by which clients choose the protocol in the TLS handshake (ALPN), the
    /// preferred first. Without names the handshake chooses none.
    fn alpn(&self) -> Vec<Vec<u8>> {
        Vec::new()
    }

    /// Serves a connection until it ends. It runs on the connection's thread and must not block it.
    ///
    /// After the shutdown signal it finishes what is in flight and returns; what is not finished
    /// within `shutdown_time` is cut off.
    fn serve(self: Arc<Self>, connection: Connection) -> BoxFuture<'static, ()>;
}

/// An accepted connection.
pub(crate) struct Connection {
    /// Its bytes, without TLS. A write that the client does not take within `write_time` fails.
    pub(crate) stream: ByteStream,
    /// The client's address.
    pub(crate) peer: SocketAddr,
    /// The server's address that the client has connected to.
    pub(crate) local: SocketAddr,
    /// The signal that the server is shutting down.
    pub(crate) shutdown: Shutdown,
    /// Its place in the limits, until this is dropped.
    pub(crate) slot: ConnectionSlot,
}

/// One of the connections that a limit allows, with its place on a thread; freed when dropped.
pub(crate) struct ConnectionSlot {
    pub(super) gauge: Gauge,
    /// The share of its address is given back first: the next connection takes the permit, and then its share.
    pub(super) _permit: (Lease, OwnedSemaphorePermit),
    pub(super) _seat: ThreadSlot,
}

impl ConnectionSlot {
    pub(super) fn new(
        gauge: Gauge,
        permit: (Lease, OwnedSemaphorePermit),
        seat: ThreadSlot,
    ) -> Self {
        gauge.inc();
        ConnectionSlot { gauge, _permit: permit, _seat: seat }
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}
