use std::sync::Arc;

use leftfold_api::ReadError;
use leftfold_wire::PARTITION_HEADER;
use tonic::metadata::{MetadataKey, MetadataValue};

use crate::builder::Builder;
use crate::calls::Calls;
use crate::counts::ClientCounts;
use crate::ids::Ids;
use crate::pipeline::Pipeline;

/// A store on a server. A clone is cheap and shares the connection.
#[derive(Clone)]
pub struct Client {
    pub(crate) calls: Calls,
    pub(crate) pipeline: Pipeline,
    pub(crate) ids: Arc<Ids>,
}

impl Client {
    /// Connects to `http://host:port` or `https://host:port`, without credentials.
    ///
    /// # Errors
    /// As those of [`Builder::connect`].
    pub async fn connect(url: impl Into<String>) -> Result<Client, ReadError> {
        Builder::new(url).connect().await
    }

    /// Returns the settings of a connection to this URL.
    pub fn builder(url: impl Into<String>) -> Builder {
        Builder::new(url)
    }

    /// Returns what was counted since the client was made, of all its clones together.
    pub fn counts(&self) -> ClientCounts {
        self.calls.counters.read()
    }

    /// Returns a client that shares the connection, and asks for one partition at the port for the nodes of a
    /// cluster. It has its own appends in flight.
    #[must_use]
    pub fn of_partition(&self, number: u32) -> Client {
        let name = MetadataKey::from_static(PARTITION_HEADER);
        let mut calls = self.calls.clone();
        calls.headers.0.retain(|(other, _)| *other != name);
        calls.headers.0.push((name, MetadataValue::from(number)));
        Client::new(calls, self.pipeline.in_flight())
    }

    pub(crate) fn new(calls: Calls, in_flight: usize) -> Self {
        let pipeline = Pipeline::start(calls.clone(), in_flight);
        Client { calls, pipeline, ids: Arc::new(Ids::new()) }
    }
}
