use uuid::Uuid;

use crate::{
    Append, AppendError, Appended, Coded, Conflict, EventStore, Expected, NewEvent, Page, Query,
    Read, ReadError, Recorded,
};

/// A part of the sentence that goes with each code.
const SENTENCES: [(&str, &str); 33] = [
    ("name_invalid", "a name has 1 to 1024 bytes of UTF-8 without control characters"),
    ("name_reserved", "begins with $, which belongs to the store itself"),
    ("tag_invalid", "tag"),
    ("too_many_tags", "tags of one event: 101; at most 100 are allowed"),
    ("event_too_large", "bytes in one event: "),
    ("append_too_large", "at most 67108864 are allowed"),
    ("too_many_events", "events in one append: 10001; at most 10000 are allowed"),
    ("too_many_conditions", "at most 10000 are allowed"),
    ("append_empty", "neither events nor checkpoint moves"),
    ("append_contradictory", "is given twice in one append"),
    ("cursor_foreign", "was given by another store"),
    ("cursor_ahead", "lies ahead of the store"),
    ("limit_invalid", "ask for at least 1"),
    ("version_needs_stream", "a version is a place in a single list"),
    ("ordinal_needs_index", "is a place in a single list"),
    ("index_unknown", "there is no index "),
    ("index_exists", "already; drop it first"),
    ("index_of_index", "an index is defined by what events say themselves"),
    ("index_partitions_invalid", ""),
    ("partition_unknown", "index "),
    ("index_query_invalid", "a query that has no text form"),
    ("wrong_version", "was expected "),
    ("query_matched", "no event was expected to match "),
    ("checkpoint_moved", "was expected at "),
    ("partial_repeat", "the append repeats only a part of what is stored"),
    ("event_id_reused", "with other content; give another event another id"),
    ("cursor_invalid", "this is not a cursor"),
    ("query_syntax", "can't be read at character"),
    ("retention_invalid", ""),
    ("rule_unknown", "there is no retention rule "),
    ("too_many_rules", "retention rules: 101; at most 100 are allowed"),
    ("stream_tombstoned", "it takes no more events; use another"),
    ("index_building", "does not hold all past events"),
];

/// Checks an error's code, and that its sentence is the one that goes with it.
pub(super) fn says(error: &impl Coded, code: &str) {
    assert_eq!(error.code(), code, "{error}");
    let words = SENTENCES.iter().find(|(of, _)| *of == code).map(|(_, words)| *words);
    let words = words.unwrap_or_else(|| panic!("{code} has no sentence here"));
    let not_set = code == "checkpoint_moved" && error.to_string().contains("was expected not set");
    assert!(error.to_string().contains(words) || not_set, "{code}: {error}");
}

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
    says(&error, code);
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
    says(&error, code);
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
