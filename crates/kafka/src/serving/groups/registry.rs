//! All groups of a server by their ids.

use std::collections::HashMap;
use std::sync::Arc;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::JoinGroupResponse;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::GroupLimits;
use super::group::{Group, watch_deadlines};
use super::request::Join;
use super::state::State;
use super::wait::Answer;

/// The groups that have members, or members about to join. A thread that holds the lock of the map takes that
/// of a group only if no other thread knows the group, so the locks have no order to break.
pub(super) struct Registry {
    pub(super) limits: Arc<GroupLimits>,
    groups: Mutex<HashMap<String, Arc<Group>>>,
}

impl Registry {
    pub(super) fn new(limits: GroupLimits) -> Self {
        Registry { limits: Arc::new(limits), groups: Mutex::default() }
    }

    /// Visits a group; `None` if it does not exist.
    pub(super) fn visit<T>(
        &self,
        id: &str,
        act: impl FnOnce(&mut State, Instant) -> T,
    ) -> Option<T> {
        let group = self.find(id)?;
        let visit = group.act(act);
        if visit.is_dead {
            self.discard(id, &group);
        }
        visit.answer
    }

    pub(super) fn find(&self, id: &str) -> Option<Arc<Group>> {
        self.groups.lock().get(id).cloned()
    }

    /// Lets a member join a group. A member without an id creates a group that does not exist.
    pub(super) fn join(
        self: &Arc<Self>,
        id: &str,
        join: Join,
    ) -> Result<(Arc<Group>, Answer<JoinGroupResponse>), ResponseError> {
        let mut join = Some(join);
        loop {
            let (group, answer) = match self.find_or_create(id, &mut join)? {
                Found::Old(group) => {
                    let visit = group.act(|state, now| join.take().map(|one| state.join(one, now)));
                    if visit.is_dead {
                        self.discard(id, &group);
                    }
                    (group, visit.answer.flatten())
                }
                Found::New(group, answer) => (group, Some(answer)),
            };
            // A group that died since it was found has not seen the join: the next round creates another one.
            if let Some(answer) = answer {
                return Ok((group, answer));
            }
        }
    }

    /// A new group sees its first join before other threads see the group, since a group with no member ends.
    fn find_or_create(
        self: &Arc<Self>,
        id: &str,
        join: &mut Option<Join>,
    ) -> Result<Found, ResponseError> {
        let mut groups = self.groups.lock();
        if let Some(group) = groups.get(id) {
            return Ok(Found::Old(Arc::clone(group)));
        }
        let join = join.take_if(|one| one.member_id.is_empty());
        let join = join.ok_or(ResponseError::UnknownMemberId)?;
        if groups.len() >= self.limits.groups {
            return Err(ResponseError::CoordinatorNotAvailable);
        }
        let group = Arc::new(Group::new(State::new(Arc::clone(&self.limits))));
        let visit = group.act(|state, now| state.join(join, now));
        let answer = visit.answer.ok_or(ResponseError::CoordinatorNotAvailable)?;
        if !visit.is_dead {
            groups.insert(id.to_owned(), Arc::clone(&group));
            let watch = watch_deadlines(Arc::clone(&group), id.to_owned(), Arc::downgrade(self));
            tokio::spawn(watch);
        }
        Ok(Found::New(group, answer))
    }

    /// Forgets a dead group, unless another one has its id by now.
    pub(super) fn discard(&self, id: &str, dead: &Arc<Group>) {
        let mut groups = self.groups.lock();
        if groups.get(id).is_some_and(|group| Arc::ptr_eq(group, dead)) {
            groups.remove(id);
        }
    }

    pub(super) fn list(&self) -> Vec<(String, Arc<Group>)> {
        let groups = self.groups.lock();
        groups.iter().map(|(id, group)| (id.clone(), Arc::clone(group))).collect()
    }
}

/// The group of a join.
enum Found {
    Old(Arc<Group>),
    /// It has seen the join.
    New(Arc<Group>, Answer<JoinGroupResponse>),
}

impl Drop for Registry {
    fn drop(&mut self) {
        // The tasks of the groups end, whatever deadline they wait for.
        for group in self.groups.get_mut().values() {
            group.act(|state, _| state.end());
        }
    }
}
