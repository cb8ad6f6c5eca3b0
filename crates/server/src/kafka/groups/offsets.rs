use std::collections::{BTreeMap, BTreeSet, HashSet};

use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse,
    OffsetFetchRequest, OffsetFetchResponse,
};
use leftfold_kafka::ResponseError;

use super::committed::{Committed, Offsets, OffsetsError};
use crate::kafka::dispatch::Call;
use crate::kafka::metadata::{text, topic_name};

/// Bytes of what a consumer notes with an offset, as in Kafka.
pub(in crate::kafka) const MAX_METADATA: usize = 4_096;
/// The first version that asks for several groups.
const SEVERAL: i16 = 8;

pub(super) fn code_of(error: &OffsetsError) -> ResponseError {
    tracing::warn!(%error, "the offsets of a consumer group");
    match error {
        OffsetsError::TooLarge => ResponseError::InvalidCommitOffsetSize,
        OffsetsError::Deposed { .. } => ResponseError::NotCoordinator,
        // Clients try again.
        _ => ResponseError::CoordinatorNotAvailable,
    }
}

/// A partition of a topic, and what is committed of it.
type Entry = (String, i32, Committed);

impl Call {
    pub(in crate::kafka) async fn commit_offsets(
        self,
        request: OffsetCommitRequest,
    ) -> OffsetCommitResponse {
        let group = request.group_id.to_string();
        let instance = request.group_instance_id.as_deref();
        let generation = request.generation_id_or_member_epoch;
        let may = self.coordination_of(&group).and_then(|coordination| {
            let member = &request.member_id;
            coordination.groups.may_commit(&group, member, instance, generation)?;
            Ok(coordination.term)
        });
        let (mut entries, mut topics): (Vec<Entry>, _) = (Vec::new(), Vec::new());
        for wanted in request.topics {
            // Who may not read a topic has no offset in it.
            let known = self.broker.topics.find_for(&self.caller, &wanted.name).await;
            let mut partitions = Vec::new();
            for partition in wanted.partitions {
                let number = partition.partition_index;
                let metadata = partition.committed_metadata.as_deref().unwrap_or_default();
                let checked = match (&may, &known) {
                    (Err(error), _) => Err(*error),
                    (_, Err(error)) => Err(error.code()),
                    (_, Ok((topic, _))) if topic.has(number).is_none() => {
                        Err(ResponseError::UnknownTopicOrPartition)
                    }
                    _ if metadata.len() > MAX_METADATA => {
                        Err(ResponseError::OffsetMetadataTooLarge)
                    }
                    _ => Ok(()),
                };
                if checked.is_ok() {
                    let committed = Committed {
                        offset: partition.committed_offset,
                        leader_epoch: partition.committed_leader_epoch,
                        metadata: metadata.to_owned(),
                    };
                    entries.push((wanted.name.to_string(), number, committed));
                }
                let code = checked.err().map_or(0, |error| error.code());
                let answer = OffsetCommitResponsePartition::default().with_partition_index(number);
                partitions.push(answer.with_error_code(code));
            }
            let topic = OffsetCommitResponseTopic::default().with_name(wanted.name);
            topics.push(topic.with_partitions(partitions));
        }
        let written = match may.ok().filter(|_| !entries.is_empty()) {
            None => Ok(()),
            Some(term) => {
                let change = |offsets: &mut Offsets| {
                    for (topic, partition, committed) in &entries {
                        offsets
                            .entry(topic.clone())
                            .or_default()
                            .insert(*partition, committed.clone());
                    }
                };
                self.broker.offsets.change(&group, term, change).await
            }
        };
        if let Err(error) = written {
            let code = code_of(&error).code();
            let partitions = topics.iter_mut().flat_map(|topic| topic.partitions.iter_mut());
            partitions.filter(|partition| partition.error_code == 0).for_each(|partition| {
                partition.error_code = code;
            });
        }
        OffsetCommitResponse::default().with_topics(topics)
    }

    /// Returns the offsets of a group that a caller wants: those of some partitions, or all.
    async fn offsets_of(
        &self,
        group: &str,
        wanted: Option<Vec<(String, Vec<i32>)>>,
    ) -> Result<Vec<(String, Vec<(i32, Option<Committed>)>)>, ResponseError> {
        self.coordination_of(group)?;
        let offsets = self.broker.offsets.of(group).await.map_err(|error| code_of(&error))?;
        let mut found = Vec::new();
        match wanted {
            None => {
                for (topic, partitions) in offsets {
                    if self.broker.topics.find_for(&self.caller, &topic).await.is_ok() {
                        let partitions = partitions.into_iter();
                        let partitions =
                            partitions.map(|(number, committed)| (number, Some(committed)));
                        found.push((topic, partitions.collect()));
                    }
                }
            }
            Some(wanted) => {
                // Each is answered once: a note takes a lot more than its number.
                let mut by_topic: BTreeMap<String, BTreeSet<i32>> = BTreeMap::new();
                for (topic, numbers) in wanted {
                    by_topic.entry(topic).or_default().extend(numbers);
                }
                for (topic, numbers) in by_topic {
                    let of_topic = offsets.get(&topic);
                    let partitions = numbers.into_iter().map(|number| {
                        (number, of_topic.and_then(|of_topic| of_topic.get(&number)).cloned())
                    });
                    found.push((topic, partitions.collect()));
                }
            }
        }
        Ok(found)
    }

    pub(in crate::kafka) async fn fetch_offsets(
        self,
        request: OffsetFetchRequest,
    ) -> OffsetFetchResponse {
        if self.version >= SEVERAL {
            return self.fetch_offsets_of_groups(request).await;
        }
        let wanted = request.topics.map(|topics| {
            topics
                .into_iter()
                .map(|topic| (topic.name.to_string(), topic.partition_indexes))
                .collect()
        });
        let found = match self.offsets_of(&request.group_id, wanted).await {
            Ok(found) => found,
            Err(error) => return OffsetFetchResponse::default().with_error_code(error.code()),
        };
        let topics = found.into_iter().map(|(topic, partitions)| {
            let partitions = partitions.into_iter().map(|(number, committed)| {
                let (offset, epoch, metadata) = parts(committed);
                OffsetFetchResponsePartition::default()
                    .with_partition_index(number)
                    .with_committed_offset(offset)
                    .with_committed_leader_epoch(if self.version >= 5 { epoch } else { -1 })
                    .with_metadata(Some(text(metadata)))
            });
            let topic = OffsetFetchResponseTopic::default().with_name(topic_name(&topic));
            topic.with_partitions(partitions.collect())
        });
        OffsetFetchResponse::default().with_topics(topics.collect())
    }

    async fn fetch_offsets_of_groups(&self, request: OffsetFetchRequest) -> OffsetFetchResponse {
        let mut groups = Vec::new();
        let mut seen = HashSet::new();
        for wanted in request.groups {
            if !seen.insert(wanted.group_id.clone()) {
                continue;
            }
            let answer = OffsetFetchResponseGroup::default().with_group_id(wanted.group_id.clone());
            let topics = wanted.topics.map(|topics| {
                topics
                    .into_iter()
                    .map(|topic| (topic.name.to_string(), topic.partition_indexes))
                    .collect()
            });
            let found = match self.offsets_of(&wanted.group_id, topics).await {
                Ok(found) => found,
                Err(error) => {
                    groups.push(answer.with_error_code(error.code()));
                    continue;
                }
            };
            let topics = found.into_iter().map(|(topic, partitions)| {
                let partitions = partitions.into_iter().map(|(number, committed)| {
                    let (offset, epoch, metadata) = parts(committed);
                    OffsetFetchResponsePartitions::default()
                        .with_partition_index(number)
                        .with_committed_offset(offset)
                        .with_committed_leader_epoch(epoch)
                        .with_metadata(Some(text(metadata)))
                });
                let topic = OffsetFetchResponseTopics::default().with_name(topic_name(&topic));
                topic.with_partitions(partitions.collect())
            });
            groups.push(answer.with_topics(topics.collect()));
        }
        OffsetFetchResponse::default().with_groups(groups)
    }

    pub(in crate::kafka) async fn delete_offsets(
        self,
        request: OffsetDeleteRequest,
    ) -> OffsetDeleteResponse {
        let group = request.group_id.to_string();
        let coordination = match self.coordination_of(&group) {
            Ok(coordination) => coordination,
            Err(error) => return OffsetDeleteResponse::default().with_error_code(error.code()),
        };
        match self.broker.offsets.of(&group).await {
            Ok(offsets) if offsets.is_empty() => {
                let code = ResponseError::GroupIdNotFound.code();
                return OffsetDeleteResponse::default().with_error_code(code);
            }
            Ok(_) => {}
            Err(error) => {
                return OffsetDeleteResponse::default().with_error_code(code_of(&error).code());
            }
        }
        let (mut removed, mut topics) = (Vec::new(), Vec::new());
        for wanted in request.topics {
            let is_subscribed = coordination.groups.subscribes(&group, &wanted.name);
            let code = if is_subscribed { ResponseError::GroupSubscribedToTopic.code() } else { 0 };
            let partitions = wanted.partitions.iter().map(|partition| {
                if !is_subscribed {
                    removed.push((wanted.name.to_string(), partition.partition_index));
                }
                OffsetDeleteResponsePartition::default()
                    .with_partition_index(partition.partition_index)
                    .with_error_code(code)
            });
            let partitions = partitions.collect();
            topics.push(
                OffsetDeleteResponseTopic::default()
                    .with_name(wanted.name.clone())
                    .with_partitions(partitions),
            );
        }
        let change = |offsets: &mut Offsets| {
            for (topic, partition) in &removed {
                if let Some(partitions) = offsets.get_mut(topic) {
                    partitions.remove(partition);
                }
            }
        };
        match self.broker.offsets.change(&group, coordination.term, change).await {
            Ok(()) => OffsetDeleteResponse::default().with_topics(topics),
            Err(error) => OffsetDeleteResponse::default().with_error_code(code_of(&error).code()),
        }
    }
}

fn parts(committed: Option<Committed>) -> (i64, i32, String) {
    match committed {
        Some(Committed { offset, leader_epoch, metadata }) => (offset, leader_epoch, metadata),
        None => (-1, -1, String::new()),
    }
}
