//! How members enter a group.

use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::JoinGroupResponse;
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;

use super::answers::refuse_join;
use super::member::Member;
use super::request::Join;
use super::state::{Phase, State, after};
use super::subscription;
use super::wait::Answer;

/// How long a member that was in no generation waits for its first one. It cannot send heartbeats meanwhile,
/// since it does not know its id.
const NEW_MEMBER_TIMEOUT: Duration = Duration::from_secs(5 * 60);

type JoinAnswer = Answer<JoinGroupResponse>;

impl State {
    /// Lets a member join.
    pub(super) fn join(&mut self, join: Join, now: Instant) -> JoinAnswer {
        let id = join.member_id.clone();
        let answer = if !self.accepts(&join) {
            self.remove(&id);
            refuse(StrBytes::default(), ResponseError::GroupMaxSizeReached)
        } else if !self.supports(&join) {
            refuse(id, ResponseError::InconsistentGroupProtocol)
        } else if !self.has_room_for(&join) {
            refuse(id, ResponseError::GroupMaxSizeReached)
        } else if id.is_empty() {
            self.join_unknown(join, now)
        } else {
            self.join_known(id, join, now)
        };
        self.try_complete_join(now);
        answer
    }

    /// Returns whether the number of members lets this one in.
    fn accepts(&self, join: &Join) -> bool {
        let is_static = self.current_id(join).is_some();
        let member = self.members.get(&join.member_id);
        let limit = self.limits.members;
        match self.phase {
            Phase::Empty | Phase::Dead => true,
            // Those that have not joined may never do, so they do not count. What they keep is bounded
            // nevertheless.
            Phase::Preparing(_) => {
                let joined = self.members.values().filter(|member| member.has_joined()).count();
                let is_waiting = member.is_some_and(Member::has_joined);
                let has_place = member.is_some() || self.members.len() < limit.saturating_mul(2);
                is_waiting || is_static || (joined < limit && has_place)
            }
            Phase::Completing | Phase::Stable => {
                member.is_some() || is_static || self.members.len() < limit
            }
        }
    }

    /// Returns whether the group may keep what a member sends.
    fn has_room_for(&self, join: &Join) -> bool {
        let id = self.current_id(join).unwrap_or(&join.member_id);
        let replaced = self.members.get(id).map_or(0, |member| member.bytes);
        let bytes = self.bytes().saturating_sub(replaced).saturating_add(join.bytes());
        bytes <= self.limits.metadata_bytes
    }

    /// Returns the id of the member that the instance of a join has now.
    fn current_id(&self, join: &Join) -> Option<&StrBytes> {
        self.instances.get(join.instance.as_ref()?)
    }

    fn join_unknown(&mut self, join: Join, now: Instant) -> JoinAnswer {
        let id = match join.create_member_id() {
            Ok(id) => id,
            Err(error) => return refuse(StrBytes::default(), error),
        };
        if let Some(old) = self.current_id(&join).cloned() {
            return self.replace_static(&old, id, join, now);
        }
        if join.requires_member_id {
            self.expect_member(id.clone(), after(now, join.session));
            return refuse(id, ResponseError::MemberIdRequired);
        }
        self.add(id, join, now)
    }

    /// Notes an id that was given to a member. If there are too many, the one that expires first gives way.
    fn expect_member(&mut self, id: StrBytes, expires: Instant) {
        if self.pending.len() >= self.limits.members.max(1) {
            let first = self.pending.iter().min_by_key(|(_, expires)| **expires);
            if let Some(first) = first.map(|(id, _)| id.clone()) {
                self.pending.remove(&first);
            }
        }
        self.pending.insert(id, expires);
        self.schedule(expires);
    }

    fn join_known(&mut self, id: StrBytes, join: Join, now: Instant) -> JoinAnswer {
        if join.instance.is_none() && self.pending.contains_key(&id) {
            return self.add(id, join, now);
        }
        if let Err(error) = self.check_member(&id, join.instance.as_deref()) {
            return refuse(id, error);
        }
        let is_unchanged = self.members.get(&id).is_some_and(|m| m.protocols == join.protocols);
        match self.phase {
            // The answer to an earlier join of the member was lost.
            Phase::Completing if is_unchanged => {
                let mut answer = self.describe_generation(&id);
                if self.is_leader(&id) {
                    answer.members = self.list_members();
                }
                Answer::Ready(answer)
            }
            // A leader that joins wants a rebalance for a reason that no metadata shows, such as new
            // partitions.
            Phase::Stable if is_unchanged && !self.is_leader(&id) => {
                Answer::Ready(self.describe_generation(&id))
            }
            Phase::Preparing(_) | Phase::Completing | Phase::Stable => {
                self.update(&id, join);
                let answer = self.wait_for_generation(&id);
                self.prepare_if_settled(now);
                answer
            }
            Phase::Empty | Phase::Dead => refuse(id, ResponseError::UnknownMemberId),
        }
    }

    /// Adds a member and begins a rebalance.
    fn add(&mut self, id: StrBytes, join: Join, now: Instant) -> JoinAnswer {
        if let Phase::Preparing(window) = &mut self.phase {
            window.note_newcomer();
        }
        if self.members.is_empty() {
            self.protocol_type = Some(join.protocol_type.clone());
        }
        let expires = after(now, NEW_MEMBER_TIMEOUT);
        self.insert(id.clone(), Member::new(join, expires));
        self.schedule(expires);
        let answer = self.wait_for_generation(&id);
        if !matches!(self.phase, Phase::Preparing(_)) {
            self.prepare_rebalance(now);
        }
        answer
    }

    /// Gives the place of a static member to a new process with the same instance. The old process is fenced.
    /// In a stable group the new one gets the assignment of the old one without a rebalance, unless it needs
    /// another one.
    fn replace_static(
        &mut self,
        old: &StrBytes,
        id: StrBytes,
        join: Join,
        now: Instant,
    ) -> JoinAnswer {
        let old_leader = self.leader.clone();
        let skips_assignment = join.skips_assignment;
        let changes_topics = self.changes_topics(old, &join);
        self.rename(old, &id);
        self.update(&id, join);
        self.renew(&id, now);
        match self.phase {
            Phase::Stable if !changes_topics && self.select_protocol() == self.protocol => {
                let mut answer = self.describe_generation(&id);
                if skips_assignment && self.is_leader(&id) {
                    answer.members = self.list_members();
                    answer.skip_assignment = true;
                } else if !skips_assignment {
                    // It must not think that it leads: a stable group ignores assignments.
                    answer.leader = old_leader.unwrap_or_default();
                }
                Answer::Ready(answer)
            }
            // While the leader assigns it knows only the old id, so the new one would get no assignment.
            Phase::Preparing(_) | Phase::Completing | Phase::Stable => {
                let answer = self.wait_for_generation(&id);
                self.prepare_if_settled(now);
                answer
            }
            Phase::Empty | Phase::Dead => refuse(id, ResponseError::UnknownMemberId),
        }
    }

    /// Gives a member another id. The holder of the old one is fenced.
    fn rename(&mut self, old: &StrBytes, id: &StrBytes) {
        let Some(mut member) = self.members.remove(old) else { return };
        member.refuse(old, ResponseError::FencedInstanceId);
        if let Some(instance) = &member.instance {
            self.instances.insert(instance.clone(), id.clone());
        }
        self.members.insert(id.clone(), member);
        if self.is_leader(old) {
            self.leader = Some(id.clone());
        }
    }

    /// Returns whether a static consumer came back with other topics, as far as the group can read them.
    fn changes_topics(&self, old: &StrBytes, join: &Join) -> bool {
        let (Some(member), Some(protocol)) = (self.members.get(old), &self.protocol) else {
            return false;
        };
        let new = join.protocols.iter().find(|one| one.name == *protocol);
        let (Some(old), Some(new)) = (member.metadata(protocol), new) else { return false };
        let is_consumer = self.protocol_type.as_deref() == Some(subscription::PROTOCOL_TYPE);
        is_consumer && subscription::differs(old, &new.metadata)
    }

    /// Lets a member wait for the next generation. An older request of the same member is answered.
    fn wait_for_generation(&mut self, id: &StrBytes) -> JoinAnswer {
        let (waiter, promise) = self.promise(id);
        if let Some(member) = self.members.get_mut(id)
            && let Some(older) = member.joining.replace(waiter)
        {
            older.answer(refuse_join(id.clone(), ResponseError::RebalanceInProgress));
        }
        Answer::Later(promise)
    }
}

fn refuse(id: StrBytes, error: ResponseError) -> JoinAnswer {
    Answer::Ready(refuse_join(id, error))
}
