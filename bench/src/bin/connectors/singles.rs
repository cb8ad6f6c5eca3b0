//! Single events, one after the other.

use std::time::{Duration, Instant};

use leftfold::{Append, Embedded, EventStore, NewEvent};

use crate::world::{Letters, event};

/// Their stream.
pub(crate) const STREAM: &str = "single-1";
/// The query that finds them.
pub(crate) const QUERY: &str = "category:single";

/// Returns another part of the period of a poll for each event. Without a pause all inserts would come at the same moment of
/// the period, and which one would depend on what the poll does after it has read a row.
fn pause_within(period: Duration, n: u64) -> Duration {
    /// The golden ratio: multiples of it are spread evenly.
    const STEP: f64 = 0.618_033_988_75;
    period.mul_f64((n as f64 * STEP).fract())
}

/// Sends events, each after the one before has come; returns how long each took from the begin of `send` to the end of
/// `come`. One that goes first is not timed: the connector may still be starting. Before each event there is a pause, if the
/// other side polls with a period.
pub(crate) async fn time_each(
    count: u64,
    period: Option<Duration>,
    mut send: impl AsyncFnMut(NewEvent) -> anyhow::Result<()>,
    mut come: impl AsyncFnMut() -> anyhow::Result<()>,
) -> anyhow::Result<Vec<Duration>> {
    let mut letters = Letters(2);
    let mut times = Vec::new();
    for n in 0..=count {
        let event = event(&mut letters);
        if let Some(period) = period {
            tokio::time::sleep(pause_within(period, n)).await;
        }
        let started = Instant::now();
        // The other side waits already when the event comes.
        let came = async {
            come().await?;
            Ok(started.elapsed())
        };
        let ((), took) = tokio::try_join!(send(event), came)?;
        if n > 0 {
            times.push(took);
        }
    }
    Ok(times)
}

/// Appends a single event.
pub(crate) async fn append(store: &Embedded, event: NewEvent) -> anyhow::Result<()> {
    store.append(Append::new().event(STREAM, event)).await?;
    Ok(())
}
