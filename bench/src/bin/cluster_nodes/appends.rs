//! Conditional appends through a node that owns the partition.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use leftfold_api::{Append, EventStore, Expected, NewEvent};
use leftfold_cluster::store::ClusterStore;

use crate::load::{self, Measurement, PAYLOAD};

/// Measures clients that each append to a stream of their own, at the version that they know.
pub(crate) async fn measure(
    store: &ClusterStore,
    clients: usize,
    time: Duration,
) -> anyhow::Result<Measurement> {
    static STREAMS: AtomicU64 = AtomicU64::new(0);
    store.wait_for_owner(crate::PATIENCE).await?;
    let client = |_| Client {
        store: store.clone(),
        stream: format!("order-{}", STREAMS.fetch_add(1, Ordering::Relaxed)),
        expected: Expected::NoStream,
    };
    load::run((0..clients).map(client).collect(), time).await
}

struct Client {
    store: ClusterStore,
    stream: String,
    expected: Expected,
}

impl load::Client for Client {
    async fn ask(&mut self) -> anyhow::Result<()> {
        let event = NewEvent::new("OrderPlaced", vec![b'x'; PAYLOAD]);
        let append = Append::new().event(&self.stream, event).expect(&self.stream, self.expected);
        let appended = self.store.append(append).await?;
        let last = appended.streams.first().map(|versions| versions.last);
        self.expected = last.map_or(Expected::NoStream, Expected::Exactly);
        Ok(())
    }
}
