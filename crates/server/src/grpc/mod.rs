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

use axum::Router;
use futures_util::Stream;
use leftfold_wire::v1::admin_server::AdminServer;
use leftfold_wire::v1::store_server::StoreServer;
use tokio::sync::OwnedSemaphorePermit;
use tonic::{Request, Response, Status};

use crate::access::{Caller, Credentials};
use crate::state::{LongLived, State};

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
        let caller = self.state.access.authenticate(credentials.as_ref()).await;
        Ok((caller.map_err(status::denied)?, request.into_inner()))
    }
}

/// Comes true when the server is shutting down.
type Closing = Pin<Box<dyn Future<Output = ()> + Send>>;

fn closing(state: &Arc<State>) -> Closing {
    let state = state.clone();
    Box::pin(async move { state.closed().await })
}

/// Leave for something that lasts.
fn permit(state: &State) -> Result<OwnedSemaphorePermit, Status> {
    let permit = state.subscriptions.clone().try_acquire_owned();
    permit.map_err(|_| status::overloaded("too many subscriptions"))
}

/// An answer that goes on and on; it must hold a permit.
fn lasting<T, S>(messages: S) -> Response<Messages<T>>
where
    S: Stream<Item = Result<T, Status>> + Send + 'static,
{
    let mut response = Response::new(Box::pin(messages) as Messages<T>);
    response.extensions_mut().insert(LongLived);
    response
}
