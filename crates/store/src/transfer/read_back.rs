//! Reads what an import has written, for its digest.

use std::collections::BTreeSet;

use leftfold_api::{Appended, EventStore, Field, Point, Query, Read, ReadError, Start, Value};

use super::digest::EventDigest;
use crate::ImportEvent;

/// The most streams of a query, and the most bytes of their names: a query has at most 64 KiB.
const QUERY_STREAMS: usize = 200;
const QUERY_BYTES: usize = 16 << 10;

/// Returns the digest of the events of an append, as the store has them.
pub(super) async fn read_back(
    store: &impl EventStore,
    events: &[ImportEvent],
    appended: &Appended,
) -> Result<EventDigest, ReadError> {
    let mut digest = EventDigest::default();
    let Some((first, last)) = appended.positions else { return Ok(digest) };
    let streams: BTreeSet<_> = events.iter().map(|event| event.stream.as_str()).collect();
    let (mut values, mut bytes) = (Vec::new(), 0);
    let mut streams = streams.into_iter().peekable();
    while let Some(stream) = streams.next() {
        bytes += stream.len();
        values.push(Value::Exactly(stream.to_owned()));
        let is_full = values.len() == QUERY_STREAMS || bytes > QUERY_BYTES;
        if is_full || streams.peek().is_none() {
            let query = Query::Is(Field::Stream, std::mem::take(&mut values));
            add_range(store, query, (first, last), &mut digest).await?;
            bytes = 0;
        }
    }
    Ok(digest)
}

/// Adds the events of streams of one partition from a position to another one.
async fn add_range(
    store: &impl EventStore,
    query: Query,
    (first, last): (u64, u64),
    digest: &mut EventDigest,
) -> Result<(), ReadError> {
    let events = usize::try_from(last - first).unwrap_or(usize::MAX).saturating_add(1);
    let mut read = Read::forward(query).including(Point::Position(first)).limit(events);
    loop {
        let page = store.read(read.clone()).await?;
        page.events.iter().filter(|event| event.position() <= last).for_each(|e| digest.add(e));
        let is_past = page.events.last().is_some_and(|event| event.position() >= last);
        if !page.more || is_past || page.cursor.positions().iter().any(|at| *at >= last) {
            return Ok(());
        }
        read.from = Start::Excluding(Point::Cursor(page.cursor));
    }
}

/// Returns the digest of all events that a store has now.
pub(super) async fn digest_of(store: &impl EventStore) -> Result<EventDigest, ReadError> {
    let (mut digest, mut read) = (EventDigest::default(), Read::forward(Query::System));
    let head = store.head().await?;
    loop {
        let page = store.read(read.clone()).await?;
        page.events.iter().for_each(|event| digest.add(event));
        // Writers may add events as fast as they are read here.
        if !page.more || page.cursor.covers(&head) {
            return Ok(digest);
        }
        read.from = Start::Excluding(Point::Cursor(page.cursor));
    }
}
