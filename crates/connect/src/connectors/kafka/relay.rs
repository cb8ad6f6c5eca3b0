//! The run of an outgoing connector.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::future::{Either, select};
use leftfold_api::{Cursor, EventStore};
use leftfold_fold::view::{Lag, Sink, SinkRunner};

use super::KafkaSettings;
use super::cursor::CursorTopic;
use super::failure::describe;
use super::outbound::{Counts, FailureCell, Outbound};
use super::plain::PlainSink;
use super::sender::Sender;
use super::sink::Beginning;
use super::topics::Topics;
use super::transaction::OpenTransaction;
use crate::connectors::kind::Run;
use crate::connectors::status::{Gauges, GaugesCell};
use crate::connectors::{ConnectorError, Delivery};

/// Runs a connector until an error, or until it is to stop.
pub(crate) async fn run<S: EventStore + 'static>(
    settings: &KafkaSettings,
    run: Run<S>,
) -> Result<(), ConnectorError> {
    let (stop, open) = (run.stop.clone(), OpenTransaction::default());
    let ended = {
        let relaying = pin!(relay(settings, run, open.clone()));
        match select(relaying, pin!(stop.wait())).await {
            Either::Left((ended, _)) => ended,
            Either::Right(_) => Ok(()),
        }
    };
    open.abort().await;
    ended
}

async fn relay<S: EventStore + 'static>(
    settings: &KafkaSettings,
    run: Run<S>,
    open: OpenTransaction,
) -> Result<(), ConnectorError> {
    let client = settings.connect(&run.secrets)?;
    let failure = FailureCell::default();
    let outbound = Outbound {
        connector: run.definition.name.clone(),
        composer: settings.composer()?,
        topics: Topics::new(client.clone(), settings.creation()),
        cursor_topic: settings.cursor_topic().to_owned(),
        on_error: run.definition.on_error,
        failure: failure.clone(),
    };
    let counts = Arc::<Counts>::default();
    let compression = settings.compression();
    if run.definition.delivery == Delivery::ExactlyOnce {
        // Several stores may share a cluster.
        let head = run.store.head().await?;
        let store_id: String =
            head.origin().store.iter().map(|byte| format!("{byte:02x}")).collect();
        let id = format!("leftfold-{store_id}-{}", run.progress);
        let cursor = CursorTopic::new(settings.cursor_topic(), &id);
        let (mark, replication) = (format!("{}-begun", run.progress), settings.replication);
        let store = &*run.store;
        let beginning = Beginning { store, client, mark, cursor, replication, compression, open };
        let sink = beginning.begin(outbound, counts.clone()).await?;
        return follow(&run, sink, run.start.clone(), counts, &failure).await;
    }
    let new_producer = async { client.any().await?.new_producer_id().await };
    let producer = new_producer.await.map_err(|error| describe("a new producer", &error))?;
    let (store, checkpoint) = (run.store.clone(), run.progress.clone());
    let at = store.checkpoint(&checkpoint).await?;
    let start = at.clone().unwrap_or_else(|| run.start.clone());
    let sender = Sender::new(client, producer, compression);
    let counted = counts.clone();
    let sink = PlainSink { store, sender, outbound, counts: counted, checkpoint, at, saved: None };
    follow(&run, sink, start, counts, &failure).await
}

/// Brings the events of the connector's query to a sink until an error. A sink that has stored nothing begins behind
/// `start`.
async fn follow<S: EventStore + 'static>(
    run: &Run<S>,
    sink: impl Sink + 'static,
    start: Cursor,
    counts: Arc<Counts>,
    failure: &FailureCell,
) -> Result<(), ConnectorError> {
    let runner = SinkRunner::new(run.progress.clone(), run.query(), run.store.clone(), sink);
    let runner = Arc::new(runner.starts_after(start));
    show(&run.gauges, runner.clone(), counts);
    runner.run().await.map_err(|error| failure.of(error))
}

fn show<S: EventStore + 'static>(
    gauges: &GaugesCell,
    runner: Arc<SinkRunner<impl Sink + 'static, S>>,
    counts: Arc<Counts>,
) {
    gauges.show(move || {
        let (runner, counts) = (runner.clone(), counts.clone());
        Box::pin(async move {
            let lag_micros = match runner.lag().await {
                Ok(Lag::None) => Some(0),
                Ok(Lag::Since(lag)) => u64::try_from(lag.as_micros()).ok(),
                Err(_) => None,
            };
            let events = counts.events.load(Ordering::Relaxed);
            let skipped = counts.skipped.load(Ordering::Relaxed);
            Gauges { events, skipped, held: 0, lag_micros }
        })
    });
}
