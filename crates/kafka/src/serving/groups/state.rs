//! The state of a group: its members, and what they have agreed on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::JoinGroupResponse;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;

use super::GroupLimits;
use super::member::Member;
use super::rebalance::Window;
use super::request::Join;
use super::wait::{Promise, Waiter, promise};

/// A deadline so far away that it is none; no addition of times overflows.
const FAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What a group does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It has no members; some may be about to join.
    Empty,
    /// It waits for its members to join.
    Preparing(Window),
    /// It waits for the leader's assignment.
    Completing,
    /// Each member has an assignment.
    Stable,
    /// It is gone. No member may enter any more, since the map of groups may forget it.
    Dead,
}

/// The state of a group.
pub(super) struct State {
    pub(super) limits: Arc<GroupLimits>,
    pub(super) phase: Phase,
    pub(super) generation: i32,
    pub(super) protocol_type: Option<StrBytes>,
    /// The strategy of assignment of the generation.
    pub(super) protocol: Option<StrBytes>,
    pub(super) leader: Option<StrBytes>,
    pub(super) members: BTreeMap<StrBytes, Member>,
    /// The member ids of the static members by their instances.
    pub(super) instances: BTreeMap<StrBytes, StrBytes>,
    /// The ids given to members that have not joined with them yet, and when they expire.
    pub(super) pending: BTreeMap<StrBytes, Instant>,
    /// The number of members that support each protocol.
    supporters: BTreeMap<StrBytes, usize>,
    /// When the members that still owe their sync are dropped.
    pub(super) sync_by: Option<Instant>,
    /// The earliest deadline that the task of the group knows.
    alarm: Option<Instant>,
    must_wake: bool,
    tickets: u64,
}

impl State {
    /// Creates an empty group.
    pub(super) fn new(limits: Arc<GroupLimits>) -> Self {
        State {
            limits,
            phase: Phase::Empty,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            instances: BTreeMap::new(),
            pending: BTreeMap::new(),
            supporters: BTreeMap::new(),
            sync_by: None,
            alarm: None,
            must_wake: false,
            tickets: 0,
        }
    }

    pub(super) fn is_dead(&self) -> bool {
        self.phase == Phase::Dead
    }

    /// Ends the group.
    pub(super) fn end(&mut self) {
        self.phase = Phase::Dead;
        // The callers that wait for an answer learn that there is none.
        self.members.clear();
    }

    /// Ends the group if it has no members and none are about to join. Returns whether it is dead.
    pub(super) fn end_if_vacant(&mut self) -> bool {
        if self.phase == Phase::Empty && self.pending.is_empty() {
            self.end();
        }
        self.is_dead()
    }

    /// Adds a member. The caller has checked that the group supports its protocols.
    pub(super) fn insert(&mut self, id: StrBytes, member: Member) {
        self.pending.remove(&id);
        if let Some(instance) = &member.instance {
            self.instances.insert(instance.clone(), id.clone());
        }
        self.leader.get_or_insert_with(|| id.clone());
        self.count_supporter(&member);
        self.members.insert(id, member);
    }

    /// Removes a member, or the id of one that is about to join. What the member waits for fails.
    pub(super) fn remove(&mut self, id: &StrBytes) {
        self.pending.remove(id);
        let Some(mut member) = self.members.remove(id) else { return };
        self.discount_supporter(&member);
        member.refuse(&StrBytes::default(), ResponseError::UnknownMemberId);
        if let Some(instance) = &member.instance {
            self.instances.remove(instance);
        }
        if self.leader.as_ref() == Some(id) {
            self.leader = self.members.keys().next().cloned();
        }
    }

    /// Returns the ids of the members that pass a test.
    pub(super) fn find(&self, test: impl Fn(&Member) -> bool) -> Vec<StrBytes> {
        let found = self.members.iter().filter(|(_, member)| test(member));
        found.map(|(id, _)| id.clone()).collect()
    }

    /// Removes the members that pass a test.
    pub(super) fn remove_where(&mut self, test: impl Fn(&Member) -> bool) {
        for id in self.find(test) {
            self.remove(&id);
        }
    }

    /// Replaces what a member said when it joined.
    pub(super) fn update(&mut self, id: &StrBytes, join: Join) {
        let Some(mut member) = self.members.remove(id) else { return };
        self.discount_supporter(&member);
        member.update(join);
        self.count_supporter(&member);
        self.members.insert(id.clone(), member);
    }

    fn count_supporter(&mut self, member: &Member) {
        for protocol in &member.protocols {
            *self.supporters.entry(protocol.name.clone()).or_default() += 1;
        }
    }

    fn discount_supporter(&mut self, member: &Member) {
        for protocol in &member.protocols {
            if let Some(count) = self.supporters.get_mut(&protocol.name) {
                *count -= 1;
                if *count == 0 {
                    self.supporters.remove(&protocol.name);
                }
            }
        }
    }

    /// Returns whether all members support a protocol.
    pub(super) fn is_candidate(&self, protocol: &StrBytes) -> bool {
        self.supporters.get(protocol).copied().unwrap_or_default() == self.members.len()
    }

    /// Returns whether the group would have a protocol in common with a member.
    pub(super) fn supports(&self, join: &Join) -> bool {
        if self.phase == Phase::Empty {
            return !join.protocol_type.is_empty() && !join.protocols.is_empty();
        }
        let is_same_type = self.protocol_type.as_ref() == Some(&join.protocol_type);
        is_same_type && join.protocols.iter().any(|protocol| self.is_candidate(&protocol.name))
    }

    /// Selects the protocol that most members prefer among those that all support.
    pub(super) fn select_protocol(&self) -> Option<StrBytes> {
        let mut votes: BTreeMap<&StrBytes, usize> = BTreeMap::new();
        for member in self.members.values() {
            if let Some(protocol) = member.vote(|protocol| self.is_candidate(protocol)) {
                *votes.entry(protocol).or_default() += 1;
            }
        }
        let (protocol, _) = votes.into_iter().max_by_key(|(_, count)| *count)?;
        Some(protocol.clone())
    }

    /// Checks that a caller is who it claims to be. An instance has one member id at a time; the holder of an
    /// older one is fenced.
    pub(super) fn check_member(
        &self,
        id: &str,
        instance: Option<&str>,
    ) -> Result<(), ResponseError> {
        if let Some(instance) = instance {
            let current = self.instances.get(instance.as_bytes());
            let current = current.ok_or(ResponseError::UnknownMemberId)?;
            if current != id {
                return Err(ResponseError::FencedInstanceId);
            }
        }
        let is_known = self.members.contains_key(id.as_bytes());
        if is_known { Ok(()) } else { Err(ResponseError::UnknownMemberId) }
    }

    pub(super) fn is_leader(&self, id: &str) -> bool {
        self.leader.as_ref().is_some_and(|leader| leader == id)
    }

    /// Returns the bytes that the members made the group keep.
    pub(super) fn bytes(&self) -> usize {
        self.members.values().map(|member| member.bytes + member.assignment.len()).sum()
    }

    /// Returns the answer to a member that is in the current generation, without the list of the members.
    pub(super) fn describe_generation(&self, id: &StrBytes) -> JoinGroupResponse {
        JoinGroupResponse::default()
            .with_generation_id(self.generation)
            .with_protocol_type(self.protocol_type.clone())
            .with_protocol_name(self.protocol.clone())
            .with_leader(self.leader.clone().unwrap_or_default())
            .with_member_id(id.clone())
    }

    /// Returns what the leader must know of all members.
    pub(super) fn list_members(&self) -> Vec<JoinGroupResponseMember> {
        let protocol = self.protocol.clone().unwrap_or_default();
        let describe = |(id, member): (&StrBytes, &Member)| {
            JoinGroupResponseMember::default()
                .with_member_id(id.clone())
                .with_group_instance_id(member.instance.clone())
                .with_metadata(member.metadata(&protocol).cloned().unwrap_or_default())
        };
        self.members.iter().map(describe).collect()
    }

    /// Creates the two ends of an answer that a member waits for.
    pub(super) fn promise<T>(&mut self, id: &StrBytes) -> (Waiter<T>, Promise<T>) {
        self.tickets += 1;
        promise(id.clone(), self.tickets)
    }

    /// Gives a member its full session timeout from now.
    pub(super) fn renew(&mut self, id: &str, now: Instant) {
        if let Some(member) = self.members.get_mut(id.as_bytes()) {
            let expires = after(now, member.session);
            member.expires = expires;
            self.schedule(expires);
        }
    }

    /// Notes that a caller has gone away while its member waited for an answer. The member has one session
    /// timeout to come back.
    pub(super) fn abandon(&mut self, id: &StrBytes, ticket: u64, now: Instant) {
        let Some(member) = self.members.get_mut(id) else { return };
        let joining = member.joining.take_if(|waiter| waiter.has(ticket)).is_some();
        let syncing = member.syncing.take_if(|waiter| waiter.has(ticket)).is_some();
        if joining || syncing {
            self.renew(id, now);
        }
    }

    /// Makes the task of the group wake by this time.
    pub(super) fn schedule(&mut self, deadline: Instant) {
        if self.alarm.is_none_or(|alarm| deadline < alarm) {
            self.alarm = Some(deadline);
            self.must_wake = true;
        }
    }

    /// Notes what the task of the group is about to wait for.
    pub(super) fn set_alarm(&mut self, deadline: Option<Instant>) {
        self.alarm = deadline;
        self.must_wake = false;
    }

    /// Returns whether the task must wake earlier than it knows.
    pub(super) fn take_alarm(&mut self) -> bool {
        std::mem::take(&mut self.must_wake)
    }
}

/// Returns the time after a while.
pub(super) fn after(now: Instant, wait: Duration) -> Instant {
    now + wait.min(FAR)
}
