//! A node without a copy, which restores it from Kafka.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use leftfold_api::{Append, EventStore, NewEvent};
use leftfold_bench::cpu_seconds;
use leftfold_cluster::node::Node;
use leftfold_cluster::store::ClusterStore;
use tokio::task::JoinSet;

use crate::start_node;

const PAYLOAD: usize = 100;
/// About the events of a stream.
const EVENTS_OF_STREAM: usize = 10;
/// The appends in flight while the topic is filled.
const WRITERS: usize = 256;
/// The most time to fill a topic, or to restore it.
const WITHIN: Duration = Duration::from_secs(120);

/// Fills a topic with about this many events in appends of `events`, and measures how fast a fresh node applies them.
pub(crate) async fn measure(bootstrap: &str, events: usize, total: usize) -> anyhow::Result<()> {
    let cluster = format!("restored-{events}");
    let first_dir = tempfile::tempdir()?;
    let first = start_node(bootstrap, &cluster, "a", first_dir.path()).await?;
    let started = Instant::now();
    tokio::time::timeout(WITHIN, fill(&first, events, total)).await??;
    let filled = started.elapsed();
    let end = crate::store(&first)?.status().borrow().applied;
    first.stop().await;
    drop(first_dir);

    let dir = tempfile::tempdir()?;
    let (started, cpu) = (Instant::now(), cpu_seconds());
    let node = start_node(bootstrap, &cluster, "b", dir.path()).await?;
    let mut status = crate::store(&node)?.status();
    tokio::time::timeout(WITHIN, status.wait_for(|status| status.applied >= end)).await??;
    let (took, cpu) = (started.elapsed(), cpu_seconds() - cpu);
    println!(
        "restore of {total} events of {PAYLOAD} bytes in appends of {events} (written in {:.1} s): {:.0} events/s, \
         {:.0} events per second of processor time",
        filled.as_secs_f64(),
        total as f64 / took.as_secs_f64(),
        total as f64 / cpu
    );
    node.stop().await;
    Ok(())
}

/// Appends the events.
async fn fill(node: &Node, events: usize, total: usize) -> anyhow::Result<()> {
    crate::store(node)?.wait_for_owner(crate::PATIENCE).await?;
    let (next, streams) = (Arc::new(AtomicUsize::new(0)), (total / EVENTS_OF_STREAM).max(1));
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let (store, next): (ClusterStore, _) = (crate::store(node)?, next.clone());
        writers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number * events >= total {
                    return anyhow::Ok(());
                }
                let stream = format!("order-{}", number % streams);
                let event = || {
                    NewEvent::new("OrderPlaced", vec![b'x'; PAYLOAD])
                        .tag("customer", format!("{}", number % 1_000))
                };
                let append = Append::with_capacity(events);
                let append = (0..events).fold(append, |append, _| append.event(&stream, event()));
                store.append(append).await?;
            }
        });
    }
    while let Some(done) = writers.join_next().await {
        done??;
    }
    Ok(())
}
