use std::sync::Arc;

use leftfold_api::Engine;

use super::cluster::Nodes;
use super::fetch::FetchSessions;
use super::groups::CommittedOffsets;
use super::produce::Producers;
use super::quota::Quotas;
use super::topics::{TopicSettings, Topics};
use crate::state::State;

/// What the connections of Kafka's clients share.
pub(crate) struct Broker {
    pub(super) state: Arc<State>,
    pub(super) topics: Arc<Topics>,
    pub(super) topic_settings: TopicSettings,
    pub(super) nodes: Nodes,
    pub(super) offsets: CommittedOffsets,
    pub(super) producers: Producers,
    pub(super) sessions: FetchSessions,
    pub(super) quotas: Quotas,
    pub(super) cluster_id: String,
}

impl Broker {
    /// Makes the broker of a server. Asks the store for its id, which may block.
    pub(crate) fn new(state: Arc<State>) -> Self {
        let config = &state.config;
        let store: Arc<dyn Engine> = state.store.clone();
        let id = store.administration().stat().map_or(0, |stat| stat.store_id);
        let nodes = Nodes::new(store.clone());
        let store_partitions = nodes.brokers().store_partitions().max(1);
        let partitions = u32::try_from(config.kafka_topic_partitions).unwrap_or(u32::MAX);
        let topic_settings = TopicSettings {
            partitions: partitions.checked_next_multiple_of(store_partitions).unwrap_or(partitions),
            store_partitions,
            partitioner: config.kafka_partitioner,
            on_first_use: config.kafka_auto_create,
        };
        Broker {
            topics: Arc::new(Topics::new(store.clone(), store_partitions)),
            topic_settings,
            nodes,
            offsets: CommittedOffsets::new(store),
            producers: Producers::default(),
            sessions: FetchSessions::default(),
            quotas: Quotas::new(config.kafka_produce_rate.0, config.kafka_fetch_rate.0),
            cluster_id: uuid::Uuid::from_u128(id).simple().to_string(),
            state,
        }
    }
}
