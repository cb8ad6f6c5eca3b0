//! Bookkeeping: the events of the store's own streams and of reactors are hidden from those who do not ask
//! for them.

use super::helpers::{all, append, done, found, next, put, refused};
use crate::{EventStore, Expected, IndexDefinition, Query, Retention, Streams, Subscribe};

const OF_REACTOR: &str = "leftfold.reactor-mailer";

async fn define(store: &impl EventStore, name: &str, query: &str) {
    store.define_index(IndexDefinition::new(name, query.parse().unwrap())).await.unwrap();
}

/// Stores events 1 and 2 of a user among events of the store, and of a reactor: 100.
async fn among_bookkeeping(store: &impl EventStore) {
    put(store, "a-1", &[1]).await;
    define(store, "first", "stream:a-1").await;
    let retention = Retention { max_count: Some(10), ..Retention::default() };
    store.set_retention("a-1", retention).await.unwrap();
    put(store, OF_REACTOR, &[100]).await;
    put(store, "a-1", &[2]).await;
}

/// Returns the names of the streams with events that a query yields.
async fn streams_of(store: &impl EventStore, query: &str) -> Vec<String> {
    let events = all(store, query).await;
    let mut streams: Vec<_> = events.iter().map(|event| event.stream().to_owned()).collect();
    streams.sort();
    streams.dedup();
    streams
}

#[expect(missing_docs, reason = "the names say it")]
mod promises {
    use super::*;

    pub async fn reads_hide_bookkeeping_unless_they_ask_for_it(store: &impl EventStore) {
        among_bookkeeping(store).await;
        for query in ["*", "not type:x", "time:1970-01-01..", "stream:*", "not stream:$index-first"]
        {
            assert_eq!(found(store, query).await, [1, 2], "{query}");
        }
        for query in ["system:true", "not type:x system:true", "* or type:$IndexDefined"] {
            let expected = ["$index-first", "$stream-a-1", "a-1", OF_REACTOR];
            assert_eq!(streams_of(store, query).await, expected, "{query}");
        }
        assert_eq!(found(store, "category:leftfold.reactor").await, [100]);
        assert_eq!(streams_of(store, "stream:$stream*").await, ["$stream-a-1"]);
    }

    pub async fn subscriptions_hide_bookkeeping(store: &impl EventStore) {
        among_bookkeeping(store).await;
        let mut subscription = store.subscribe(Subscribe::to(Query::All)).await.unwrap();
        assert_eq!(next(&mut subscription, 3).await, [Some(1), Some(2), None]);
        store.drop_index("first").await.unwrap();
        put(store, OF_REACTOR, &[101]).await;
        put(store, "a-1", &[3]).await;
        assert_eq!(next(&mut subscription, 1).await, [Some(3)]);
    }

    pub async fn conditions_do_not_see_bookkeeping(store: &impl EventStore) {
        let before = put(store, "a-1", &[1]).await.cursor;
        put(store, OF_REACTOR, &[100]).await;
        let with = |n, query: &str| {
            let query = query.parse().unwrap();
            append("a-1", Expected::Any, &[n]).none_after(query, before.clone())
        };
        refused(store, with(2, "not type:x system:true"), "query_matched").await;
        refused(store, with(2, "stream:leftfold.reactor-mailer"), "query_matched").await;
        done(store, with(2, "not type:x")).await;
        refused(store, with(3, "not type:x"), "query_matched").await;
    }

    pub async fn definitions_hide_bookkeeping_unless_they_ask_for_it(store: &impl EventStore) {
        among_bookkeeping(store).await;
        define(store, "users", "not type:x").await;
        define(store, "everything", "system:true not type:x").await;
        put(store, OF_REACTOR, &[101]).await;
        put(store, "a-1", &[3]).await;
        assert_eq!(found(store, "index:users").await, [1, 2, 3]);
        let everything = found(store, "index:everything").await;
        let of_reactor: Vec<_> = everything.iter().filter(|n| [100, 101].contains(*n)).collect();
        assert_eq!(of_reactor, [&100, &101]);
        assert!(streams_of(store, "index:everything").await.contains(&"$index-first".to_owned()));
        // A definition that is repeated changes nothing.
        define(store, "everything", "system:true not type:x").await;
        for (name, shown) in [("users", "not type:x"), ("everything", "not type:x system:true")] {
            let info = store.index(name).await.unwrap().unwrap();
            assert_eq!(info.query.to_string(), shown);
        }
    }

    pub async fn lists_of_streams_hide_bookkeeping(store: &impl EventStore) {
        among_bookkeeping(store).await;
        let names = async |category: Option<&str>, system| {
            let category = category.map(str::to_owned);
            let wanted = Streams { category, system, ..Streams::default() };
            let page = store.streams(wanted).await.unwrap();
            page.streams.into_iter().map(|stream| stream.name).collect::<Vec<_>>()
        };
        assert_eq!(names(None, false).await, ["a-1"]);
        assert_eq!(names(Some("leftfold.reactor"), false).await, [OF_REACTOR]);
        assert_eq!(names(Some("$stream"), false).await, ["$stream-a-1"]);
        assert!(names(None, true).await.contains(&"$index-first".to_owned()));
    }
}

pub use promises::*;
