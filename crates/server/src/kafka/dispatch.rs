use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures_util::FutureExt;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{
    ApiVersionsResponse, FetchRequest, ProduceRequest, SaslAuthenticateRequest,
    SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};
use leftfold_kafka::ResponseError;
use leftfold_kafka::serving::{
    ApiKey, FrameError, RequestHead, SUPPORTED, SupportedRequest, encode_answer, guard,
};
use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use super::connection::{Answer, Outcome};
use super::mended::mended;
use super::produce::old;
use super::sasl::{SaslSession, Step};
use super::topics::MAX_NAME;
use super::{Broker, Peer};
use crate::access::{Caller, Origin};
use crate::limits::{Client, Lease, MemoryFull, Reservation, SMALL_ANSWER};

/// Partitions whose order of batches a connection remembers; those of which none is in flight are forgotten.
const ORDERED: usize = 128;

/// What the answer to an OffsetFetch takes, as a multiple of its bytes: each number of a partition is answered with an
/// offset and a note.
const OFFSETS_RATIO: usize = 48;

/// Why a request is not answered; its connection is closed.
#[derive(Debug, Error)]
pub(super) enum Unanswerable {
    #[error("its first bytes are no request of Kafka's protocol: {0}")]
    Frame(#[from] FrameError),
    #[error("request {0} of version {1} is not supported")]
    Unsupported(i16, i16),
    #[error("a request {0:?} of version {1} is malformed: {2}")]
    Malformed(ApiKey, i16, String),
    #[error("a request {0:?} came before authentication")]
    Unauthenticated(ApiKey),
    #[error("authentication failed: {0}")]
    Denied(String),
    #[error("requests and answers take all memory, or this client's share of it (limits.share)")]
    Memory,
    #[error("as many requests as limits.requests or this client's share of it are in flight")]
    Overloaded,
    #[error("an answer can't be encoded: {0}")]
    Answer(String),
}

/// What all requests of a connection share.
pub(super) struct Session {
    broker: Arc<Broker>,
    peer: Peer,
    who: Arc<Mutex<Option<Caller>>>,
    sasl: Arc<tokio::sync::Mutex<SaslSession>>,
    order: ProduceOrder,
    /// Each request with batches holds one of the senders until they are written.
    producing: (mpsc::Sender<()>, mpsc::Receiver<()>),
}

/// A request that is being answered, and who has sent it.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) broker: Arc<Broker>,
    pub(super) caller: Caller,
    pub(super) client: Client,
    pub(super) peer: Peer,
    /// The client's name for itself.
    pub(super) client_id: String,
    pub(super) version: i16,
}

/// The answer of a handler, before it is encoded.
pub(super) struct Reply<A> {
    /// `None` for a request that gets no answer.
    pub(super) answer: Option<A>,
    pub(super) held: Vec<Lease>,
    pub(super) throttle: Duration,
}

impl<A> From<A> for Reply<A> {
    fn from(answer: A) -> Self {
        Reply { answer: Some(answer), held: Vec::new(), throttle: Duration::ZERO }
    }
}

impl Session {
    /// Begins a session. Without users, the client is known at once.
    pub(super) async fn begin(broker: Arc<Broker>, peer: Peer) -> Self {
        let access = &broker.state.access;
        let caller = match access.has_users() {
            true => None,
            false => access.authenticate(None, origin(&peer)).await.ok(),
        };
        Session {
            who: Arc::new(Mutex::new(caller)),
            sasl: Arc::default(),
            order: ProduceOrder::default(),
            producing: mpsc::channel(1),
            broker,
            peer,
        }
    }

    /// Returns what the shares of the client are counted for; `None` before it is known.
    pub(super) fn client(&self) -> Option<Client> {
        self.who.lock().as_ref().map(Caller::client)
    }

    /// Returns what the shares of the client are counted for before it is known.
    pub(super) fn stranger(&self) -> Client {
        Client::at(self.peer.address)
    }

    /// Returns whether a request may be taken. A client that is not known yet sends one after the other.
    pub(super) fn takes_more(&self, is_idle: bool) -> bool {
        is_idle || self.who.lock().is_some()
    }

    /// Ends the session. What is returned is closed when all batches that were received are written.
    pub(super) fn into_producing(self) -> mpsc::Receiver<()> {
        self.producing.1
    }

    /// Takes a request. What it comes to is computed while further ones are taken.
    pub(super) fn take(
        &mut self,
        frame: Bytes,
        mut memory: Reservation,
    ) -> Result<Outcome, Unanswerable> {
        let bytes = frame.len();
        let (head, body) = RequestHead::split(frame)?;
        let (key, version) = match head.request() {
            Some(request) if request.is_decoded(head.version) => (request.key, head.version),
            Some(SupportedRequest { key: ApiKey::ApiVersions, .. }) => {
                // Its client does not know yet which versions there are.
                let answer = versions(ResponseError::UnsupportedVersion.code());
                return Ok(ready(encode(head.correlation_id, 0, &answer)));
            }
            Some(request)
                if request.key == ApiKey::Produce && request.is_advertised(head.version) =>
            {
                let refused = old::refuse(head.correlation_id, head.version, body);
                let malformed = || {
                    Unanswerable::Malformed(
                        ApiKey::Produce,
                        head.version,
                        "it is cut off".to_owned(),
                    )
                };
                return Ok(ready(refused.map(framed).ok_or_else(malformed)));
            }
            _ => return Err(Unanswerable::Unsupported(head.api_key, head.version)),
        };
        let body = mended(key, version, body);
        let malformed = |why: String| Unanswerable::Malformed(key, version, why);
        let weight = guard::check(key as i16, version, &body, &guard::Limits::default())
            .map_err(|why| malformed(why.to_string()))?;
        let answer = if key == ApiKey::OffsetFetch { OFFSETS_RATIO } else { 0 };
        let bytes = bytes.saturating_mul(answer + 1).saturating_add(weight.decoded);
        memory.grow_to(bytes).map_err(|MemoryFull| Unanswerable::Memory)?;
        match key {
            ApiKey::ApiVersions => {
                return Ok(ready(encode(head.correlation_id, version, &versions(0))));
            }
            ApiKey::SaslHandshake => {
                let request = decode::<SaslHandshakeRequest>(key, version, body)?;
                return Ok(self.handshake(head, request));
            }
            ApiKey::SaslAuthenticate => {
                let request = decode::<SaslAuthenticateRequest>(key, version, body)?;
                return Ok(self.authenticate(head, request));
            }
            _ => {}
        }
        // While it proves who it is again, nothing else comes.
        if self.sasl.try_lock().is_ok_and(|sasl| sasl.is_underway()) {
            return Err(Unanswerable::Unauthenticated(key));
        }
        let caller = self.who.lock().clone().ok_or(Unanswerable::Unauthenticated(key))?;
        caller.is_known().map_err(|denial| Unanswerable::Denied(denial.to_string()))?;
        let call = Call {
            broker: self.broker.clone(),
            client: caller.client(),
            caller,
            peer: self.peer.clone(),
            client_id: head.client_id.clone().unwrap_or_default(),
            version,
        };
        let work = match key {
            ApiKey::Produce => {
                let request = decode::<ProduceRequest>(key, version, body)?;
                let turns = self.order.turns(&request);
                let (id, producing) = (head.correlation_id, self.producing.0.clone());
                async move {
                    let _producing = producing;
                    answered(id, version, call.produce(request, turns, memory).await)
                }
                .boxed()
            }
            ApiKey::Fetch => {
                let request = decode::<FetchRequest>(key, version, body)?;
                let id = head.correlation_id;
                async move {
                    // The request lies in this memory until it is answered.
                    let _memory = memory;
                    answered(id, version, call.fetch(request).await)
                }
                .boxed()
            }
            _ => dispatched(call, &head, key, body, memory)?,
        };
        Ok(self.placed(key, work))
    }

    /// Gives a request a place among those in flight.
    fn placed(&self, key: ApiKey, work: Outcome) -> Outcome {
        let limits = self.broker.state.limits.clone();
        let client = self.client().unwrap_or_else(|| self.stranger());
        let within = self.broker.state.config.wait_time;
        let in_flight = self.broker.state.metrics.in_flight.clone();
        async move {
            // What waits for events or for other members counts as a subscription.
            let waits = matches!(key, ApiKey::Fetch | ApiKey::JoinGroup | ApiKey::SyncGroup);
            let pool = if waits { &limits.subscriptions } else { &limits.requests };
            let place = match pool.take(&client, 1) {
                Some(place) => place,
                None => pool.wait(&client, 1, within).await.ok_or(Unanswerable::Overloaded)?,
            };
            let _counted = Counted::new(in_flight);
            let mut answer = work.await?;
            drop(place);
            let bytes = answer.frame.as_ref().map_or(0, Bytes::len);
            if bytes > SMALL_ANSWER && answer.held.is_empty() {
                let memory = limits.answers.wait(&client, bytes, within).await;
                answer.held.push(memory.ok_or(Unanswerable::Memory)?);
            }
            Ok(answer)
        }
        .boxed()
    }

    fn handshake(&self, head: RequestHead, request: SaslHandshakeRequest) -> Outcome {
        let sasl = self.sasl.clone();
        async move {
            let chosen = sasl.lock().await.handshake(&request.mechanism);
            let error = chosen.err().and_then(|failure| failure.error());
            let mechanisms = SaslSession::mechanisms().map(StrBytes::from_static_str);
            let answer = SaslHandshakeResponse::default()
                .with_error_code(error.map_or(0, |error| error.code()))
                .with_mechanisms(mechanisms.collect());
            let answer = encode(head.correlation_id, head.version, &answer)?;
            Ok(Answer { is_last: error.is_some(), ..answer })
        }
        .boxed()
    }

    fn authenticate(&self, head: RequestHead, request: SaslAuthenticateRequest) -> Outcome {
        let (sasl, who, broker) = (self.sasl.clone(), self.who.clone(), self.broker.clone());
        let origin = origin(&self.peer);
        async move {
            let mut sasl = sasl.lock().await;
            let step = sasl.authenticate(&request.auth_bytes, &broker.state.access, origin).await;
            let answer = SaslAuthenticateResponse::default();
            let (answer, is_last) = match step {
                Ok(Step::Continue(bytes)) => (answer.with_auth_bytes(bytes), false),
                Ok(Step::Done(bytes, caller)) => {
                    *who.lock() = Some(caller);
                    (answer.with_auth_bytes(bytes), false)
                }
                Err(failure) => {
                    let Some(error) = failure.error() else {
                        return Err(Unanswerable::Denied(failure.message().to_owned()));
                    };
                    let message = Some(StrBytes::from_static_str(failure.message()));
                    (answer.with_error_code(error.code()).with_error_message(message), true)
                }
            };
            let answer = encode(head.correlation_id, head.version, &answer)?;
            Ok(Answer { is_last, ..answer })
        }
        .boxed()
    }
}

fn origin(peer: &Peer) -> Origin {
    Origin { peer: peer.address.to_string(), request: String::new() }
}

/// Counts a request in flight until it is dropped.
struct Counted(prometheus_client::metrics::gauge::Gauge);

impl Counted {
    fn new(gauge: prometheus_client::metrics::gauge::Gauge) -> Self {
        gauge.inc();
        Counted(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The requests that are answered for callers who are known, but Produce and Fetch.
fn dispatched(
    call: Call,
    head: &RequestHead,
    key: ApiKey,
    body: Bytes,
    memory: Reservation,
) -> Result<Outcome, Unanswerable> {
    use kafka_protocol::messages as m;
    let (id, version) = (head.correlation_id, head.version);
    macro_rules! served {
        ($($key:ident: $request:ident => $handler:ident,)+) => {
            match key {
                $(ApiKey::$key => {
                    let request = decode::<m::$request>(key, version, body)?;
                    async move {
                        // The request lies in this memory until it is answered.
                        let _memory = memory;
                        let answer = call.$handler(request).await;
                        answered(id, version, Reply::from(answer))
                    }
                    .boxed()
                })+
                _ => return Err(Unanswerable::Unsupported(key as i16, version)),
            }
        };
    }
    Ok(served! {
        ListOffsets: ListOffsetsRequest => list_offsets,
        Metadata: MetadataRequest => metadata,
        OffsetCommit: OffsetCommitRequest => commit_offsets,
        OffsetFetch: OffsetFetchRequest => fetch_offsets,
        FindCoordinator: FindCoordinatorRequest => find_coordinator,
        JoinGroup: JoinGroupRequest => join_group,
        Heartbeat: HeartbeatRequest => heartbeat,
        LeaveGroup: LeaveGroupRequest => leave_group,
        SyncGroup: SyncGroupRequest => sync_group,
        DescribeGroups: DescribeGroupsRequest => describe_groups,
        ListGroups: ListGroupsRequest => list_groups,
        CreateTopics: CreateTopicsRequest => create_topics,
        DeleteTopics: DeleteTopicsRequest => delete_topics,
        DeleteRecords: DeleteRecordsRequest => delete_records,
        InitProducerId: InitProducerIdRequest => init_producer_id,
        OffsetForLeaderEpoch: OffsetForLeaderEpochRequest => offsets_for_leader_epochs,
        DescribeAcls: DescribeAclsRequest => describe_acls,
        DescribeConfigs: DescribeConfigsRequest => describe_configs,
        AlterConfigs: AlterConfigsRequest => alter_configs,
        CreatePartitions: CreatePartitionsRequest => create_partitions,
        DeleteGroups: DeleteGroupsRequest => delete_groups,
        IncrementalAlterConfigs: IncrementalAlterConfigsRequest => alter_configs_incrementally,
        OffsetDelete: OffsetDeleteRequest => delete_offsets,
        DescribeCluster: DescribeClusterRequest => describe_cluster,
        DescribeTopicPartitions: DescribeTopicPartitionsRequest => describe_topic_partitions,
    })
}

fn decode<R: Decodable>(key: ApiKey, version: i16, mut body: Bytes) -> Result<R, Unanswerable> {
    let malformed = |why: String| Unanswerable::Malformed(key, version, why);
    let request = R::decode(&mut body, version).map_err(|error| malformed(error.to_string()))?;
    match body.has_remaining() {
        true => Err(malformed("there are bytes behind its end".to_owned())),
        false => Ok(request),
    }
}

fn encode<A: Encodable + HeaderVersion>(
    id: i32,
    version: i16,
    answer: &A,
) -> Result<Answer, Unanswerable> {
    let frame = encode_answer(id, version, answer);
    let frame = frame.map_err(|error| Unanswerable::Answer(error.to_string()))?;
    Ok(Answer { frame: Some(frame), ..Answer::default() })
}

/// Returns an answer of bytes, with their length.
fn framed(bytes: Bytes) -> Answer {
    let mut frame = BytesMut::with_capacity(4 + bytes.len());
    frame.put_u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    frame.extend_from_slice(&bytes);
    Answer { frame: Some(frame.freeze()), ..Answer::default() }
}

fn answered<A: Encodable + HeaderVersion>(
    id: i32,
    version: i16,
    reply: Reply<A>,
) -> Result<Answer, Unanswerable> {
    let Reply { answer, held, throttle } = reply;
    let frame = answer.map(|answer| encode(id, version, &answer)).transpose()?;
    Ok(Answer { frame: frame.and_then(|answer| answer.frame), held, throttle, is_last: false })
}

fn ready(answer: Result<Answer, Unanswerable>) -> Outcome {
    std::future::ready(answer).boxed()
}

fn versions(error_code: i16) -> ApiVersionsResponse {
    let supported = SUPPORTED.iter().map(|request| {
        ApiVersion::default()
            .with_api_key(request.api_key())
            .with_min_version(request.min)
            .with_max_version(request.max)
    });
    // Without tagged fields: librdkafka before 2.2 misreads them.
    ApiVersionsResponse::default().with_error_code(error_code).with_api_keys(supported.collect())
}

/// The order of the batches of a connection: those for one partition are appended one after the other.
#[derive(Default)]
struct ProduceOrder(HashMap<(String, i32), oneshot::Receiver<()>>);

/// The turn of one batch: it waits for the one before, and the next one waits until this is dropped.
pub(super) struct Turn {
    before: Option<oneshot::Receiver<()>>,
    _done: oneshot::Sender<()>,
}

impl Turn {
    /// Waits until the batch before is done.
    pub(super) async fn begin(&mut self) {
        if let Some(before) = self.before.take() {
            // It is dropped when the batch is done.
            _ = before.await;
        }
    }
}

impl ProduceOrder {
    /// Returns the turns of the batches of a request, in their order.
    fn turns(&mut self, request: &ProduceRequest) -> Vec<Turn> {
        if self.0.len() > ORDERED {
            self.0
                .retain(|_, before| before.try_recv() == Err(oneshot::error::TryRecvError::Empty));
        }
        let partitions = request.topic_data.iter().flat_map(|topic| {
            // A longer name is none of a topic, and is not remembered.
            let name = if topic.name.len() > MAX_NAME { "" } else { &*topic.name };
            topic.partition_data.iter().map(move |partition| (name.to_owned(), partition.index))
        });
        partitions
            .map(|partition| {
                let (done, next) = oneshot::channel();
                Turn { before: self.0.insert(partition, next), _done: done }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};

    use super::*;
    use crate::kafka::metadata::topic_name;

    fn request(topic: &str) -> ProduceRequest {
        let data = vec![PartitionProduceData::default()];
        let topic = TopicProduceData::default().with_name(topic_name(topic));
        ProduceRequest::default().with_topic_data(vec![topic.with_partition_data(data)])
    }

    #[tokio::test]
    async fn a_batch_waits_for_the_one_before_it() {
        let mut order = ProduceOrder::default();
        let mut first = order.turns(&request("order"));
        let mut second = order.turns(&request("order"));
        let mut other = order.turns(&request("cart"));
        first[0].begin().await;
        other[0].begin().await;
        assert!(second[0].begin().now_or_never().is_none());
        let mut third = order.turns(&request("order"));
        drop((first, second));
        third[0].begin().await;
    }

    #[test]
    fn the_order_of_few_partitions_is_remembered() {
        let mut order = ProduceOrder::default();
        for n in 0..10_000 {
            drop(order.turns(&request(&n.to_string())));
            drop(order.turns(&request(&"x".repeat(30_000 + n))));
        }
        assert!(order.0.len() <= ORDERED + 2);
        assert!(order.0.keys().all(|(name, _)| name.len() <= MAX_NAME));
    }
}
