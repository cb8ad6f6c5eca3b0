use std::sync::Arc;
use std::time::Duration;

use leftfold_api::Engine;
use leftfold_kafka::serving::groups::{GroupLimits, Groups};

use super::fetch::FetchSessions;
use super::groups::CommittedOffsets;
use super::produce::Producers;
use super::quota::Quotas;
use super::topics::{TopicSettings, Topics};
use crate::state::State;

/// The number of the only broker that clients see.
pub(super) const NODE: i32 = 1;
/// Consumer groups with members.
pub(super) const GROUPS: usize = 10_000;
/// Members of a group.
pub(super) const MEMBERS: usize = 1_000;
/// Bytes that the members of a group have told each other.
pub(super) const GROUP_BYTES: usize = 16 << 20;

/// What the connections of Kafka's clients share.
pub(crate) struct Broker {
    pub(super) state: Arc<State>,
    pub(super) topics: Arc<Topics>,
    pub(super) topic_settings: TopicSettings,
    pub(super) groups: Groups,
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
        let topic_settings = TopicSettings {
            partitions: u32::try_from(config.kafka_topic_partitions).unwrap_or(u32::MAX),
            partitioner: config.kafka_partitioner,
            on_first_use: config.kafka_auto_create,
        };
        Broker {
            topics: Arc::new(Topics::new(store.clone())),
            topic_settings,
            groups: Groups::new(GroupLimits {
                groups: GROUPS,
                members: MEMBERS,
                session_timeout: Duration::from_secs(1)..=Duration::from_secs(30 * 60),
                initial_delay: Duration::ZERO,
                metadata_bytes: GROUP_BYTES,
            }),
            offsets: CommittedOffsets::new(store),
            producers: Producers::default(),
            sessions: FetchSessions::default(),
            quotas: Quotas::new(config.kafka_produce_rate.0, config.kafka_fetch_rate.0),
            cluster_id: uuid::Uuid::from_u128(id).simple().to_string(),
            state,
        }
    }
}
