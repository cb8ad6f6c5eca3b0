//! Subscribers of one node each through a whole run, and the copies that nodes have at its end.

use std::collections::HashSet;

use leftfold::client::Client;
use leftfold::{
    Cursor, Delivery, EventStore, Query, Read, ReadLevel, Recorded, Subscribe, Subscription,
    partition_of,
};

use crate::clients::CATEGORY;
use crate::history::number;
use crate::log::Entry;

/// The events of a page.
const PAGE: usize = 1_000;

/// Returns a stream in each partition, for the last event of a run there.
pub(crate) fn ends(partitions: u32) -> Vec<String> {
    let name = |number: u32| format!("{CATEGORY}-end.{{{number}}}");
    let is_in = |partition| move |stream: &String| partition_of(stream, partitions) == partition;
    (0..partitions).map(|partition| (0..).map(name).find(is_in(partition)).unwrap()).collect()
}

fn is_end(event: &Recorded) -> bool {
    event.stream().starts_with(&format!("{CATEGORY}-end."))
}

fn entry(event: &Recorded, partitions: u32) -> Entry {
    let stream = event.stream().to_owned();
    let partition = partition_of(&stream, partitions);
    let (position, version, number) = (event.position(), event.version(), number(event));
    Entry { partition, position, stream, version, number }
}

/// Sorts events by partition, and leaves those of a partition in their order. That is all the order there is.
fn sort(mut entries: Vec<Entry>) -> Vec<Entry> {
    entries.sort_by_key(|entry| entry.partition);
    entries
}

/// Returns the events of each partition in the order in which a subscriber gets them, up to the end of the run.
pub(crate) async fn subscribe(client: Client, partitions: u32) -> Vec<Entry> {
    let all = Subscribe::to(Query::category(CATEGORY));
    let mut subscription = client.subscribe(all).await.unwrap();
    let (mut seen, mut ended) = (Vec::new(), HashSet::new());
    while ended.len() < partitions as usize {
        let Delivery::Event(event, _) = subscription.next().await.unwrap() else { continue };
        match is_end(&event) {
            true => _ = ended.insert(event.stream().to_owned()),
            false => seen.push(entry(&event, partitions)),
        }
    }
    sort(seen)
}

/// Returns the events of a node's own copies, once they have this cursor.
pub(crate) async fn read_copy(client: &Client, up_to: &Cursor, partitions: u32) -> Vec<Entry> {
    let mut read = Read::forward(Query::category(CATEGORY))
        .limit(PAGE)
        .level(ReadLevel::Local)
        .at_least(up_to.clone());
    let mut found = Vec::new();
    loop {
        let page = client.read(read.clone()).await.unwrap();
        let events = page.events.iter().filter(|event| !is_end(event));
        found.extend(events.map(|event| entry(event, partitions)));
        if !page.more {
            return sort(found);
        }
        read = read.after(page.cursor);
    }
}
