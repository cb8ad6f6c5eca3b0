//! A member of a group.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{JoinGroupResponse, SyncGroupResponse};
use kafka_protocol::protocol::StrBytes;
use tokio::time::Instant;

use super::answers;
use super::request::{Join, Protocol};
use super::wait::Waiter;

/// A member of a group.
pub(super) struct Member {
    pub(super) instance: Option<StrBytes>,
    pub(super) client_id: StrBytes,
    pub(super) host: StrBytes,
    pub(super) session: Duration,
    pub(super) rebalance: Duration,
    pub(super) protocols: Vec<Protocol>,
    pub(super) assignment: Bytes,
    /// The bytes of all that the member sent with its join.
    pub(super) bytes: usize,
    /// It was in no generation yet.
    pub(super) is_new: bool,
    /// It has not sent the sync of its generation.
    pub(super) owes_sync: bool,
    /// When the coordinator drops it, unless it waits for an answer.
    pub(super) expires: Instant,
    pub(super) joining: Option<Waiter<JoinGroupResponse>>,
    pub(super) syncing: Option<Waiter<SyncGroupResponse>>,
}

impl Member {
    /// Creates a member that has joined and is in no generation.
    pub(super) fn new(join: Join, expires: Instant) -> Self {
        Member {
            bytes: join.bytes(),
            instance: join.instance,
            client_id: join.client_id,
            host: join.host,
            session: join.session,
            rebalance: join.rebalance,
            protocols: join.protocols,
            assignment: Bytes::new(),
            is_new: true,
            owes_sync: false,
            expires,
            joining: None,
            syncing: None,
        }
    }

    /// Takes over what a later join says.
    pub(super) fn update(&mut self, join: Join) {
        self.bytes = join.bytes();
        self.client_id = join.client_id;
        self.host = join.host;
        self.session = join.session;
        self.rebalance = join.rebalance;
        self.protocols = join.protocols;
    }

    pub(super) fn has_joined(&self) -> bool {
        self.joining.is_some()
    }

    /// Returns whether no time passes for it: its client cannot send heartbeats on a connection that waits. A
    /// member in no generation has a limit nevertheless, since a client that gave up and retried cannot be
    /// told from it.
    pub(super) fn is_exempt(&self) -> bool {
        !self.is_new && (self.joining.is_some() || self.syncing.is_some())
    }

    pub(super) fn metadata(&self, protocol: &str) -> Option<&Bytes> {
        let found = self.protocols.iter().find(|one| one.name == *protocol)?;
        Some(&found.metadata)
    }

    /// Returns the first of its protocols that passes the test.
    pub(super) fn vote(&self, is_candidate: impl Fn(&StrBytes) -> bool) -> Option<&StrBytes> {
        self.protocols.iter().map(|one| &one.name).find(|name| is_candidate(name))
    }

    /// Answers what the member waits for with an error.
    pub(super) fn refuse(&mut self, member: &StrBytes, error: ResponseError) {
        if let Some(waiter) = self.joining.take() {
            waiter.answer(answers::refuse_join(member.clone(), error));
        }
        if let Some(waiter) = self.syncing.take() {
            waiter.answer(answers::refuse_sync(error));
        }
    }
}
