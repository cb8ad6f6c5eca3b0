//! The requests to Kafka's group coordinator, behind a trait, so that tests can take its place.

use std::time::Duration;

use bytes::Bytes;
use futures_core::future::BoxFuture;
use leftfold_kafka::KafkaError;

/// The protocol type of the group. It is not that of consumers, so Kafka's tools leave it alone.
pub const PROTOCOL_TYPE: &str = "leftfold";

/// The protocol of the group: the version of what members report and are given.
pub const PROTOCOL: &str = "leftfold-1";

/// The coordinator of one group (Kafka's classic protocol, static members).
///
/// Each request must end by itself, soon: a coordinator that hangs is found again only after its request has failed.
/// Heartbeats should fail within a third of the session timeout. A future that is dropped may leave a request that the coordinator still executes.
pub trait Coordinator: Send + Sync + 'static {
    /// Joins the group, and waits until all its members have. A broker answers nothing else on the same connection
    /// meanwhile.
    ///
    /// # Errors
    /// Kafka's code, or no answer.
    fn join(&self, request: JoinRequest) -> BoxFuture<'_, Result<JoinAnswer, KafkaError>>;

    /// Sends the assignments if this member leads, and waits for its own.
    ///
    /// # Errors
    /// Kafka's code, or no answer.
    fn sync(&self, request: SyncRequest) -> BoxFuture<'_, Result<Bytes, KafkaError>>;

    /// Renews the session.
    ///
    /// # Errors
    /// Kafka's code, or no answer.
    fn heartbeat(&self, session: Session) -> BoxFuture<'_, Result<(), KafkaError>>;

    /// Leaves the group at once. The member id may be empty, because the name is sufficient.
    ///
    /// # Errors
    /// Kafka's code, or no answer.
    fn leave(&self, name: String, member_id: String) -> BoxFuture<'_, Result<(), KafkaError>>;
}

/// A request to join, with [`PROTOCOL`] as the only protocol.
#[derive(Debug, Clone)]
pub struct JoinRequest {
    /// The node's name (`group.instance.id`).
    pub name: String,
    /// The id that the coordinator gave; empty if there is none.
    pub member_id: String,
    /// The time without heartbeats after which the coordinator drops the member.
    pub session_timeout: Duration,
    /// The time that the coordinator waits for members to join again.
    pub rebalance_timeout: Duration,
    /// What the member reports.
    pub metadata: Bytes,
}

/// The answer to a request to join.
#[derive(Debug, Clone)]
pub enum JoinAnswer {
    /// The member is part of a generation.
    Joined(Joined),
    /// The member must join again with this id.
    MemberIdRequired(String),
}

/// A member's part in a generation.
#[derive(Debug, Clone)]
pub struct Joined {
    /// The member's id.
    pub member_id: String,
    /// The generation.
    pub generation: i32,
    /// All members if this one has to assign; `None` if it does not lead, or the coordinator says to skip it.
    pub members: Option<Vec<JoinedMember>>,
}

/// A member as its leader sees it.
#[derive(Debug, Clone)]
pub struct JoinedMember {
    /// The member's id.
    pub member_id: String,
    /// The node's name, or the member's id if it has none.
    pub name: String,
    /// What the member reports.
    pub metadata: Bytes,
}

/// A member of a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The node's name.
    pub name: String,
    /// The member's id.
    pub member_id: String,
    /// The generation.
    pub generation: i32,
}

/// A request for the own assignment.
#[derive(Debug, Clone)]
pub struct SyncRequest {
    /// The member of a generation.
    pub session: Session,
    /// The assignments by member id; empty if this member does not assign.
    pub assignments: Vec<(String, Bytes)>,
}
