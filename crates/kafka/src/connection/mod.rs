//! A connection to one broker.

mod frame;
mod link;
mod reply;
mod versions;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::ApiVersionsRequest;
use kafka_protocol::protocol::Request;
use tokio::io::split;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::address::Address;
use crate::error::KafkaError;
use crate::security::{Security, Tls};
use link::Link;
use versions::Versions;

pub use frame::decode_answer;
pub use reply::Reply;
pub(crate) use versions::name;

/// The most time for connecting with the handshake of TLS, and then for the first answer.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// A connection to one broker. Clones share it; the last clone closes it.
///
/// Requests are written in the order of the calls to [`send`](Self::send) and answered in that order. The number and
/// the bytes of the requests in flight are bounded.
#[derive(Debug, Clone)]
pub struct Connection(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    link: Link,
    versions: Versions,
    patience: Duration,
}

impl Connection {
    /// Connects and asks for the versions that the broker supports. It must be called within a Tokio runtime.
    ///
    /// The connection waits at most `patience` for any answer.
    ///
    /// # Errors
    /// The broker is not reachable, or does not answer.
    pub async fn open(address: &Address, patience: Duration) -> Result<Self, KafkaError> {
        Self::open_secured(address, patience, &Security::default()).await
    }

    /// Connects, encrypts the stream, asks for the versions, and authenticates.
    ///
    /// # Errors
    /// As [`open`](Self::open), or one side does not trust the other.
    pub async fn open_secured(
        address: &Address,
        patience: Duration,
        security: &Security,
    ) -> Result<Self, KafkaError> {
        let opening = timeout(CONNECT_PATIENCE, open_link(address, security.tls.as_ref())).await;
        let link = opening.unwrap_or_else(|late| Err(late.into()));
        let link = link.map_err(|error| KafkaError::Connect {
            address: address.clone(),
            source: Arc::new(error),
        })?;
        let mut inner = Inner { link, versions: Versions::first(), patience };
        let answer = inner.send(0, &ApiVersionsRequest::default())?;
        let answer = answer.wait_for(patience.min(CONNECT_PATIENCE)).await?;
        KafkaError::check("ApiVersionsRequest", answer.error_code, None)?;
        let versions = answer.api_keys.iter();
        let versions = versions.map(|api| (api.api_key, (api.min_version, api.max_version)));
        inner.versions = Versions(versions.collect::<BTreeMap<_, _>>());
        let connection = Connection(Arc::new(inner));
        if let Some(sasl) = &security.sasl {
            sasl.authenticate(&connection).await?;
        }
        Ok(connection)
    }

    /// Returns the broker's address.
    pub fn address(&self) -> &Address {
        self.0.link.address()
    }

    /// Returns the most time that the connection waits for an answer.
    pub fn patience(&self) -> Duration {
        self.0.patience
    }

    /// Sends a request in the newest version that both sides support. It does not wait.
    ///
    /// # Errors
    /// The connection is closed, its queue is full, or the broker has no fitting version. Nothing was sent.
    pub fn send<R: Request>(&self, request: &R) -> Result<Reply<R>, KafkaError> {
        self.0.send(self.0.versions.newest::<R>()?, request)
    }

    /// Sends a request in exactly this version. It does not wait.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_at<R: Request>(&self, version: i16, request: &R) -> Result<Reply<R>, KafkaError> {
        self.0.send(self.0.versions.exactly::<R>(version)?, request)
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// As [`send`](Self::send), or no readable answer came in time.
    pub async fn call<R: Request>(&self, request: &R) -> Result<R::Response, KafkaError> {
        self.send(request)?.wait().await
    }

    /// Sends a request in exactly this version and waits for its answer.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub async fn call_at<R: Request>(
        &self,
        version: i16,
        request: &R,
    ) -> Result<R::Response, KafkaError> {
        self.send_at(version, request)?.wait().await
    }

    /// Returns whether the connection can still receive answers.
    pub fn is_open(&self) -> bool {
        self.0.link.is_open()
    }

    /// Returns whether both are clones of one connection.
    pub(crate) fn is(&self, other: &Connection) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Closes the connection for all clones. The outcome of the requests in flight stays unknown.
    pub fn close(&self) {
        self.0.link.close();
    }
}

async fn open_link(address: &Address, tls: Option<&Tls>) -> io::Result<Link> {
    let stream = TcpStream::connect((address.host(), address.port())).await?;
    stream.set_nodelay(true)?;
    if let Some(tls) = tls {
        let (incoming, outgoing) = split(tls.connect(address.host(), stream).await?);
        return Ok(Link::start(address.clone(), incoming, outgoing));
    }
    let (incoming, outgoing) = stream.into_split();
    Ok(Link::start(address.clone(), incoming, outgoing))
}

impl Inner {
    fn send<R: Request>(&self, version: i16, request: &R) -> Result<Reply<R>, KafkaError> {
        let receiver = self.link.send(|id| frame::encode(id, version, request))?;
        Ok(Reply::new(receiver, self.link.address().clone(), version, self.patience))
    }
}
