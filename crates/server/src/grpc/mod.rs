//! Native gRPC, beside HTTP on the same port. Open `store.rs` first.
//!
//! A call authenticates its caller (`Access`), translates the message (`leftfold-wire`), authorizes
//! the request (`Caller`), asks the store, and translates the answer. Appending many and subscribing
//! are streams. A stream works only when its client takes an answer: so HTTP/2's flow control reaches
//! into the store, and a slow client holds one page at most.

mod admin;
mod appends;
mod health;
mod reading;
mod status;
mod store;
mod subscription;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use futures_util::Stream;
use leftfold_api::{AppendError, Appended, EventStore};
use leftfold_wire::v1;
use leftfold_wire::v1::admin_server::AdminServer;
use leftfold_wire::v1::store_server::StoreServer;
use tokio::sync::OwnedSemaphorePermit;
use tonic::codec::CompressionEncoding;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_server::HealthServer;

use self::health::HealthService;
use crate::access::{AppendPermit, Caller, Credentials, Denial, Origin};
use crate::state::{BODY_UNIT, LongLived, State, SubscriptionProgress};

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

/// Bytes that an event counts for besides its metadata and data.
const EVENT_BYTES: usize = 512;

/// Both services.
#[derive(Clone)]
struct Service {
    state: Arc<State>,
}

/// A stream of messages.
type Messages<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Service {
    /// Authenticates the caller of a request.
    async fn ask<T>(&self, request: Request<T>) -> Result<(Caller, T), Status> {
        let header = request.metadata().get("authorization");
        let credentials = header
            .map(|header| Credentials::from_header(header.as_encoded_bytes()))
            .transpose()
            .map_err(status::denied)?;
        let origin = request.extensions().get::<Origin>().cloned().unwrap_or_default();
        let caller = self.state.access.authenticate(credentials.as_ref(), origin).await;
        Ok((caller.map_err(status::denied)?, request.into_inner()))
    }
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
fn begin(state: &State) -> Result<SubscriptionProgress, Status> {
    let begun = state.subscriptions.begin(None);
    begun.ok_or_else(|| status::too_many_subscriptions(state.config.subscriptions))
}

/// Returns about how many bytes an append takes while it is in flight.
fn weight(append: &v1::AppendRequest) -> usize {
    let sizes = append.events.iter().map(|event| event.metadata.len() + event.data.len());
    EVENT_BYTES + sizes.map(|size| size + EVENT_BYTES).sum::<usize>()
}

/// Reserves memory for a request, or `None` for a small one, which is not counted.
fn memory(state: &State, bytes: usize) -> Result<Option<OwnedSemaphorePermit>, Status> {
    let units = u32::try_from(bytes / BODY_UNIT).unwrap_or(u32::MAX);
    if units == 0 {
        return Ok(None);
    }
    let share = state.bodies.clone().try_acquire_many_owned(units).map(Some);
    share.map_err(|_| status::overloaded("the appends in flight take all of limits.bodies_bytes"))
}

/// Appends, on this thread if it may be blocked, and counts it in the metrics.
async fn append(
    state: Arc<State>,
    permit: AppendPermit,
    here: bool,
) -> Result<Appended, AppendError> {
    let (append, restored) = permit.into_parts();
    let (started, events) = (Instant::now(), append.events().len());
    let appended = match here {
        true => state.store.append_here(append).await,
        false => state.store.append(append).await,
    };
    state.metrics.appended(started, events, appended.is_ok());
    appended.map_err(|error| restored.error(error))
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
