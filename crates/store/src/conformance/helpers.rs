use uuid::Uuid;

use crate::{
    Append, AppendError, Appended, Coded, Conflict, EventStore, Expected, NewEvent, Page, Query,
    Read, ReadError, Recorded,
};

/// An event with an id made of a number.
pub(super) fn event(n: u128) -> NewEvent {
    NewEvent::new("Counted", n.to_string()).id(Uuid::from_u128(n))
}

/// Events with these numbers, for one stream.
pub(super) fn append(stream: &str, expected: Expected, numbers: &[u128]) -> Append {
    let append = Append::new().expect(stream, expected);
    numbers.iter().fold(append, |append, n| append.event(stream, event(*n)))
}

/// Appends and must succeed.
pub(super) async fn done(store: &impl EventStore, append: Append) -> Appended {
    store.append(append).await.unwrap()
}

/// Events for one stream, wherever it is.
pub(super) async fn put(store: &impl EventStore, stream: &str, numbers: &[u128]) -> Appended {
    done(store, append(stream, Expected::Any, numbers)).await
}

/// Appends and must be refused with this code.
pub(super) async fn refused(store: &impl EventStore, append: Append, code: &str) -> AppendError {
    let before = store.head().await.unwrap();
    let error = store.append(append).await.unwrap_err();
    assert_eq!(error.code(), code, "{error}");
    assert!(!error.can_retry());
    assert_eq!(store.head().await.unwrap(), before, "a refusal writes nothing");
    error
}

/// Appends and must meet this version.
pub(super) async fn conflicts(store: &impl EventStore, append: Append, actual: Option<u64>) {
    match refused(store, append, "wrong_version").await {
        AppendError::Conflict(Conflict::Version { actual: found, .. }) => assert_eq!(found, actual),
        other => panic!("{other}"),
    }
}

/// Reads one page and must succeed.
pub(super) async fn page(store: &impl EventStore, read: Read) -> Page {
    store.read(read).await.unwrap()
}

/// Reads and must be refused with this code.
pub(super) async fn unreadable(store: &impl EventStore, read: Read, code: &str) -> ReadError {
    let error = store.read(read).await.unwrap_err();
    assert_eq!(error.code(), code, "{error}");
    error
}

/// All events that a query yields, page by page.
pub(super) async fn all(store: &impl EventStore, query: &str) -> Vec<Recorded> {
    let query: Query = query.parse().unwrap();
    let (mut events, mut read) = (Vec::new(), Read::forward(query.clone()).limit(3));
    loop {
        let page = page(store, read).await;
        events.extend(page.events);
        if !page.more {
            return events;
        }
        read = Read::forward(query.clone()).limit(3).after(page.cursor);
    }
}

/// The numbers of events.
pub(super) fn numbers(events: &[Recorded]) -> Vec<u128> {
    events.iter().map(|event| event.id().as_u128()).collect()
}

/// The numbers of the events that a query yields.
pub(super) async fn found(store: &impl EventStore, query: &str) -> Vec<u128> {
    numbers(&all(store, query).await)
}
