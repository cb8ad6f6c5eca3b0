//! What administrators see of a group.

use bytes::Bytes;
use kafka_protocol::messages::GroupId;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::protocol::StrBytes;

use super::member::Member;
use super::state::{Phase, State};
use super::subscription;

impl Phase {
    /// Returns Kafka's name of the state.
    pub(super) fn name(self) -> &'static str {
        match self {
            Phase::Empty => "Empty",
            Phase::Preparing(_) => "PreparingRebalance",
            Phase::Completing => "CompletingRebalance",
            Phase::Stable => "Stable",
            Phase::Dead => "Dead",
        }
    }
}

impl State {
    /// Describes the group. The protocol and what the members said are shown while they are certain.
    pub(super) fn describe(&self, id: GroupId) -> DescribedGroup {
        let protocol = self.protocol.as_ref().filter(|_| self.phase == Phase::Stable);
        let describe = |(id, member): (&StrBytes, &Member)| {
            let metadata = protocol.and_then(|protocol| member.metadata(protocol)).cloned();
            let assignment = protocol.map_or_else(Bytes::new, |_| member.assignment.clone());
            DescribedGroupMember::default()
                .with_member_id(id.clone())
                .with_group_instance_id(member.instance.clone())
                .with_client_id(member.client_id.clone())
                .with_client_host(member.host.clone())
                .with_member_metadata(metadata.unwrap_or_default())
                .with_member_assignment(assignment)
        };
        describe_state(id, self.phase)
            .with_protocol_type(self.protocol_type.clone().unwrap_or_default())
            .with_protocol_data(protocol.cloned().unwrap_or_default())
            .with_members(self.members.iter().map(describe).collect())
    }

    pub(super) fn list(&self, id: GroupId) -> ListedGroup {
        ListedGroup::default()
            .with_group_id(id)
            .with_protocol_type(self.protocol_type.clone().unwrap_or_default())
            .with_group_state(StrBytes::from_static_str(self.phase.name()))
            .with_group_type(StrBytes::from_static_str("classic"))
    }

    /// Returns whether a member may consume a topic. In doubt it may.
    pub(super) fn subscribes(&self, topic: &str) -> bool {
        let is_consumer = self.protocol_type.as_deref() == Some(subscription::PROTOCOL_TYPE);
        self.members.values().any(|member| {
            let protocol = self.protocol.as_ref().filter(|_| is_consumer);
            let metadata = protocol.and_then(|protocol| member.metadata(protocol));
            let topics = metadata.and_then(|metadata| subscription::read_topics(metadata));
            topics.is_none_or(|topics| topics.contains(topic.as_bytes()))
        })
    }
}

/// Describes a group without members.
pub(super) fn describe_state(id: GroupId, phase: Phase) -> DescribedGroup {
    DescribedGroup::default()
        .with_group_id(id)
        .with_group_state(StrBytes::from_static_str(phase.name()))
}
