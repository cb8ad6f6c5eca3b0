//! Native gRPC, beside HTTP on the same port. Open `store.rs` first.
//!
//! A call is: who asks (`Access`), what is asked (`leftfold-wire` turns the message into the store's
//! words), may they (`Caller`), the store's answer, and the answer as a message. What lasts, many
//! appends and subscriptions, is one stream each, which does nothing unless its client takes what it
//! gives: so HTTP/2's flow control reaches into the store, and a slow client holds one page at most.

mod admin;
mod appends;
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
use tonic::{Request, Response, Status};

use crate::access::{AppendPermit, Caller, Credentials, Denied, Origin};
use crate::state::{BODY_UNIT, LongLived, State, Subscribed};

/// The routes of the gRPC services.
pub(crate) fn router(state: Arc<State>) -> Router {
    let service = Service { state };
    let limit = service.state.config.body_bytes.get();
    let store = StoreServer::new(service.clone()).max_decoding_message_size(limit);
    let admin = AdminServer::new(service).max_decoding_message_size(limit);
    Router::new()
        .route_service("/leftfold.v1.Store/{method}", store.max_encoding_message_size(usize::MAX))
        .route_service("/leftfold.v1.Admin/{method}", admin)
}

/// Bytes that an event is counted for beside its metadata and data.
const EVENT_BYTES: usize = 512;

/// Both services.
#[derive(Clone)]
struct Service {
    state: Arc<State>,
}

/// Messages, one after the other as the client takes them.
type Messages<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Service {
    /// Who asks, and what.
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

/// Comes true when the server is shutting down.
type Closing = Pin<Box<dyn Future<Output = ()> + Send>>;

fn closing(state: &Arc<State>) -> Closing {
    let state = state.clone();
    Box::pin(async move { state.closed().await })
}

/// Comes true when whoever asked is known no more, or may not any more.
type Lost = Pin<Box<dyn Future<Output = Denied> + Send>>;

/// Leave for something that lasts.
fn begin(state: &State) -> Result<Subscribed, Status> {
    let begun = state.subscriptions.begin(None);
    begun.ok_or_else(|| status::too_many_subscriptions(state.config.subscriptions))
}

/// The bytes that an append takes while it is worked on, about.
fn weight(append: &v1::AppendRequest) -> usize {
    let sizes = append.events.iter().map(|event| event.metadata.len() + event.data.len());
    EVENT_BYTES + sizes.map(|size| size + EVENT_BYTES).sum::<usize>()
}

/// A share of the memory for bodies; none for what is small: so much a connection may have besides.
fn memory(state: &State, bytes: usize) -> Result<Option<OwnedSemaphorePermit>, Status> {
    let units = u32::try_from(bytes / BODY_UNIT).unwrap_or(u32::MAX);
    if units == 0 {
        return Ok(None);
    }
    let share = state.bodies.clone().try_acquire_many_owned(units).map(Some);
    share.map_err(|_| status::overloaded("the appends in flight take all memory there is for them"))
}

/// An append, and what is told of it; on this thread, if it may be blocked.
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

/// An answer that goes on and on; it must hold what [`begin`] gives.
fn lasting<T, S>(messages: S) -> Response<Messages<T>>
where
    S: Stream<Item = Result<T, Status>> + Send + 'static,
{
    let mut response = Response::new(Box::pin(messages) as Messages<T>);
    response.extensions_mut().insert(LongLived);
    response
}
