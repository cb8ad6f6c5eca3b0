//! Kafka's clients on a cluster: any node serves them, the owners lead, and groups have one coordinator.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::{GroupId, OffsetCommitRequest, OffsetFetchRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use leftfold_api::Partitioner;
use leftfold_cluster::kafka::{
    Address, Batch, Client, Connection, FetchOptions, Group, GroupGeneration, GroupJoin,
    KafkaError, NewTopic, Partition, ProducerId, Record, ResponseError,
};

use crate::alone;
use crate::deployment::Deployment;
use crate::nodes::DEADLINE;

const NODES: usize = 3;
/// The partitions of the store, and those of the topic.
const PARTITIONS: u32 = 2;
const TOPIC_PARTITIONS: u32 = 4;
const TOPIC: &str = "order";
const GROUP: &str = "billing";
const MEMBER: &str = "m1";
/// The records of one wave.
const RECORDS: u32 = 40;
const PATIENCE: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_millis(50);

/// The values of a wave for each partition of the topic, by their keys.
fn wave(number: u32) -> BTreeMap<u32, Vec<(String, String)>> {
    let mut partitions = BTreeMap::<_, Vec<_>>::new();
    for n in 0..RECORDS {
        let (key, value) = (format!("{number}.{n}"), format!("{number}/{n}"));
        let partition = Partitioner::Murmur2.partition_of(key.as_bytes(), TOPIC_PARTITIONS);
        partitions.entry(partition).or_default().push((key, value));
    }
    partitions
}

fn partition(number: u32) -> Partition {
    Partition::new(TOPIC, number.cast_signed())
}

/// Waits until all nodes know the addresses of all; returns them in the order of the nodes.
fn addresses(deployment: &Deployment) -> Vec<Address> {
    let mut all = Vec::new();
    for node in &deployment.nodes {
        node.wait_until("expected the addresses of all members", |status| {
            let members = status["members"].as_array();
            let known = members
                .map_or(0, |all| all.iter().filter(|member| member["kafka"].is_string()).count());
            known == NODES
        });
        let status = node.status().unwrap();
        let members = status["members"].as_array().unwrap().iter();
        all = members.map(|member| member["kafka"].as_str().unwrap().parse().unwrap()).collect();
    }
    all
}

fn client(addresses: &[Address]) -> Arc<Client> {
    let bootstrap: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    Arc::new(Client::new(&bootstrap.join(","), PATIENCE).unwrap())
}

/// Asks again until there is an answer that is no error.
async fn until_ok<T>(what: &str, mut ask: impl AsyncFnMut() -> Result<T, KafkaError>) -> T {
    let started = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(error) => assert!(started.elapsed() < DEADLINE, "{what}: {error}"),
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Produces a wave as an idempotent producer, each batch through another node.
async fn produce(clients: &[Arc<Client>], producer: ProducerId, number: u32) {
    for (topic_partition, records) in wave(number) {
        let record = |(key, value): (String, String)| Record {
            key: Some(Bytes::from(key)),
            ..Record::new(value)
        };
        let batch = Batch::of(1_000, records.into_iter().map(record)).from(producer, 0).encode();
        let mut turn = topic_partition as usize;
        until_ok("produce", async || {
            turn += 1;
            let node = clients[turn % clients.len()].any().await?;
            node.produce(&partition(topic_partition), batch.clone(), PATIENCE)?.wait().await
        })
        .await;
    }
}

/// Reads all values of a partition from an offset on, at one node.
async fn values(node: &Client, number: u32, from: i64) -> Vec<String> {
    let node = node.any().await.unwrap();
    let options = FetchOptions::default();
    let (mut found, mut next) = (Vec::new(), from);
    loop {
        let fetched = node.fetch(&partition(number), next, options).await.unwrap();
        for batch in &fetched.batches {
            for stored in batch.records.iter().filter(|stored| stored.offset >= next) {
                assert_eq!(stored.offset, from + found.len() as i64, "offsets are dense");
                let value = stored.record.value.as_deref().unwrap();
                found.push(String::from_utf8(value.to_vec()).unwrap());
            }
        }
        next = from + found.len() as i64;
        if next >= fetched.high_watermark {
            return found;
        }
    }
}

fn joining(member_id: &str) -> GroupJoin {
    GroupJoin {
        member_id: member_id.to_owned(),
        protocol_type: "consumer".to_owned(),
        protocol: "range".to_owned(),
        metadata: Bytes::new(),
        session_timeout: Duration::from_secs(10),
        rebalance_timeout: PATIENCE,
    }
}

/// Joins as the only member, as long as it takes.
async fn join(group: &Group) -> GroupGeneration {
    until_ok("join", async || {
        let join = joining("");
        let generation = group.join(&join).await?;
        let own = (generation.member_id.clone(), Bytes::from_static(b"all"));
        let assignments = if generation.is_leader() { vec![own] } else { Vec::new() };
        group.sync(&join, &generation, assignments).await?;
        group.heartbeat(&generation).await?;
        Ok(generation)
    })
    .await
}

async fn coordinator(client: &Client) -> Connection {
    let address = until_ok("coordinator", || client.locate_group_coordinator(GROUP)).await;
    client.at(&address).await.unwrap()
}

fn topic() -> TopicName {
    TopicName(StrBytes::from_static_str(TOPIC))
}

fn group_id() -> GroupId {
    GroupId(StrBytes::from_static_str(GROUP))
}

/// Commits offsets as a member of a generation; returns the codes.
async fn commit(
    node: &Connection,
    of: &GroupGeneration,
    offsets: &BTreeMap<u32, i64>,
) -> BTreeSet<i16> {
    let partitions = offsets.iter().map(|(number, offset)| {
        OffsetCommitRequestPartition::default()
            .with_partition_index(number.cast_signed())
            .with_committed_offset(*offset)
            .with_committed_metadata(Some(StrBytes::default()))
    });
    let topic = OffsetCommitRequestTopic::default().with_name(topic());
    let request = OffsetCommitRequest::default()
        .with_group_id(group_id())
        .with_group_instance_id(Some(StrBytes::from_static_str(MEMBER)))
        .with_member_id(StrBytes::from_string(of.member_id.clone()))
        .with_generation_id_or_member_epoch(of.generation)
        .with_topics(vec![topic.with_partitions(partitions.collect())]);
    let answer = node.call(&request).await.unwrap();
    let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
    partitions.map(|partition| partition.error_code).collect()
}

/// Returns the committed offsets.
async fn committed(node: &Connection) -> Result<BTreeMap<u32, i64>, KafkaError> {
    /// The last version that asks for one group.
    const OF_ONE_GROUP: i16 = 7;
    let wanted = OffsetFetchRequestTopic::default()
        .with_name(topic())
        .with_partition_indexes((0..TOPIC_PARTITIONS.cast_signed()).collect());
    let request = OffsetFetchRequest::default().with_group_id(group_id());
    let request = request.with_topics(Some(vec![wanted]));
    let answer = node.call_at(OF_ONE_GROUP, &request).await?;
    KafkaError::check("OffsetFetchRequest", answer.error_code, None)?;
    let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
    let offset =
        |one: &kafka_protocol::messages::offset_fetch_response::OffsetFetchResponsePartition| {
            (one.partition_index.cast_unsigned(), one.committed_offset)
        };
    Ok(partitions.map(offset).collect())
}

/// Waits until a node says that these nodes, by their partitions of the store, lead the partitions of the topic.
async fn wait_for_leaders(client: &Client, owners: &[&Address]) {
    for number in 0..TOPIC_PARTITIONS {
        let owner = owners[(number % PARTITIONS) as usize];
        until_ok("the leader of a partition", async || {
            let found = client.locate(&partition(number)).await?.address;
            match found == *owner {
                true => Ok(()),
                false => Err(KafkaError::NoBroker(format!("{number}: {found}, not {owner}"))),
            }
        })
        .await;
    }
}

async fn check(deployment: &Deployment, addresses: &[Address]) {
    let clients: Vec<_> = addresses.iter().map(|one| client(std::slice::from_ref(one))).collect();
    let owners = deployment.owners();
    let wanted = NewTopic {
        name: TOPIC.to_owned(),
        partitions: TOPIC_PARTITIONS.cast_signed(),
        replication: None,
        settings: Vec::new(),
    };
    clients[0].create_topic(&wanted, DEADLINE).await.unwrap();
    let leaders: Vec<_> = owners.iter().map(|owner| &addresses[*owner]).collect();
    for client in &clients {
        wait_for_leaders(client, &leaders).await;
    }
    let odd = NewTopic { name: "odd".to_owned(), partitions: 3, ..wanted };
    let refused = clients[1].create_topic(&odd, DEADLINE).await.unwrap_err();
    assert_eq!(refused.code(), Some(ResponseError::InvalidPartitions), "{refused}");

    // Any node takes records, and gives them.
    let producer = clients[0].any().await.unwrap().new_producer_id().await.unwrap();
    produce(&clients, producer, 1).await;
    let first = wave(1);
    for client in &clients {
        for (number, records) in &first {
            let sent: Vec<_> = records.iter().map(|(_, value)| value.clone()).collect();
            assert_eq!(values(client, *number, 0).await, sent);
        }
    }

    // The owner of partition 0 coordinates, and no other node does.
    let member = Group::new(client(addresses), GROUP, MEMBER);
    let before = join(&member).await;
    let half: BTreeMap<_, _> = first.iter().map(|(n, all)| (*n, all.len() as i64 / 2)).collect();
    for (number, client) in clients.iter().enumerate() {
        let coordinator = until_ok("coordinator", || client.locate_group_coordinator(GROUP)).await;
        assert_eq!(&coordinator, leaders[0]);
        if number != owners[0] {
            let codes = commit(&client.any().await.unwrap(), &before, &half).await;
            assert_eq!(codes, [ResponseError::NotCoordinator.code()].into());
        }
    }
    let old = coordinator(&clients[0]).await;
    assert_eq!(commit(&old, &before, &half).await, [0].into());

    // It dies. The others go on, and the member with its last commit.
    deployment.nodes[owners[0]].kill();
    let living: Vec<_> = (0..NODES).filter(|number| *number != owners[0]).collect();
    let clients: Vec<_> = living.iter().map(|number| clients[*number].clone()).collect();
    let producer = clients[0].any().await.unwrap().new_producer_id().await.unwrap();
    produce(&clients, producer, 2).await;
    let after = join(&member).await;
    let new = coordinator(&clients[0]).await;
    assert_ne!(new.address(), leaders[0]);
    assert_eq!(new.address(), &until_ok("", || clients[1].locate_group_coordinator(GROUP)).await);
    let stale = commit(&new, &before, &BTreeMap::from([(0, 0)])).await;
    assert!(!stale.contains(&0), "{stale:?}");
    assert_eq!(until_ok("offsets", || committed(&new)).await, half);
    let (second, mut ends) = (wave(2), BTreeMap::new());
    for (number, from) in half {
        let all = first[&number].iter().chain(&second[&number]).map(|(_, value)| value.clone());
        let rest: Vec<_> = all.skip(usize::try_from(from).unwrap()).collect();
        assert_eq!(values(&clients[1], number, from).await, rest);
        ends.insert(number, from + rest.len() as i64);
    }
    assert_eq!(commit(&new, &after, &ends).await, [0].into());
    assert_eq!(committed(&new).await.unwrap(), ends);
}

#[test]
fn clients_of_kafka_find_the_owners_and_go_on_after_the_coordinator_was_killed() {
    let _alone = alone();
    let deployment = Deployment::start_serving_kafka(1, NODES, PARTITIONS);
    deployment.wait_until_settled();
    let addresses = addresses(&deployment);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(check(&deployment, &addresses));
}
