//! A model of Kafka's group coordinator: classic protocol, static members.

use std::sync::Arc;

use bytes::Bytes;
use futures_core::future::BoxFuture;
use leftfold_api::Timestamp;
use leftfold_fold::time::{FakeTime, Time};
use leftfold_kafka::{KafkaError, ResponseError};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use super::group::{Answer, Group};
use crate::group::{Coordinator, JoinAnswer, JoinRequest, Profile, Session, SyncRequest};

/// The group, shared by the coordinators of all nodes.
#[derive(Clone)]
pub(crate) struct FakeGroup {
    time: FakeTime,
    group: Arc<Mutex<Group>>,
    changed: Arc<Notify>,
}

impl FakeGroup {
    pub(crate) fn new(time: FakeTime) -> Self {
        FakeGroup { time, group: Arc::default(), changed: Arc::default() }
    }

    /// Ends sessions and phases when their time has come.
    pub(crate) async fn run(self) {
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
        group.fail_over(self.time.now());
        self.changed.notify_waiters();
    }

    pub(crate) fn generation(&self) -> i32 {
        self.group.lock().generation
    }

    /// Returns what a node reported last.
    pub(super) fn report(&self, name: &str) -> Profile {
        let group = self.group.lock();
        let id = group.find(name).unwrap();
        Profile::decode(&group.members[&id].metadata).unwrap()
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
            if group.is_preparing() { Err(ResponseError::RebalanceInProgress) } else { Ok(()) }
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

/// The group, without a network in between.
impl Coordinator for FakeGroup {
    fn join(&self, request: JoinRequest) -> BoxFuture<'_, Result<JoinAnswer, KafkaError>> {
        Box::pin(async move { refuse("JoinGroup", self.join(request).await) })
    }

    fn sync(&self, request: SyncRequest) -> BoxFuture<'_, Result<Bytes, KafkaError>> {
        Box::pin(async move { refuse("SyncGroup", self.sync(request).await) })
    }

    fn heartbeat(&self, session: Session) -> BoxFuture<'_, Result<(), KafkaError>> {
        Box::pin(async move { refuse("Heartbeat", self.heartbeat(&session)) })
    }

    fn leave(&self, name: String, _: String) -> BoxFuture<'_, Result<(), KafkaError>> {
        Box::pin(async move { refuse("LeaveGroup", self.leave(&name)) })
    }
}

/// Returns an answer as the client does.
pub(super) fn refuse<T>(request: &'static str, answer: Answer<T>) -> Result<T, KafkaError> {
    answer.map_err(|code| KafkaError::Refused { request, code, message: String::new() })
}
