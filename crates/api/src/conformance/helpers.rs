use uuid::Uuid;

use crate::{
    Append, AppendError, Appended, Coded, Conflict, Delivery, EventStore, Expected, NewEvent, Page,
    Query, Read, ReadError, Recorded, Subscription,
};

/// A part of the message of each code.
const SENTENCES: [(&str, &str); 35] = [
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
    ("start_ahead", "ahead of"),
    ("version_needs_stream", "only if its query is exactly one stream"),
    ("ordinal_needs_index", "ask for one stream, one named index or one partition"),
    ("index_unknown", "there is no index "),
    ("index_exists", "already; drop it first"),
    ("index_of_index", "define it by streams, categories, types"),
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
    ("crosses_partitions", "must lie in one partition of the store"),
];

/// Checks an error's code, and that its message contains the part for this code.
pub(super) fn says(error: &impl Coded, code: &str) {
    assert_eq!(error.code(), code, "{error}");
    let words = SENTENCES.iter().find(|(of, _)| *of == code).map(|(_, words)| *words);
    let words = words.unwrap_or_else(|| panic!("SENTENCES has no entry for {code}"));
    let not_set = code == "checkpoint_moved" && error.to_string().contains("was expected not set");
    assert!(error.to_string().contains(words) || not_set, "{code}: {error}");
}

/// Returns an event whose id is a number.
pub(super) fn event(n: u128) -> NewEvent {
    NewEvent::new("Counted", n.to_string()).id(Uuid::from_u128(n))
}

/// Returns an append of events with these numbers to one stream.
pub(super) fn append(stream: &str, expected: Expected, numbers: &[u128]) -> Append {
    let append = Append::new().expect(stream, expected);
    numbers.iter().fold(append, |append, n| append.event(stream, event(*n)))
}

/// Appends, which must succeed.
pub(super) async fn done(store: &impl EventStore, append: Append) -> Appended {
    store.append(append).await.unwrap()
}

/// Appends events to a stream in any state.
pub(super) async fn put(store: &impl EventStore, stream: &str, numbers: &[u128]) -> Appended {
    done(store, append(stream, Expected::Any, numbers)).await
}

/// Appends, which must be refused with this code.
pub(super) async fn refused(store: &impl EventStore, append: Append, code: &str) -> AppendError {
    let before = store.head().await.unwrap();
    let error = store.append(append).await.unwrap_err();
    says(&error, code);
    assert!(!error.can_retry());
    // The head may move: an owner may prove by a record of its own that it still is the owner.
    let written = store.read(Read::forward(Query::System).after(before)).await.unwrap().events;
    assert!(written.is_empty(), "a refusal writes no event: {written:?}");
    error
}

/// Appends, which must conflict with this version.
pub(super) async fn conflicts(store: &impl EventStore, append: Append, actual: Option<u64>) {
    match refused(store, append, "wrong_version").await {
        AppendError::Conflict(Conflict::Version { actual: found, .. }) => assert_eq!(found, actual),
        other => panic!("{other}"),
    }
}

/// Reads one page, which must succeed.
pub(super) async fn page(store: &impl EventStore, read: Read) -> Page {
    store.read(read).await.unwrap()
}

/// Reads, which must be refused with this code.
pub(super) async fn unreadable(store: &impl EventStore, read: Read, code: &str) -> ReadError {
    let error = store.read(read).await.unwrap_err();
    says(&error, code);
    error
}

/// Reads all events that a query yields, page by page.
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

/// Returns the next deliveries: numbers of events, or `None` for the caught-up mark.
pub(super) async fn next(subscription: &mut impl Subscription, count: usize) -> Vec<Option<u128>> {
    let mut found = Vec::new();
    for _ in 0..count {
        found.push(match subscription.next().await.unwrap() {
            Delivery::Event(event, cursor) => {
                assert_eq!(subscription.cursor(), cursor);
                Some(event.id().as_u128())
            }
            Delivery::CaughtUp(_) => None,
        });
    }
    found
}

/// Returns the numbers of events.
pub(super) fn numbers(events: &[Recorded]) -> Vec<u128> {
    events.iter().map(|event| event.id().as_u128()).collect()
}

/// Reads the numbers of the events that a query yields.
pub(super) async fn found(store: &impl EventStore, query: &str) -> Vec<u128> {
    numbers(&all(store, query).await)
}
