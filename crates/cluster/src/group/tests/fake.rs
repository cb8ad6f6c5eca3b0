//! A model of Kafka's group coordinator: classic protocol, static members.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use leftfold_api::Timestamp;
use leftfold_fold::time::{FakeTime, Time, later};
use leftfold_kafka::{KafkaError, ResponseError};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use crate::group::{JoinAnswer, JoinRequest, Joined, JoinedMember, Session, SyncRequest};

type Answer<T> = Result<T, ResponseError>;

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

struct FakeMember {
    name: String,
    metadata: Bytes,
    session_timeout: Duration,
    rebalance_timeout: Duration,
    deadline: Timestamp,
    joining: Option<oneshot::Sender<Answer<Joined>>>,
    syncing: Option<oneshot::Sender<Answer<Bytes>>>,
    assignment: Bytes,
}

#[derive(Default)]
struct Group {
    phase: Phase,
    generation: i32,
    leader: String,
    members: BTreeMap<String, FakeMember>,
    ids: u64,
    /// All requests are refused with it.
    unavailable: Option<ResponseError>,
}

/// The group, shared by the coordinators of all nodes.
#[derive(Clone)]
pub(super) struct FakeGroup {
    time: FakeTime,
    group: Arc<Mutex<Group>>,
    changed: Arc<Notify>,
}

impl FakeGroup {
    pub(super) fn new(time: FakeTime) -> Self {
        FakeGroup { time, group: Arc::default(), changed: Arc::default() }
    }

    /// Ends sessions and phases when their time has come.
    pub(super) async fn run(self) {
        loop {
            let changed = self.changed.notified();
            let next = {
                let mut group = self.group.lock();
                if group.unavailable.is_none() {
                    group.expire(self.time.now());
                }
                group.next_deadline()
            };
            match next {
                Some(at) => tokio::select! { () = changed => {}, () = self.time.until(at) => {} },
                None => changed.await,
            }
        }
    }

    /// Takes the coordinator away, or brings another one up, which loads the group.
    pub(super) fn set_unavailable(&self, code: Option<ResponseError>) {
        let mut group = self.group.lock();
        group.unavailable = code;
        let now = self.time.now();
        for member in group.members.values_mut() {
            // The new coordinator gives each member a whole session again.
            member.deadline = later(now, member.session_timeout);
            if let Some(code) = code {
                member.joining.take().map(|sender| sender.send(Err(code)));
                member.syncing.take().map(|sender| sender.send(Err(code)));
            }
        }
        // A generation that had begun begins again. (Kafka's new coordinator knows the one before it as stable.)
        if matches!(group.phase, Phase::Preparing(_) | Phase::Completing) {
            group.phase = Phase::Stable;
            group.prepare(now);
        }
        self.changed.notify_waiters();
    }

    pub(super) fn generation(&self) -> i32 {
        self.group.lock().generation
    }

    fn with<T>(&self, change: impl FnOnce(&mut Group, Timestamp) -> Answer<T>) -> Answer<T> {
        let mut group = self.group.lock();
        self.changed.notify_waiters();
        match group.unavailable {
            Some(code) => Err(code),
            None => change(&mut group, self.time.now()),
        }
    }

    pub(super) async fn join(&self, request: JoinRequest) -> Answer<JoinAnswer> {
        let (sender, answer) = oneshot::channel();
        self.with(|group, now| group.join(request, sender, now))?;
        answer.await.unwrap_or(Err(ResponseError::UnknownMemberId)).map(JoinAnswer::Joined)
    }

    pub(super) async fn sync(&self, request: SyncRequest) -> Answer<Bytes> {
        let (sender, answer) = oneshot::channel();
        self.with(|group, now| group.sync(request, sender, now))?;
        answer.await.unwrap_or(Err(ResponseError::UnknownMemberId))
    }

    pub(super) fn heartbeat(&self, session: &Session) -> Answer<()> {
        self.with(|group, now| {
            group.check(session)?;
            group.renew(&session.member_id, now);
            match group.phase {
                Phase::Preparing(_) => Err(ResponseError::RebalanceInProgress),
                _ => Ok(()),
            }
        })
    }

    pub(super) fn leave(&self, name: &str) -> Answer<()> {
        self.with(|group, now| {
            let id = group.find(name).ok_or(ResponseError::UnknownMemberId)?;
            group.remove(&id, now);
            Ok(())
        })
    }
}

impl Group {
    fn find(&self, name: &str) -> Option<String> {
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

    fn check(&self, session: &Session) -> Answer<()> {
        self.check_id(&session.name, &session.member_id)?;
        if session.generation != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        Ok(())
    }

    fn renew(&mut self, member_id: &str, now: Timestamp) {
        if let Some(member) = self.members.get_mut(member_id) {
            member.deadline = later(now, member.session_timeout);
        }
    }

    fn join(
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

    fn sync(
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

    fn remove(&mut self, id: &str, now: Timestamp) {
        self.members.remove(id);
        self.prepare(now);
    }

    fn next_deadline(&self) -> Option<Timestamp> {
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

    fn expire(&mut self, now: Timestamp) {
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

/// Returns an answer as the client does.
pub(super) fn refuse<T>(request: &'static str, answer: Answer<T>) -> Result<T, KafkaError> {
    answer.map_err(|code| KafkaError::Refused { request, code, message: String::new() })
}
