use std::sync::Arc;

use leftfold_api::{
    AppendError, EventStore, IndexDefinition, Invalid, PartitionKey, Partitioner, Query,
};

use super::{Topics, default_query, is_legal, needs_store_key};
use crate::access::Caller;

/// How topics are made that say nothing of it.
#[derive(Debug, Clone, Copy)]
pub(in crate::kafka) struct TopicSettings {
    pub(in crate::kafka) partitions: u32,
    /// The number of the store's partitions.
    pub(in crate::kafka) store_partitions: u32,
    pub(in crate::kafka) partitioner: Partitioner,
    /// Whether a topic is made when it is first asked for.
    pub(in crate::kafka) on_first_use: bool,
}

/// A topic to create.
#[derive(Debug, Default)]
pub(in crate::kafka) struct NewTopic {
    pub(in crate::kafka) name: String,
    pub(in crate::kafka) partitions: Option<u32>,
    pub(in crate::kafka) query: Option<String>,
    pub(in crate::kafka) key: Option<String>,
    pub(in crate::kafka) partitioner: Option<String>,
}

impl NewTopic {
    /// Returns the definition of its index.
    ///
    /// # Errors
    /// A setting is invalid.
    pub(in crate::kafka) fn definition(
        &self,
        settings: &TopicSettings,
    ) -> Result<IndexDefinition, Invalid> {
        let (query, key) = default_query(&self.name);
        let query = match &self.query {
            Some(text) => text.parse::<Query>()?,
            None => query,
        };
        let is_category = self.query.is_some() || key == PartitionKey::StreamId;
        let key = match &self.key {
            Some(text) => text.parse::<PartitionKey>()?,
            None if is_category && settings.store_partitions > 1 => PartitionKey::StoreKey,
            None if self.query.is_some() => PartitionKey::StreamId,
            None => key,
        };
        let partitioner = match &self.partitioner {
            Some(text) => text.parse::<Partitioner>()?,
            None => settings.partitioner,
        };
        let count = self.partitions.unwrap_or(settings.partitions);
        let definition = IndexDefinition::new(self.name.as_str(), query);
        let definition = definition.partitioned(count, key).partitioner(partitioner);
        definition.check()?;
        let of = settings.store_partitions;
        match &definition.partitioning {
            Some(by) if !by.follows_store(of) => {
                let is_count = !count.is_multiple_of(of);
                let code = if is_count { "index_partitions_invalid" } else { "crosses_partitions" };
                let what = format!("topic {}, by {} with {count} partitions,", self.name, by.key);
                Err(Invalid::new(code, needs_store_key(&what, of)))
            }
            _ => Ok(definition),
        }
    }
}

impl Topics {
    /// Defines a topic's index. Returns when it lists all past events.
    pub(in crate::kafka) async fn create(
        &self,
        definition: IndexDefinition,
    ) -> Result<(), AppendError> {
        let name = definition.name.clone();
        let created = self.store.define_index(definition).await;
        self.forget(&name);
        created
    }

    /// Begins to create a topic that is asked for the first time, if that is allowed: by one who may append to all of it,
    /// or who may read all of it and there is something. Returns whether it is being created.
    pub(in crate::kafka) async fn create_on_first_use(
        self: &Arc<Self>,
        caller: &Caller,
        name: &str,
        settings: &TopicSettings,
    ) -> bool {
        let wanted = NewTopic { name: name.to_owned(), ..NewTopic::default() };
        let (true, true, Ok(definition)) =
            (settings.on_first_use, is_legal(name), wanted.definition(settings))
        else {
            return false;
        };
        let may_append = caller.can_append_all(&definition.query);
        let may_read = caller.can_read_all(&definition.query);
        let is_wanted = may_append || (may_read && self.has_events(name).await.unwrap_or(false));
        if !is_wanted {
            return false;
        }
        if !self.creating.lock().insert(name.to_owned()) {
            return true;
        }
        let (topics, name) = (self.clone(), name.to_owned());
        // It may take long to list all past events; the client asks again until it is done.
        tokio::spawn(async move {
            let query = definition.query.to_string();
            match topics.create(definition).await {
                Ok(()) => {
                    tracing::info!(topic = %name, %query, "a topic was created when it was first used")
                }
                Err(error) => tracing::warn!(topic = %name, %error, "a topic can't be created"),
            }
            topics.creating.lock().remove(&name);
        });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(store_partitions: u32, wanted: NewTopic) -> Result<String, Invalid> {
        let (partitions, partitioner) = (8, Partitioner::Murmur2);
        let settings =
            TopicSettings { partitions, store_partitions, partitioner, on_first_use: true };
        let by = wanted.definition(&settings)?.partitioning;
        Ok(by.map(|by| format!("{} {} {}", by.count, by.partitioner, by.key)).unwrap_or_default())
    }

    fn named(name: &str) -> NewTopic {
        NewTopic { name: name.to_owned(), ..NewTopic::default() }
    }

    #[test]
    fn topics_of_a_store_of_many_partitions_follow_it() {
        let text = |text: &str| Some(text.to_owned());
        let paid = || NewTopic { query: text("type:Paid"), ..named("paid") };
        for (partitions, wanted, found) in [
            (1, named("order"), "8 murmur2 stream-id"),
            (1, named("order-line"), "8 murmur2 behind:order-line-"),
            (1, paid(), "8 murmur2 stream-id"),
            (4, named("order"), "8 murmur2 store-key"),
            (4, paid(), "8 murmur2 store-key"),
            (4, NewTopic { partitions: Some(12), ..named("order") }, "12 murmur2 store-key"),
        ] {
            assert_eq!(definition(partitions, wanted).unwrap(), found);
        }
        for (wanted, code) in [
            (NewTopic { partitions: Some(6), ..named("order") }, "index_partitions_invalid"),
            (NewTopic { key: text("stream-id"), ..named("order") }, "crosses_partitions"),
            (NewTopic { partitioner: text("crc32"), ..named("order") }, "crosses_partitions"),
            (named("order-line"), "crosses_partitions"),
        ] {
            let refused = definition(4, wanted).unwrap_err();
            assert_eq!(refused.code, code, "{refused}");
            assert!(refused.to_string().contains("a multiple of 4 partitions"), "{refused}");
        }
    }
}
