//! Native gRPC, beside HTTP on the same port. Open `store.rs` first.
//!
//! A call has an authenticated caller (`limits/`), translates the message (`leftfold-wire`), authorizes
//! the request (`Caller`), asks the store, and translates the answer. Appending many and subscribing
//! are streams. A stream works only when its client takes an answer: so HTTP/2's flow control reaches
//! into the store, and a slow client holds one page at most.

mod admin;
mod appends;
mod copies;
mod health;
mod reading;
mod status;
mod store;
mod subscription;

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::Response as HttpResponse;
use futures_util::Stream;
use leftfold_api::{Append, AppendError, Appended, EventStore};
use leftfold_wire::v1::admin_server::AdminServer;
use leftfold_wire::v1::store_server::StoreServer;
use leftfold_wire::{ReceivedAppend, v1};
use prost::Message;
use tonic::codec::CompressionEncoding;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_server::HealthServer;

pub(crate) use self::copies::{CopyPlaces, router as copies_router};
use self::health::HealthService;
use crate::access::{AppendPermit, Caller, Denial};
use crate::limits::{
    BODIES_FULL, Lease, MemoryFull, PageError, PageMemory, Reservation, SMALL_ANSWER,
};
use crate::state::{LongLived, State, SubscriptionProgress};

/// The routes of the gRPC services.
pub(crate) fn router(state: Arc<State>) -> Router {
    let health = HealthServer::new(HealthService { state: state.clone() });
    let service = Service { state };
    let limit = service.state.config.body_bytes.get();
    // Its limit holds for what a message has once it is decompressed. No zstd: its decoder would let a
    // client choose a window of 128 MiB.
    let store = StoreServer::new(service.clone())
        .max_decoding_message_size(limit)
        .accept_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Gzip);
    let admin = AdminServer::new(service)
        .max_decoding_message_size(limit)
        .accept_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Gzip);
    let described = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(leftfold_wire::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
    let router = match described.build_v1() {
        Ok(reflection) => {
            Router::new().route_service("/grpc.reflection.v1.ServerReflection/{method}", reflection)
        }
        // The descriptors are built in, and a test reads them.
        Err(error) => {
            tracing::error!(%error, "the protocol can't be described");
            Router::new()
        }
    };
    router
        .route_service("/grpc.health.v1.Health/{method}", health)
        .route_service("/leftfold.v1.Store/{method}", store.max_encoding_message_size(usize::MAX))
        .route_service("/leftfold.v1.Admin/{method}", admin)
}

/// Returns the answer to a call that is refused before it is read.
pub(crate) fn refusal(code: &'static str, message: &str) -> axum::response::Response {
    let problem = v1::Problem {
        kind: v1::Kind::Denied as i32,
        code: code.to_owned(),
        message: message.to_owned(),
        ..v1::Problem::default()
    };
    status::problem(problem).into_http()
}

/// Both services.
#[derive(Clone)]
struct Service {
    state: Arc<State>,
}

/// A stream of messages.
type Messages<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Service {
    /// Returns the caller of a request, who was authenticated when it was admitted.
    fn ask<T>(&self, request: Request<T>) -> Result<(Caller, T), Status> {
        let caller = Caller::of(request.extensions()).map_err(status::denied)?;
        Ok((caller, request.into_inner()))
    }

    /// Returns an answer, and reserves the memory of one that is not small until it is sent.
    fn answer<T: Message>(&self, caller: &Caller, message: T) -> Result<Response<T>, Status> {
        // The message, and its bytes.
        let bytes = message.encoded_len().saturating_mul(2);
        if bytes <= SMALL_ANSWER {
            return Ok(Response::new(message));
        }
        let memory = self.state.limits.answers.take(&caller.client(), bytes);
        let memory = memory.ok_or_else(|| status::page(PageError::Full))?;
        Ok(holding(message, Some(memory)))
    }
}

/// Returns an answer that holds memory until it is sent.
fn holding<T>(message: T, memory: Option<Lease>) -> Response<T> {
    let mut response = Response::new(message);
    response.extensions_mut().insert(PageMemory::of(memory));
    response
}

/// Is ready when the server is shutting down.
type ShutdownSignal = Pin<Box<dyn Future<Output = ()> + Send>>;

fn closing(state: &Arc<State>) -> ShutdownSignal {
    let state = state.clone();
    Box::pin(async move { state.closed().await })
}

/// Is ready when the caller has lost its rights.
type DenialSignal = Pin<Box<dyn Future<Output = Denial> + Send>>;

/// Registers a long-lived call among the subscriptions.
fn begin(state: &State, caller: &Caller) -> Result<SubscriptionProgress, Status> {
    let begun = state.subscriptions.begin(None, &caller.client());
    begun.ok_or_else(|| status::too_many_subscriptions(state.config.subscriptions))
}

/// Returns the answer to a call whose caller is not known or may not make it.
pub(crate) fn denied(denied: Denial) -> HttpResponse<Body> {
    status::denied(denied).into_http()
}

/// Returns the answer to a call that exceeds a limit of the server.
pub(crate) fn overloaded(what: &str) -> HttpResponse<Body> {
    status::overloaded(what).into_http()
}

/// Returns the status of a call whose message finds no memory.
pub(crate) fn bodies_full() -> Status {
    status::overloaded(BODIES_FULL)
}

/// Returns the status of a call whose message does not arrive in time.
pub(crate) fn body_late(within: Duration) -> Status {
    let message = format!("the message did not arrive within {within:?} (limits.body_time)");
    status::failure("body_late", message, true)
}

/// Returns the status of a call with more bytes than a message may have.
pub(crate) fn body_too_large(most: usize) -> Status {
    let message =
        format!("the call sends more than {most} bytes, which is the limit (limits.body_bytes)");
    status::failure("body_too_large", message, false)
}

/// Decodes an append and authorizes it, within memory that is reserved before.
fn prepare(
    state: &State,
    caller: &Caller,
    received: ReceivedAppend,
) -> Result<(AppendPermit, Reservation), Status> {
    caller.may_append_some().map_err(status::denied)?;
    let (weight, mut memory) = (received.weight(), Reservation::new(state, caller.client()));
    memory.grow_to(weight.decoding).map_err(|MemoryFull| bodies_full())?;
    let append = received.decode().and_then(Append::try_from).map_err(status::invalid)?;
    memory.shrink_to(weight.decoded);
    let permit = caller.authorize_append(append).map_err(status::refused)?;
    Ok((permit, memory))
}

/// Appends, on this thread if it may be blocked, and counts it in the metrics.
async fn append(
    state: Arc<State>,
    permit: AppendPermit,
    here: bool,
) -> Result<Appended, AppendError> {
    let (append, answers) = permit.into_parts();
    let (started, events) = (Instant::now(), append.events().len());
    let appended = match here {
        true => state.store.append_here(append).await,
        false => state.store.append(append).await,
    };
    state.metrics.appended(started, events, appended.is_ok());
    answers.translate(appended)
}

/// Returns a long-lived answer. Its messages must hold what [`begin`] returns.
fn lasting<T, S>(messages: S) -> Response<Messages<T>>
where
    S: Stream<Item = Result<T, Status>> + Send + 'static,
{
    let mut response = Response::new(Box::pin(messages) as Messages<T>);
    response.extensions_mut().insert(LongLived);
    response
}
