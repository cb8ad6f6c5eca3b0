//! What a node needs before it runs: the topic, its partitions, and its membership.

use std::sync::Arc;

use leftfold_api::Origin;
use leftfold_fold::time::TokioTime;
use leftfold_store::{Keep, Options, StoreIdentity};
use sha2::{Digest, Sha256};

use super::clients::Clients;
use super::copies::Followers;
use super::{NodeConfig, NodeError};
use crate::group::assign::Policy;
use crate::group::{Member, MemberConfig, Membership, Profile};
use crate::kafka_broker::{KafkaBroker, KafkaBrokerOptions};
use crate::kafka_coordinator::KafkaCoordinator;
use crate::local::DirectoryCache;
use crate::partition::{Names, Partition};
use crate::record::Claimant;
use crate::topic::{Topic, TopicOptions, ensure_topic};

/// The most bytes of an append, and of the appends that wait for a batch beside it: with the headers of their records
/// they fit into a batch of the topic.
const APPEND_BYTES: usize = 32 << 20;
const QUEUE_BYTES: usize = 16 << 20;
/// The fewest files that a copy keeps open.
const OPEN_FILES: usize = 16;

/// A node that is ready to run.
pub(super) struct Prepared {
    /// The partitions by number, with the origins of their cursors.
    pub(super) partitions: Vec<(Partition<KafkaBroker>, Origin)>,
    pub(super) member: Member<KafkaCoordinator, TokioTime>,
    pub(super) membership: Membership,
    /// The origin of the cursors of the whole store.
    pub(super) origin: Origin,
}

/// Prepares a node. The partitions' connections run on the runtime that this is called on.
pub(super) async fn prepare(
    config: NodeConfig,
    clients: Arc<Clients>,
) -> Result<Prepared, NodeError> {
    let count = config.count()?;
    let NodeConfig { client, cluster, name, url, kafka, dir, options, .. } = config;
    let client = Arc::new(client);
    let name_of_topic = format!("leftfold.{cluster}.events");
    let wanted = TopicOptions {
        partitions: Some(i32::from(count)),
        replication: config.replication,
        ..TopicOptions::new(&name_of_topic)
    };
    let topic = ensure_topic(&client, &wanted).await?;
    let whole = identity(&topic, None);
    let origin = Origin::new(&whole.store_id, &whole.incarnation);
    // A heartbeat that hangs must fail while the session lasts, so that another one can be sent.
    let members = Arc::new(client.with_patience(config.session_timeout / 3));
    let coordinator = KafkaCoordinator::new(members, &format!("leftfold.{cluster}"), &name);
    let mut member = MemberConfig::new(&name, Policy::new(u32::from(count)));
    member.session_timeout = config.session_timeout;
    let profile = Profile { url: url.clone(), kafka, ..Profile::default() };
    let (member, membership) = Member::new(coordinator, TokioTime, member, profile)?;
    let claimant = Claimant { node: name, url: Some(url), time: None };
    let names = Names { source: format!("/leftfold/{cluster}"), owner: claimant };
    let time = Arc::new(TokioTime);
    let options = options_of_copy(options, count);
    let partitions = (0..count).map(|number| {
        let in_kafka = leftfold_kafka::Partition::new(&name_of_topic, i32::from(number));
        let owner_id = format!("leftfold.{cluster}.owner-{number}");
        let broker =
            KafkaBroker::new(client.clone(), in_kafka, &owner_id, KafkaBrokerOptions::default());
        let (identity, partition_of) = match count {
            1 => (whole, None),
            _ => (identity(&topic, Some(number)), Some(origin)),
        };
        let own = Origin::new(&identity.store_id, &identity.incarnation);
        let options = Options { identity: Some(identity), partition_of, ..options.clone() };
        let cache = DirectoryCache::new(dir.join(number.to_string()), options);
        let (membership, clients) = (membership.clone(), clients.clone());
        let followers = Followers { number: u32::from(number), membership, clients };
        let partition = Partition::new(broker, cache, time.clone(), names.clone());
        (partition.restoring_from(followers), own)
    });
    let partitions = partitions.collect();
    Ok(Prepared { partitions, member, membership, origin })
}

/// Returns the options of each copy: the copies of a node share what one store would have.
fn options_of_copy(mut options: Options, count: u16) -> Options {
    options.log.keep = Keep::Marked;
    options.replica = true;
    let (bytes, number) = (u64::from(count), usize::from(count));
    options.log.cache_bytes /= bytes;
    options.index_cache_bytes /= bytes;
    options.event_cache_bytes /= bytes;
    options.maintenance_bytes_per_second /= bytes;
    options.head_cache /= number;
    options.read_threads = options.read_threads.div_ceil(number);
    options.log.open_files = (options.log.open_files / number).max(OPEN_FILES);
    options.limits.append_bytes = options.limits.append_bytes.min(APPEND_BYTES);
    options.log.queue_bytes = options.log.queue_bytes.min(QUEUE_BYTES);
    options
}

/// Returns the identity of the copies of a partition, or of the store of all of them. All nodes give equal cursors, and
/// a topic that was made anew is another store. The key of the hashes can't be guessed without access to Kafka.
fn identity(topic: &Topic, partition: Option<u16>) -> StoreIdentity {
    let digest = |digest: Sha256| {
        let mut bytes = [0; 16];
        bytes.iter_mut().zip(digest.finalize()).for_each(|(byte, of)| *byte = of);
        bytes
    };
    let hash_key = Sha256::new_with_prefix("leftfold hash key")
        .chain_update(&topic.cluster_id)
        .chain_update(topic.id);
    let id = match partition {
        None => topic.id.into_bytes(),
        Some(number) => digest(
            Sha256::new_with_prefix("leftfold partition")
                .chain_update(topic.id)
                .chain_update(number.to_be_bytes()),
        ),
    };
    StoreIdentity { store_id: id, incarnation: id, hash_key: digest(hash_key) }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use uuid::Uuid;

    use super::*;

    fn topic(id: u128) -> Topic {
        let (name, cluster_id) = ("events".to_owned(), "k".to_owned());
        Topic { name, id: Uuid::from_u128(id), partitions: 4, cluster_id }
    }

    #[test]
    fn each_partition_of_each_topic_is_a_store_of_its_own() {
        let ids = [1, 2].into_iter().flat_map(|id| {
            let topic = topic(id);
            let partitions = [None, Some(0), Some(1), Some(256)];
            partitions.map(|partition| identity(&topic, partition).store_id)
        });
        assert_eq!(ids.collect::<HashSet<_>>().len(), 8);
        let again = || identity(&topic(1), Some(1));
        assert_eq!(again().store_id, again().store_id);
        assert_eq!(again().hash_key, identity(&topic(1), None).hash_key);
    }

    #[test]
    fn the_copies_share_the_memory_of_one_store() {
        let one = options_of_copy(Options::default(), 1);
        let eight = options_of_copy(Options::default(), 8);
        assert_eq!(eight.index_cache_bytes * 8, one.index_cache_bytes);
        assert_eq!(eight.log.cache_bytes * 8, one.log.cache_bytes);
        assert_eq!(eight.log.open_files * 8, one.log.open_files);
        // docs/cluster.md names it.
        assert_eq!((one.limits.append_bytes, one.log.queue_bytes), (32 << 20, 16 << 20));
        assert_eq!((eight.read_threads, one.read_threads), (1, Options::default().read_threads));
    }
}
