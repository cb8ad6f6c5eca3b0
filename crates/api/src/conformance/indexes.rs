//! Named indexes.

use super::helpers::{done, event, found, numbers, page, put, says, unreadable};
use crate::{
    Append, Coded, EventStore, IndexDefinition, IndexInfo, PartitionKey, Point, Query, Read,
};

async fn refused(store: &impl EventStore, name: &str, query: &str, code: &str) {
    let error =
        store.define_index(IndexDefinition::new(name, query.parse().unwrap())).await.unwrap_err();
    says(&error, code);
}

#[expect(missing_docs, reason = "the names say it")]
mod promises {
    use super::*;

    pub async fn an_index_lists_earlier_and_later_events(store: &impl EventStore) {
        for n in 1..=5 {
            put(store, ["a-1", "b-1"][n as usize % 2], &[n]).await;
        }
        store.define_index(IndexDefinition::new("bs", "stream:b*".parse().unwrap())).await.unwrap();
        assert_eq!(found(store, "index:bs").await, [1, 3, 5]);
        put(store, "a-1", &[6]).await;
        put(store, "b-2", &[7]).await;
        assert_eq!(found(store, "index:bs").await, [1, 3, 5, 7]);
        let info = store.indexes().await.unwrap().remove(0);
        assert_eq!((&*info.name, info.ready, info.events), ("bs", true, 4));
        assert_eq!(info.query.to_string(), "stream:b*");
    }

    pub async fn an_index_is_read_by_ordinal(store: &impl EventStore) {
        put(store, "b-1", &[1, 2]).await;
        put(store, "a-1", &[3]).await;
        store.define_index(IndexDefinition::new("bs", Query::category("b"))).await.unwrap();
        put(store, "b-1", &[4]).await;
        put(store, "b-2", &[5]).await;
        let (forward, backward) =
            (Read::forward(Query::index("bs")), Read::backward(Query::index("bs")));
        for (ordinal, later, earlier) in [
            (0, vec![1, 2, 4, 5], vec![1]),
            (2, vec![4, 5], vec![4, 2, 1]),
            (3, vec![5], vec![5, 4, 2, 1]),
            (4, vec![], vec![5, 4, 2, 1]),
        ] {
            let at = Point::Ordinal(ordinal);
            let events = page(store, forward.clone().including(at.clone())).await.events;
            assert_eq!(numbers(&events), later, "from {ordinal}");
            let events = page(store, backward.clone().including(at)).await.events;
            assert_eq!(numbers(&events), earlier, "back from {ordinal}");
        }
    }

    pub async fn an_index_is_part_of_a_query(store: &impl EventStore) {
        for n in 1..=6 {
            let event = event(n).tag("odd", if n % 2 == 1 { "yes" } else { "no" });
            done(store, Append::new().event(format!("b-{n}"), event)).await;
        }
        store
            .define_index(IndexDefinition::new("odd", "tag:odd=yes".parse().unwrap()))
            .await
            .unwrap();
        put(store, "b-1", &[7]).await;
        assert_eq!(found(store, "index:odd stream:b-1,b-3").await, [1, 3]);
        assert_eq!(found(store, "not index:odd category:b").await, [2, 4, 6, 7]);
        assert_eq!(found(store, "index:odd or stream:b-2").await, [1, 2, 3, 5]);
        assert_eq!(found(store, "index:odd not stream:b-5*").await, [1, 3]);
    }

    pub async fn a_dropped_index_is_unknown_and_its_name_is_free(store: &impl EventStore) {
        put(store, "a-1", &[1]).await;
        store.define_index(IndexDefinition::new("i", Query::category("a"))).await.unwrap();
        store.drop_index("i").await.unwrap();
        unreadable(store, Read::forward(Query::index("i")), "index_unknown").await;
        assert_eq!(store.drop_index("i").await.unwrap_err().code(), "index_unknown");
        put(store, "a-1", &[2]).await;
        put(store, "b-1", &[3]).await;
        store.define_index(IndexDefinition::new("i", Query::category("b"))).await.unwrap();
        assert_eq!(found(store, "index:i").await, [3]);
        put(store, "b-1", &[4]).await;
        assert_eq!(found(store, "index:i").await, [3, 4]);
    }

    pub async fn an_index_is_described_by_its_name(store: &impl EventStore) {
        put(store, "a-1", &[1]).await;
        put(store, "b-1", &[2, 3]).await;
        assert_eq!(store.index("bs").await.unwrap(), None);
        let plain = IndexDefinition::new("as", Query::category("a"));
        let split = IndexDefinition::new("bs", Query::category("b"));
        let split = split.partitioned(7, PartitionKey::Tag("region".to_owned()));
        for definition in [&plain, &split] {
            store.define_index(definition.clone()).await.unwrap();
        }
        let described = |definition: IndexDefinition, events| {
            let IndexDefinition { name, query, partitioning } = definition;
            IndexInfo { name, query, partitioning, ready: true, events }
        };
        let described = [described(plain, 1), described(split, 2)];
        assert_eq!(store.index("as").await.unwrap().as_ref(), Some(&described[0]));
        assert_eq!(store.index("bs").await.unwrap().as_ref(), Some(&described[1]));
        assert_eq!(store.indexes().await.unwrap(), described);
        assert_eq!(store.index("").await.unwrap_err().code(), "name_invalid");
    }

    pub async fn invalid_definitions_of_indexes_are_refused(store: &impl EventStore) {
        store.define_index(IndexDefinition::new("i", Query::category("a"))).await.unwrap();
        refused(store, "i", "category:b", "index_exists").await;
        // The same definition again changes nothing.
        let head = store.head().await.unwrap();
        store.define_index(IndexDefinition::new("i", Query::category("a"))).await.unwrap();
        assert_eq!(store.head().await.unwrap(), head);
        refused(store, "j", "category:b not index:i", "index_of_index").await;
        let unprintable = Query::event_type("");
        let error = store.define_index(IndexDefinition::new("k", unprintable)).await.unwrap_err();
        says(&error, "index_query_invalid");
        refused(store, "", "*", "name_invalid").await;
        refused(store, "$x", "*", "name_reserved").await;
        unreadable(store, Read::forward("index:j".parse().unwrap()), "index_unknown").await;
    }
}

pub use promises::*;
