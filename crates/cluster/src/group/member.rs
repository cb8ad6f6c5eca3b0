//! The loop of a member: it joins, assigns if it leads, renews its session, and joins again.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use leftfold_api::Timestamp;
use leftfold_fold::time::{Time, later};
use leftfold_kafka::{KafkaError, ResponseError};
use tracing::{info, warn};

use super::MetadataError;
use super::assign::assign_partitions;
use super::config::{MemberConfig, MembershipError, check_name};
use super::coordinator::{
    Coordinator, JoinAnswer, JoinRequest, JoinedMember, Session, SyncRequest,
};
use super::membership::{Membership, Shared, Standing, Wish};
use super::profile::Profile;
use super::remedy::{Remedy, wait_after};
use super::routes::RouteTable;

/// The time for leaving the group. After it the session timeout does it.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);

/// A node that is replaced twice within this number of session timeouts gives up.
const REPLACED_TIMEOUTS: u32 = 10;

/// The reason why a step of the loop has ended.
enum Stop {
    Leave,
    Kafka(KafkaError),
    Metadata(MetadataError),
}

impl From<KafkaError> for Stop {
    fn from(error: KafkaError) -> Self {
        Stop::Kafka(error)
    }
}

impl From<MetadataError> for Stop {
    fn from(error: MetadataError) -> Self {
        Stop::Metadata(error)
    }
}

/// A member of the cluster's group.
pub struct Member<C, T> {
    coordinator: C,
    time: T,
    config: MemberConfig,
    shared: Arc<Shared>,
    member_id: String,
    failures: u32,
    replaced: Option<Timestamp>,
}

impl<C: Coordinator, T: Time> Member<C, T> {
    /// Makes a member, and the handle of its membership. It does nothing until [`Member::run`] is polled.
    ///
    /// # Errors
    /// The node's name or the number of partitions is not allowed, or the report is too large.
    pub fn new(
        coordinator: C,
        time: T,
        config: MemberConfig,
        profile: Profile,
    ) -> Result<(Self, Membership), MetadataError> {
        config.check()?;
        profile.encode()?;
        let shared = Arc::new(Shared::new(profile));
        let membership = Membership::new(shared.clone());
        let member_id = String::new();
        let (failures, replaced) = (0, None);
        Ok((
            Member { coordinator, time, config, shared, member_id, failures, replaced },
            membership,
        ))
    }

    /// Runs the membership until the node leaves. It waits for Kafka for ever.
    ///
    /// # Errors
    /// Another process uses the node's name.
    pub async fn run(mut self) -> Result<(), MembershipError> {
        loop {
            let stop = match self.run_generation().await {
                Ok(()) => continue,
                Err(Stop::Leave) => {
                    self.leave().await;
                    return Ok(());
                }
                Err(stop) => stop,
            };
            self.failures = self.failures.saturating_add(1);
            let remedy = self.recover(&stop)?;
            let wait = self.time.after(wait_after(self.failures, remedy));
            tokio::select! {
                biased;
                () = self.shared.wait_for_leave() => {}
                () = wait => {}
            }
        }
    }

    /// Is part of one generation, until the node or the coordinator wants another.
    async fn run_generation(&mut self) -> Result<(), Stop> {
        let session = self.join().await?;
        self.failures = 0;
        self.renew(&session).await
    }

    async fn join(&mut self) -> Result<Session, Stop> {
        let config = &self.config;
        let request = JoinRequest {
            name: config.name.clone(),
            member_id: self.member_id.clone(),
            session_timeout: config.session_timeout,
            rebalance_timeout: config.rebalance_timeout,
            metadata: self.shared.start_join().encode()?,
        };
        let limit = config.rebalance_timeout.saturating_add(config.request_timeout);
        let joined = match self.call("JoinGroup", limit, self.coordinator.join(request)).await? {
            JoinAnswer::Joined(joined) => joined,
            JoinAnswer::MemberIdRequired(member_id) => {
                self.member_id = member_id;
                let (request, message) = ("JoinGroup", String::new());
                let code = ResponseError::MemberIdRequired;
                return Err(Stop::Kafka(KafkaError::Refused { request, code, message }));
            }
        };
        self.member_id = joined.member_id;
        let (name, generation) = (self.config.name.clone(), joined.generation);
        let session = Session { name, member_id: self.member_id.clone(), generation };
        let assignments = match joined.members {
            Some(members) => self.assign(generation, &members)?,
            None => Vec::new(),
        };
        let request = SyncRequest { session: session.clone(), assignments };
        let sent = self.time.now();
        let table = self.call("SyncGroup", limit, self.coordinator.sync(request)).await?;
        self.accept(&table);
        self.shared.record_heartbeat(sent);
        Ok(session)
    }

    /// Assigns the partitions as the leader of the group.
    fn assign(
        &self,
        generation: i32,
        members: &[JoinedMember],
    ) -> Result<Vec<(String, Bytes)>, MetadataError> {
        let mut profiles = BTreeMap::new();
        for member in members {
            let name = check_name(&member.name);
            match name.and_then(|()| Profile::decode(&member.metadata)) {
                Ok(profile) => {
                    profiles.insert(member.name.clone(), profile);
                }
                Err(error) => warn!(node = member.name, %error, "a member gets no partitions"),
            }
        }
        let placements = assign_partitions(&profiles, &self.config.policy);
        let table = RouteTable::new(generation, &profiles, &placements).encode()?;
        info!(generation, nodes = profiles.len(), "assigned the partitions");
        Ok(members.iter().map(|member| (member.member_id.clone(), table.clone())).collect())
    }

    /// Takes over the routes of a generation. If they cannot be read, the earlier ones stay in force.
    fn accept(&self, table: &[u8]) {
        match RouteTable::decode(table) {
            Ok(table) => self.shared.set_table(&self.config.name, table),
            Err(error) => {
                warn!(node = self.config.name, %error, "the routes stay as they were");
                self.shared.keep_table(error.to_string());
            }
        }
    }

    /// Renews the session until the node or the coordinator wants another generation.
    async fn renew(&mut self, session: &Session) -> Result<(), Stop> {
        let mut next = later(self.time.now(), self.config.heartbeat_interval);
        loop {
            tokio::select! {
                biased;
                wish = self.shared.wait_for_wish() => return match wish {
                    Wish::Leave => Err(Stop::Leave),
                    Wish::Rejoin => Ok(()),
                },
                () = self.time.until(next) => {}
            }
            let sent = self.time.now();
            next = later(sent, self.config.heartbeat_interval);
            let heartbeat = self.coordinator.heartbeat(session.clone());
            match self.call("Heartbeat", self.config.request_timeout, heartbeat).await {
                Ok(()) => self.shared.record_heartbeat(sent),
                // The session may still be good.
                Err(Stop::Kafka(error)) if Remedy::of(&error) == Remedy::Retry => {
                    self.report(&error.to_string());
                }
                Err(stop) => return Err(stop),
            }
        }
    }

    /// Prepares to join again after an error.
    fn recover(&mut self, stop: &Stop) -> Result<Remedy, MembershipError> {
        let error = match stop {
            Stop::Leave => return Ok(Remedy::Rejoin),
            Stop::Metadata(error) => {
                self.report(&error.to_string());
                return Ok(Remedy::Refused);
            }
            Stop::Kafka(error) => error,
        };
        let remedy = Remedy::of(error);
        match remedy {
            Remedy::Rejoin => {}
            Remedy::JoinAsNew => {
                self.member_id.clear();
                self.shared.publish(Standing::Joining, None);
            }
            Remedy::Replaced => self.be_replaced()?,
            Remedy::Retry | Remedy::Refused => self.report(&error.to_string()),
        }
        Ok(remedy)
    }

    /// Joins as new after the first time, because a request of our own that came late looks the same. Another process
    /// would do so too; then the first of the two that is replaced again gives up.
    fn be_replaced(&mut self) -> Result<(), MembershipError> {
        let error = MembershipError::Replaced(self.config.name.clone());
        let now = self.time.now();
        let window = self.config.session_timeout.saturating_mul(REPLACED_TIMEOUTS);
        let before = self.replaced.replace(now);
        if before.is_some_and(|before| now < later(before, window)) {
            self.shared.publish(Standing::Replaced, Some(&error.to_string()));
            return Err(error);
        }
        warn!(node = self.config.name, "another request has joined under the name of this node");
        self.member_id.clear();
        self.shared.publish(Standing::Joining, Some(&error.to_string()));
        Ok(())
    }

    /// Publishes a problem.
    fn report(&self, problem: &str) {
        self.shared.publish(self.shared.standing(), Some(problem));
    }

    /// Publishes that the session is over when its time has come, even if no request has failed yet.
    async fn watch_session(&self) -> Infallible {
        if let (Standing::Member, Some(last)) =
            (self.shared.standing(), self.shared.last_heartbeat())
        {
            self.time.until(later(last, self.config.session_timeout)).await;
            self.shared.publish(Standing::Away, Some("the coordinator does not answer"));
        }
        pending().await
    }

    async fn leave(&mut self) {
        tokio::select! {
            biased;
            () = self.try_to_leave() => {}
            () = self.time.after(LEAVE_TIMEOUT) => {
                warn!(node = self.config.name, "the session timeout ends the membership");
            }
        }
        self.shared.publish(Standing::Left, None);
    }

    async fn try_to_leave(&self) {
        loop {
            let leave = self.coordinator.leave(self.config.name.clone(), self.member_id.clone());
            match leave.await {
                Ok(()) => return,
                Err(error) if Remedy::of(&error) != Remedy::Retry => return,
                Err(error) => warn!(node = self.config.name, %error, "leaving the group failed"),
            }
            self.time.after(self.config.heartbeat_interval).await;
        }
    }

    /// Waits for an answer, unless the node leaves meanwhile.
    async fn call<A>(
        &self,
        request: &'static str,
        limit: Duration,
        answer: impl Future<Output = Result<A, KafkaError>>,
    ) -> Result<A, Stop> {
        tokio::select! {
            biased;
            () = self.shared.wait_for_leave() => Err(Stop::Leave),
            never = self.watch_session() => match never {},
            answer = answer => Ok(answer?),
            () = self.time.after(limit) => {
                Err(Stop::Kafka(KafkaError::Timeout { request, waited: limit }))
            }
        }
    }
}
