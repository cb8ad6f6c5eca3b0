use std::time::Duration;

use leftfold_api::{Cursor, EventStore, Query, Read, ReadError, Timestamp};

/// How far a view is behind the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lag {
    /// It is up to date.
    None,
    /// The oldest missing event was committed this long ago.
    Since(Duration),
}

/// Returns whether a reader at `at` has seen all events of the query up to another cursor.
pub(super) async fn has_events_up_to(
    store: &impl EventStore,
    query: &Query,
    mut at: Cursor,
    cursor: &Cursor,
) -> Result<bool, ReadError> {
    while !at.covers(cursor) {
        // There may be none of the query's events in between.
        let next = Read::forward(query.clone()).after(at).at_least(cursor.clone()).limit(1);
        let page = store.read(next).await?;
        if !page.events.is_empty() {
            // It may be beyond the cursor; then the wait is a little longer than necessary.
            return Ok(false);
        }
        if !page.more {
            return Ok(true);
        }
        at = page.cursor;
    }
    Ok(true)
}

/// Returns how far a reader of the query at `at` is behind the store.
pub(super) async fn lag(
    store: &impl EventStore,
    query: &Query,
    mut at: Cursor,
    now: Timestamp,
) -> Result<Lag, ReadError> {
    loop {
        let page = store.read(Read::forward(query.clone()).after(at).limit(1)).await?;
        if let Some(event) = page.events.first() {
            let since = now.micros() - event.commit_time().micros();
            return Ok(Lag::Since(Duration::from_micros(u64::try_from(since).unwrap_or_default())));
        }
        if !page.more {
            return Ok(Lag::None);
        }
        at = page.cursor;
    }
}
