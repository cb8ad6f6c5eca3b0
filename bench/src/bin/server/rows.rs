use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use leftfold::client::Client;
use leftfold::{
    Append, Delivery, EventStore, Expected, NewEvent, Query, Read, Subscribe, Subscription,
};
use tokio::task::JoinSet;

use crate::{Bench, Measurement};

const PAYLOAD: usize = 256;
/// The events of a stream that is read.
pub(crate) const STREAM: usize = 100;
/// The number of streams that are read, one after the other.
pub(crate) const STREAMS: usize = 1_000;
/// The number of those that are read again and again.
pub(crate) const HOT: usize = 10;
/// The bytes of a request, and of an answer of 100 events.
const QUESTION: usize = 128;
const ANSWER: usize = 37_000;
/// The number of concurrent appends in the pipelined row.
const PIPELINED: u64 = 1_024;
/// The number of subscriptions per connection.
const PER_CONNECTION: usize = 500;

pub(crate) fn event() -> NewEvent {
    NewEvent::new("Measured", vec![b'x'; PAYLOAD])
}

/// Each worker appends to a stream of its own, one event at a time, under its expected version.
pub(crate) async fn appends(
    bench: &Bench<'_>,
    round: usize,
    workers: u64,
) -> anyhow::Result<Measurement> {
    let total = if workers == 1 { bench.size.appends / 10 } else { bench.size.appends };
    let (before, started) = (bench.cpu(), Instant::now());
    let left = Arc::new(AtomicU64::new(total));
    let mut tasks = JoinSet::new();
    for worker in 0..workers {
        let (client, left) = (bench.client.clone(), left.clone());
        tasks.spawn(async move {
            let stream = format!("bench-{round}-{workers}-{worker}");
            let mut expected = Expected::NoStream;
            let next = |n: u64| n.checked_sub(1);
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok() {
                let append = Append::new().event(&stream, event()).expect(&stream, expected);
                expected = Expected::Exactly(client.append(append).await?.streams[0].last);
            }
            anyhow::Ok(())
        });
    }
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    let value = total as f64 / started.elapsed().as_secs_f64();
    Ok(Measurement { value, cpu: bench.cpu().since(before, total) })
}

/// Pipelines appends of one event each: as many at a time as a call accepts.
pub(crate) async fn pipelined(bench: &Bench<'_>, round: usize) -> anyhow::Result<Measurement> {
    let total = bench.size.pipelined;
    let (before, started) = (bench.cpu(), Instant::now());
    let left = Arc::new(AtomicU64::new(total));
    let mut tasks = JoinSet::new();
    for worker in 0..PIPELINED {
        let (client, left) = (bench.client.clone(), left.clone());
        tasks.spawn(async move {
            let stream = format!("pipelined-{round}-{}", worker % 16);
            let next = |n: u64| n.checked_sub(1);
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok() {
                client.append(Append::new().event(&stream, event())).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    let value = total as f64 / started.elapsed().as_secs_f64();
    Ok(Measurement { value, cpu: bench.cpu().since(before, total) })
}

/// Appends one event after the other, each after the previous one was delivered to a subscriber
/// with its own connection. Returns the times from the append to the delivery.
pub(crate) async fn deliveries(
    bench: &Bench<'_>,
    round: usize,
) -> anyhow::Result<(Vec<f64>, [f64; 2])> {
    let stream = format!("delivered-{round}");
    let other = bench.served.client().await?;
    let mut subscription = other.subscribe(Subscribe::to(Query::stream(&stream))).await?;
    while !matches!(subscription.next().await?, Delivery::CaughtUp(_)) {}
    let (before, mut times) = (bench.cpu(), Vec::new());
    for _ in 0..bench.size.deliveries {
        let started = Instant::now();
        let append = bench.client.append(Append::new().event(&stream, event()));
        let delivered = async {
            loop {
                if let Delivery::Event(..) = subscription.next().await? {
                    return anyhow::Ok(started.elapsed());
                }
            }
        };
        let (appended, delivered) = tokio::join!(append, delivered);
        appended?;
        times.push(delivered?.as_secs_f64() * 1e6);
    }
    Ok((times, bench.cpu().since(before, bench.size.deliveries)))
}

/// Fills streams of 100 events, interleaved: no two events of a stream are adjacent.
pub(crate) async fn fill_streams(bench: &Bench<'_>) -> anyhow::Result<()> {
    for _ in 0..STREAM {
        let append = (0..STREAMS)
            .fold(Append::new(), |append, n| append.event(format!("stream-{n}"), event()));
        bench.client.append(append).await?;
    }
    Ok(())
}

/// Returns the name of the next stream to read, of this many.
pub(crate) fn stream(n: u64, streams: usize) -> String {
    format!("stream-{}", n as usize * 37 % streams)
}

/// Reads one stream of 100 events after the other, of a number of them; returns microseconds each.
pub(crate) async fn streams(
    bench: &Bench<'_>,
    client: &Client,
    streams: usize,
) -> anyhow::Result<Measurement> {
    let total = bench.size.reads;
    let (before, started) = (bench.cpu(), Instant::now());
    for n in 0..total {
        let page = client.read(Read::forward(Query::stream(stream(n, streams)))).await?;
        anyhow::ensure!(page.events.len() == STREAM);
    }
    let value = started.elapsed().as_secs_f64() * 1e6 / total as f64;
    Ok(Measurement { value, cpu: bench.cpu().since(before, total) })
}

/// Sends a few bytes to a thread, which answers with as many as a stream of 100 events has: by blocking calls, over
/// the same kind of socket. Returns microseconds each.
pub(crate) fn echo(bench: &Bench<'_>) -> anyhow::Result<Measurement> {
    let total = bench.size.reads;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut stream = TcpStream::connect(listener.local_addr()?)?;
    stream.set_nodelay(true)?;
    let (mut other, _) = listener.accept()?;
    other.set_nodelay(true)?;
    let echo = std::thread::spawn(move || -> std::io::Result<()> {
        let (mut question, answer) = ([0; QUESTION], vec![0; ANSWER]);
        for _ in 0..total {
            other.read_exact(&mut question)?;
            other.write_all(&answer)?;
        }
        Ok(())
    });
    let (before, started) = (bench.cpu(), Instant::now());
    let mut answer = vec![0; ANSWER];
    for _ in 0..total {
        stream.write_all(&[0; QUESTION])?;
        stream.read_exact(&mut answer)?;
    }
    let value = started.elapsed().as_secs_f64() * 1e6 / total as f64;
    let cpu = bench.cpu().since(before, total);
    echo.join().map_err(|_| anyhow::anyhow!("the thread that answers has ended"))??;
    Ok(Measurement { value, cpu })
}

/// Fills the events of the replay, in streams of 100.
pub(crate) async fn fill(bench: &Bench<'_>) -> anyhow::Result<()> {
    const AT_ONCE: u64 = 1_000;
    for n in 0..bench.size.replay / AT_ONCE {
        let append = (0..AT_ONCE).fold(Append::new(), |append, m| {
            append.event(format!("replayed-{}", (n * AT_ONCE + m) % 10_000), event())
        });
        bench.client.append(append).await?;
    }
    Ok(())
}

/// Reads all events and accesses each.
pub(crate) async fn replay(bench: &Bench<'_>) -> anyhow::Result<Measurement> {
    let (before, started) = (bench.cpu(), Instant::now());
    let read = Read::forward(Query::All).limit(bench.size.replay as usize);
    let (mut pages, mut events, mut bytes) = (bench.client.pages(read).await?, 0, 0);
    while let Some(page) = pages.next().await? {
        events += page.events.len() as u64;
        bytes += page.events.iter().map(|event| event.data().len()).sum::<usize>();
    }
    let value = events as f64 / started.elapsed().as_secs_f64();
    anyhow::ensure!(events == bench.size.replay && bytes >= PAYLOAD * events as usize);
    Ok(Measurement { value, cpu: bench.cpu().since(before, events) })
}

/// Prints the server's memory before and after opening subscriptions that wait for events.
pub(crate) async fn idle(bench: &Bench<'_>) -> anyhow::Result<()> {
    let total = bench.size.subscriptions;
    let before = bench.served.memory();
    let mut held = Vec::new();
    for _ in 0..total.div_ceil(PER_CONNECTION) {
        let client = bench.served.client().await?;
        for _ in 0..PER_CONNECTION.min(total - held.len()) {
            let head = client.head().await?;
            let query = Query::stream(format!("idle-{}", held.len()));
            let mut subscription = client.subscribe(Subscribe::after(query, head)).await?;
            while !matches!(subscription.next().await?, Delivery::CaughtUp(_)) {}
            held.push(subscription);
        }
    }
    let after = bench.served.memory();
    let mb = |bytes: u64| bytes as f64 / 1e6;
    println!(
        "{total} idle subscriptions: the server's memory {:.0} MB before, {:.0} MB after, {:.1} KB each",
        mb(before),
        mb(after),
        after.saturating_sub(before) as f64 / total as f64 / 1e3
    );
    drop(held);
    Ok(())
}
