//! The state of the model: its phases, generations and sessions.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use leftfold_api::Timestamp;
use leftfold_fold::time::later;
use leftfold_kafka::ResponseError;
use tokio::sync::oneshot;

use crate::group::{JoinRequest, Joined, JoinedMember, Session, SyncRequest};

pub(super) type Answer<T> = Result<T, ResponseError>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    #[default]
    Empty,
    /// Waits for members to join.
    Preparing(Timestamp),
    /// Waits for the assignments of the leader.
    Completing,
    Stable,
}

pub(super) struct FakeMember {
    name: String,
    pub(super) metadata: Bytes,
    session_timeout: Duration,
    rebalance_timeout: Duration,
    deadline: Timestamp,
    joining: Option<oneshot::Sender<Answer<Joined>>>,
    syncing: Option<oneshot::Sender<Answer<Bytes>>>,
    assignment: Bytes,
}

#[derive(Default)]
pub(super) struct Group {
    phase: Phase,
    pub(super) generation: i32,
    leader: String,
    pub(super) members: BTreeMap<String, FakeMember>,
    ids: u64,
    /// All requests are refused with it.
    pub(super) unavailable: Option<ResponseError>,
}

impl Group {
    /// Gives the group to another coordinator.
    pub(super) fn fail_over(&mut self, now: Timestamp) {
        for member in self.members.values_mut() {
            // The new coordinator gives each member a whole session again.
            member.deadline = later(now, member.session_timeout);
            if let Some(code) = self.unavailable {
                member.joining.take().map(|sender| sender.send(Err(code)));
                member.syncing.take().map(|sender| sender.send(Err(code)));
            }
        }
        // A generation that had begun begins again. (Kafka's new coordinator knows the one before it as stable.)
        if matches!(self.phase, Phase::Preparing(_) | Phase::Completing) {
            self.phase = Phase::Stable;
            self.prepare(now);
        }
    }

    pub(super) fn is_preparing(&self) -> bool {
        matches!(self.phase, Phase::Preparing(_))
    }

    pub(super) fn find(&self, name: &str) -> Option<String> {
        let found = self.members.iter().find(|(_, member)| member.name == name);
        found.map(|(id, _)| id.clone())
    }

    fn check_id(&self, name: &str, member_id: &str) -> Answer<()> {
        match self.find(name) {
            Some(id) if id == member_id => Ok(()),
            Some(_) => Err(ResponseError::FencedInstanceId),
            None => Err(ResponseError::UnknownMemberId),
        }
    }

    pub(super) fn check(&self, session: &Session) -> Answer<()> {
        self.check_id(&session.name, &session.member_id)?;
        if session.generation != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        Ok(())
    }

    pub(super) fn renew(&mut self, member_id: &str, now: Timestamp) {
        if let Some(member) = self.members.get_mut(member_id) {
            member.deadline = later(now, member.session_timeout);
        }
    }

    pub(super) fn join(
        &mut self,
        request: JoinRequest,
        sender: oneshot::Sender<Answer<Joined>>,
        now: Timestamp,
    ) -> Answer<()> {
        let is_new_id = request.member_id.is_empty();
        if !is_new_id {
            self.check_id(&request.name, &request.member_id)?;
        }
        let known = self.find(&request.name);
        let id = if is_new_id {
            self.ids += 1;
            format!("{}-{}", request.name, self.ids)
        } else {
            request.member_id.clone()
        };
        let old = known.as_ref().and_then(|known| self.members.remove(known));
        let mut is_same = false;
        let mut member = FakeMember {
            name: request.name,
            metadata: request.metadata,
            session_timeout: request.session_timeout,
            rebalance_timeout: request.rebalance_timeout,
            deadline: later(now, request.session_timeout),
            joining: None,
            syncing: None,
            assignment: Bytes::new(),
        };
        let was_leader = known.as_ref() == Some(&self.leader);
        if let Some(old) = old {
            is_same = old.metadata == member.metadata;
            member.assignment = old.assignment;
            if is_new_id {
                // The process that joined before is fenced.
                old.joining.map(|sender| sender.send(Err(ResponseError::FencedInstanceId)));
                old.syncing.map(|sender| sender.send(Err(ResponseError::FencedInstanceId)));
                if was_leader {
                    self.leader = id.clone();
                }
            }
        }
        let keeps_generation = match self.phase {
            Phase::Stable => is_same && (is_new_id || !was_leader),
            Phase::Completing => is_same && !is_new_id,
            Phase::Empty | Phase::Preparing(_) => false,
        };
        if keeps_generation {
            self.members.insert(id.clone(), member);
            let members = (self.phase == Phase::Completing && was_leader).then(|| self.describe());
            let (member_id, generation) = (id, self.generation);
            let _ = sender.send(Ok(Joined { member_id, generation, members }));
            return Ok(());
        }
        member.joining = Some(sender);
        self.members.insert(id, member);
        self.prepare(now);
        Ok(())
    }

    fn describe(&self) -> Vec<JoinedMember> {
        let describe = |(id, member): (&String, &FakeMember)| JoinedMember {
            member_id: id.clone(),
            name: member.name.clone(),
            metadata: member.metadata.clone(),
        };
        self.members.iter().map(describe).collect()
    }

    /// Begins a generation, unless one has begun, and ends its first phase if all have joined.
    fn prepare(&mut self, now: Timestamp) {
        if !matches!(self.phase, Phase::Preparing(_)) {
            for member in self.members.values_mut() {
                let syncing = member.syncing.take();
                syncing.map(|sender| sender.send(Err(ResponseError::RebalanceInProgress)));
            }
            let timeouts = self.members.values().map(|member| member.rebalance_timeout);
            self.phase = Phase::Preparing(later(now, timeouts.max().unwrap_or_default()));
        }
        if self.members.is_empty() {
            self.phase = Phase::Empty;
        } else if self.members.values().all(|member| member.joining.is_some()) {
            self.complete(now);
        }
    }

    fn complete(&mut self, now: Timestamp) {
        let has_joined = |id: &String, group: &Group| {
            group.members.get(id).is_some_and(|member| member.joining.is_some())
        };
        if !has_joined(&self.leader, self) {
            // Static members that have not joined stay until their sessions end.
            let Some(leader) = self.members.keys().find(|id| has_joined(id, self)) else {
                self.phase = Phase::Preparing(later(now, Duration::from_secs(1)));
                return;
            };
            self.leader = leader.clone();
        }
        self.generation += 1;
        self.phase = Phase::Completing;
        let members = self.describe();
        let (generation, leader) = (self.generation, self.leader.clone());
        for (id, member) in &mut self.members {
            let Some(sender) = member.joining.take() else { continue };
            member.deadline = later(now, member.session_timeout);
            let members = (*id == leader).then(|| members.clone());
            let _ = sender.send(Ok(Joined { member_id: id.clone(), generation, members }));
        }
    }

    pub(super) fn sync(
        &mut self,
        request: SyncRequest,
        sender: oneshot::Sender<Answer<Bytes>>,
        now: Timestamp,
    ) -> Answer<()> {
        self.check(&request.session)?;
        let id = request.session.member_id;
        self.renew(&id, now);
        match self.phase {
            Phase::Preparing(_) => return Err(ResponseError::RebalanceInProgress),
            Phase::Empty => return Err(ResponseError::UnknownMemberId),
            Phase::Completing | Phase::Stable => {}
        }
        if self.phase == Phase::Completing && id == self.leader {
            let mut assignments: BTreeMap<_, _> = request.assignments.into_iter().collect();
            for (id, member) in &mut self.members {
                member.assignment = assignments.remove(id).unwrap_or_default();
                let syncing = member.syncing.take();
                syncing.map(|sender| sender.send(Ok(member.assignment.clone())));
                member.deadline = later(now, member.session_timeout);
            }
            self.phase = Phase::Stable;
        }
        let is_stable = self.phase == Phase::Stable;
        let member = self.members.get_mut(&id).ok_or(ResponseError::UnknownMemberId)?;
        if is_stable {
            let _ = sender.send(Ok(member.assignment.clone()));
        } else {
            member.syncing = Some(sender);
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, id: &str, now: Timestamp) {
        self.members.remove(id);
        self.prepare(now);
    }

    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        if self.unavailable.is_some() {
            return None;
        }
        let waits = |member: &&FakeMember| member.joining.is_none() && member.syncing.is_none();
        let sessions = self.members.values().filter(waits).map(|member| member.deadline);
        let phase = match self.phase {
            Phase::Preparing(deadline) => Some(deadline),
            _ => None,
        };
        sessions.chain(phase).min()
    }

    pub(super) fn expire(&mut self, now: Timestamp) {
        let is_over = |member: &FakeMember| {
            member.joining.is_none() && member.syncing.is_none() && member.deadline <= now
        };
        let over = self.members.iter().filter(|(_, member)| is_over(member));
        let over: Vec<String> = over.map(|(id, _)| id.clone()).collect();
        for id in over {
            self.remove(&id, now);
        }
        if let Phase::Preparing(deadline) = self.phase
            && deadline <= now
        {
            self.complete(now);
        }
    }
}
