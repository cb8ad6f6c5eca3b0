//! Clients that each have one request in flight, for a while.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

/// The bytes of a payload.
pub(crate) const PAYLOAD: usize = 256;
/// The share of the time before the measurement starts.
const WARM_UP: f64 = 0.25;

/// What clients have measured together.
pub(crate) struct Measurement {
    pub(crate) rate: f64,
    /// In milliseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

/// A client of what is measured.
pub(crate) trait Client: Send + 'static {
    /// Asks for one thing, and waits for the answer.
    fn ask(&mut self) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// Lets clients ask one request after another for this time.
pub(crate) async fn run(clients: Vec<impl Client>, time: Duration) -> anyhow::Result<Measurement> {
    let start = Instant::now() + time.mul_f64(WARM_UP);
    let end = start + time;
    let mut tasks = JoinSet::new();
    for mut client in clients {
        tasks.spawn(async move {
            let mut latencies = Vec::new();
            loop {
                let asked = Instant::now();
                if asked >= end {
                    return anyhow::Ok(latencies);
                }
                client.ask().await?;
                if asked >= start {
                    latencies.push(asked.elapsed());
                }
            }
        });
    }
    let mut latencies = Vec::new();
    while let Some(done) = tasks.join_next().await {
        latencies.extend(done??);
    }
    latencies.sort();
    let at = |share: f64| {
        let index = (latencies.len() as f64 * share) as usize;
        latencies.get(index).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e3)
    };
    let rate = latencies.len() as f64 / time.as_secs_f64();
    Ok(Measurement { rate, p50: at(0.5), p99: at(0.99) })
}
