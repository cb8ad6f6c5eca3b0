//! Rows of a client that blocks: its calls run on the thread that makes them.

use std::time::Instant;

use leftfold::client::BlockingClient;
use leftfold::{Append, Expected, Query, Read};

use crate::{Bench, Measurement, rows};

/// Appends one event after the other to a stream, under its expected version.
pub(crate) fn appends(
    bench: &Bench<'_>,
    client: &BlockingClient,
    round: usize,
) -> anyhow::Result<Measurement> {
    let (stream, mut expected) = (format!("bench-blocking-{round}"), Expected::NoStream);
    let mut appends = measure(bench, bench.size.appends / 10, |_| {
        let append = Append::new().event(&stream, rows::event()).expect(&stream, expected);
        expected = Expected::Exactly(client.append(append)?.streams[0].last);
        Ok(())
    })?;
    appends.value = 1e6 / appends.value;
    Ok(appends)
}

/// Reads a stream of 100 events after the other. Returns microseconds each.
pub(crate) fn streams(
    bench: &Bench<'_>,
    client: &BlockingClient,
    streams: usize,
) -> anyhow::Result<Measurement> {
    measure(bench, bench.size.reads, |n| {
        let page = client.read(Read::forward(Query::stream(rows::stream(n, streams))))?;
        anyhow::ensure!(page.events.len() == rows::STREAM);
        Ok(())
    })
}

/// Runs calls on a thread without a runtime. Returns microseconds each.
fn measure(
    bench: &Bench<'_>,
    total: u64,
    mut call: impl FnMut(u64) -> anyhow::Result<()> + Send,
) -> anyhow::Result<Measurement> {
    let (before, started) = (bench.cpu(), Instant::now());
    let calls = || (0..total).try_for_each(&mut call);
    let done = std::thread::scope(|scope| scope.spawn(calls).join());
    done.map_err(|_| anyhow::anyhow!("the thread that calls has ended"))??;
    let value = started.elapsed().as_secs_f64() * 1e6 / total as f64;
    Ok(Measurement { value, cpu: bench.cpu().since(before, total) })
}
