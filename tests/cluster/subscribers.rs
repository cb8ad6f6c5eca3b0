//! Subscribers of one node each through a whole run, and the copies that nodes have at its end.

use leftfold::client::Client;
use leftfold::{
    Cursor, Delivery, EventStore, Query, Read, ReadLevel, Recorded, Subscribe, Subscription,
};

use crate::clients::CATEGORY;
use crate::history::number;
use crate::log::Entry;

/// The events of a page.
const PAGE: usize = 1_000;

/// The stream of the last event of a run.
pub(crate) fn end() -> String {
    format!("{CATEGORY}-end")
}

fn entry(event: &Recorded) -> Entry {
    let stream = event.stream().to_owned();
    Entry { position: event.position(), stream, version: event.version(), number: number(event) }
}

/// Returns the events in the order in which a subscriber gets them, up to the end of the run.
pub(crate) async fn subscribe(client: Client) -> Vec<Entry> {
    let all = Subscribe::to(Query::category(CATEGORY));
    let mut subscription = client.subscribe(all).await.unwrap();
    let mut seen = Vec::new();
    loop {
        let Delivery::Event(event, _) = subscription.next().await.unwrap() else { continue };
        if event.stream() == end() {
            return seen;
        }
        seen.push(entry(&event));
    }
}

/// Returns the events of a node's own copy, once it has this cursor.
pub(crate) async fn read_copy(client: &Client, up_to: &Cursor) -> Vec<Entry> {
    let mut read = Read::forward(Query::category(CATEGORY))
        .limit(PAGE)
        .level(ReadLevel::Local)
        .at_least(up_to.clone());
    let mut found = Vec::new();
    loop {
        let page = client.read(read.clone()).await.unwrap();
        found.extend(page.events.iter().filter(|event| event.stream() != end()).map(entry));
        if !page.more {
            return found;
        }
        read = read.after(page.cursor);
    }
}
