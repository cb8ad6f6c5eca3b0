use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use kafka_protocol::messages::{
    FetchRequest, ProduceRequest, SaslAuthenticateRequest, SaslAuthenticateResponse,
    SaslHandshakeRequest, SaslHandshakeResponse,
};
use kafka_protocol::protocol::StrBytes;
use leftfold_kafka::ResponseError;
use leftfold_kafka::serving::{ApiKey, RequestHead, SupportedRequest, guard};
use parking_lot::Mutex;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::mpsc;

use super::connection::{Answer, Outcome};
use super::dispatch::{
    Call, Unanswerable, answered, decode, dispatched, encode, framed, ready, versions,
};
use super::mended::mended;
use super::order::ProduceOrder;
use super::produce::old;
use super::sasl::{SaslSession, Step};
use super::{Broker, Peer};
use crate::access::{Caller, Origin};
use crate::limits::{Client, MemoryFull, Reservation, SMALL_ANSWER};

/// What the answer to an OffsetFetch takes, as a multiple of its bytes: each number of a partition is answered with an
/// offset and a note.
const OFFSETS_RATIO: usize = 48;

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
        let version = head.version;
        let key = match head.request() {
            Some(request) if request.is_decoded(version) => request.key,
            request => return refuse_version(request, &head, body),
        };
        let body = mended(key, version, body);
        let malformed = |why: String| Unanswerable::Malformed(key, version, why);
        let weight = guard::check(key as i16, version, &body, &guard::Limits::default())
            .map_err(|why| malformed(why.to_string()))?;
        let answer = if key == ApiKey::OffsetFetch { OFFSETS_RATIO } else { 0 };
        let bytes = bytes.saturating_mul(answer + 1).saturating_add(weight.decoded);
        memory.grow_to(bytes).map_err(|MemoryFull| Unanswerable::Memory)?;
        match key {
            ApiKey::ApiVersions => Ok(ready(encode(head.correlation_id, version, &versions(0)))),
            ApiKey::SaslHandshake => {
                let request = decode::<SaslHandshakeRequest>(key, version, body)?;
                Ok(self.handshake(head, request))
            }
            ApiKey::SaslAuthenticate => {
                let request = decode::<SaslAuthenticateRequest>(key, version, body)?;
                Ok(self.authenticate(head, request))
            }
            _ => {
                let call = self.call(key, &head)?;
                let work = self.work(call, &head, key, body, memory)?;
                Ok(self.placed(key, work))
            }
        }
    }

    /// Returns the call of a client that is known.
    fn call(&self, key: ApiKey, head: &RequestHead) -> Result<Call, Unanswerable> {
        // While it proves who it is again, nothing else comes.
        if self.sasl.try_lock().is_ok_and(|sasl| sasl.is_underway()) {
            return Err(Unanswerable::Unauthenticated(key));
        }
        let caller = self.who.lock().clone().ok_or(Unanswerable::Unauthenticated(key))?;
        caller.is_known().map_err(|denial| Unanswerable::Denied(denial.to_string()))?;
        Ok(Call {
            broker: self.broker.clone(),
            client: caller.client(),
            caller,
            peer: self.peer.clone(),
            client_id: head.client_id.clone().unwrap_or_default(),
            version: head.version,
        })
    }

    fn work(
        &mut self,
        call: Call,
        head: &RequestHead,
        key: ApiKey,
        body: Bytes,
        memory: Reservation,
    ) -> Result<Outcome, Unanswerable> {
        let (id, version) = (head.correlation_id, head.version);
        Ok(match key {
            ApiKey::Produce => {
                let request = decode::<ProduceRequest>(key, version, body)?;
                let turns = self.order.turns(&request);
                let producing = self.producing.0.clone();
                async move {
                    let _producing = producing;
                    answered(id, version, call.produce(request, turns, memory).await)
                }
                .boxed()
            }
            ApiKey::Fetch => {
                let request = decode::<FetchRequest>(key, version, body)?;
                async move {
                    // The request lies in this memory until it is answered.
                    let _memory = memory;
                    answered(id, version, call.fetch(request).await)
                }
                .boxed()
            }
            _ => dispatched(call, head, key, body, memory)?,
        })
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
struct Counted(Gauge);

impl Counted {
    fn new(gauge: Gauge) -> Self {
        gauge.inc();
        Counted(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Answers a request of a version that is not decoded, if there is an answer that its client understands.
fn refuse_version(
    request: Option<&SupportedRequest>,
    head: &RequestHead,
    body: Bytes,
) -> Result<Outcome, Unanswerable> {
    let (id, version) = (head.correlation_id, head.version);
    match request {
        Some(SupportedRequest { key: ApiKey::ApiVersions, .. }) => {
            // Its client does not know yet which versions there are.
            let answer = versions(ResponseError::UnsupportedVersion.code());
            Ok(ready(encode(id, 0, &answer)))
        }
        Some(request) if request.key == ApiKey::Produce && request.is_advertised(version) => {
            let refused = old::refuse(id, version, body);
            let malformed =
                || Unanswerable::Malformed(request.key, version, "it is cut off".to_owned());
            Ok(ready(refused.map(framed).ok_or_else(malformed)))
        }
        _ => Err(Unanswerable::Unsupported(head.api_key, version)),
    }
}
