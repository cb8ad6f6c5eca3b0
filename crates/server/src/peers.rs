//! The server for the other nodes of a cluster: native gRPC, for those who have the cluster's token.
//!
//! A node has authorized its client before it asks another node, so this server asks only for the token. Each call
//! names its partition in a header.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State as Shared};
use axum::http::header::AUTHORIZATION;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::any;
use leftfold_api::Engine;
use leftfold_wire::PARTITION_HEADER;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tower::ServiceExt;

use crate::access::{Access, Secret};
use crate::config::Config;
use crate::connectors::RunningConnectors;
use crate::net::Threads;
use crate::server::{Listening, RunningServer, Server, StartError, admitting};
use crate::state::State;
use crate::views::{SqlViews, ViewsThread};
use crate::{grpc, http};

/// The digest of the token that a node must show; `None` if it needs none.
type Token = Option<[u8; 32]>;

/// The routes of each partition, by its number.
type Partitions = Arc<[Router]>;

impl Server {
    /// Starts a server for the other nodes of a cluster, on the runtime that this is called on. It serves the
    /// partitions by their numbers, from 0.
    ///
    /// # Errors
    /// The address can't be listened on, or would admit everybody; there is no partition.
    pub async fn start_for_peers(
        mut config: Config,
        partitions: Vec<Arc<dyn Engine>>,
        address: SocketAddr,
        token: Option<Secret>,
    ) -> Result<RunningServer, StartError> {
        if !address.ip().is_loopback() && token.is_none() && !config.insecure {
            return Err(StartError::ExposedToPeers(address));
        }
        config.listen = address;
        // All that comes from one node has one address.
        config.share = 100;
        let failed = |source| StartError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let local_addr = listener.local_addr().map_err(failed)?;
        let threads = Arc::new(Threads::start(config.busy_poll()).map_err(failed)?);
        let views = SqlViews::off(&config);
        let mut partitions = partitions.into_iter();
        let first = partitions.next().ok_or(StartError::NoPartitions)?;
        let access = Access::local(first.clone());
        let state = Arc::new(State::new(config, first, access, views, RunningConnectors::off()));
        let others = partitions.map(|store| Arc::new(state.for_store(store)));
        let states = std::iter::once(state.clone()).chain(others);
        let places = grpc::CopyPlaces::new();
        let served = |state: Arc<State>| {
            let copies = grpc::copies_router(state.clone(), places.clone());
            grpc::router(state).merge(copies).fallback(http::path_unknown)
        };
        let partitions: Partitions = states.map(served).collect();
        let token: Token = token.map(|token| digest(token.reveal().as_bytes()));
        let routes = Router::new().route("/{*path}", any(dispatch)).with_state(partitions);
        let routes =
            admitting(routes, &state).layer(middleware::from_fn_with_state(token, check_token));
        let listening =
            Listening { listener, local_addr, socket: None, threads, certificate: None };
        listening.run(routes, state, ViewsThread::none())
    }
}

/// Passes a request on to its partition.
async fn dispatch(Shared(partitions): Shared<Partitions>, request: Request<Body>) -> Response {
    let number = match request.headers().get(PARTITION_HEADER) {
        Some(value) => value.to_str().ok().and_then(|text| text.parse().ok()),
        None => Some(0),
    };
    match number.and_then(|number: usize| partitions.get(number)) {
        Some(partition) => match partition.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        },
        None => grpc::refusal(
            "partition_unknown",
            "this cluster has no such partition: all nodes need the same setting partitions",
        ),
    }
}

/// Refuses a request without the token, before anything of its body is read.
async fn check_token(
    Shared(token): Shared<Token>,
    mut request: Request<Body>,
    next: Next,
) -> Response {
    let shown = request.headers_mut().remove(AUTHORIZATION);
    let shown = shown.as_ref().and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    // Equal digests are compared, so the time says nothing of the token.
    let is_known = token.is_none_or(|token| shown.map(digest) == Some(token));
    match is_known {
        true => next.run(request).await,
        false => grpc::refusal(
            "unauthenticated",
            "this port is for the nodes of the cluster, which share the token of node.token",
        ),
    }
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
