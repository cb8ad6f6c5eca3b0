//! The server for the other nodes of a cluster: native gRPC, for those who have the cluster's token.
//!
//! A node has authorized its client before it asks another node, so this server asks only for the token.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State as Shared};
use axum::http::header::AUTHORIZATION;
use axum::middleware::{self, Next};
use axum::response::Response;
use leftfold_api::Engine;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;

use crate::access::{Access, Secret};
use crate::config::Config;
use crate::grpc;
use crate::net::Threads;
use crate::server::{Listening, RunningServer, Server, StartError, admitting};
use crate::state::State;
use crate::views::{SqlViews, ViewsThread};

/// The digest of the token that a node must show; `None` if it needs none.
type Token = Option<[u8; 32]>;

impl Server {
    /// Starts a server for the other nodes of a cluster, on the runtime that this is called on.
    ///
    /// # Errors
    /// The address can't be listened on, or would admit everybody.
    pub async fn start_for_peers(
        mut config: Config,
        store: Arc<dyn Engine>,
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
        let threads = Arc::new(Threads::start().map_err(failed)?);
        let views = SqlViews::off(&config);
        let state = Arc::new(State::new(config, store.clone(), Access::local(store), views));
        let token: Token = token.map(|token| digest(token.reveal().as_bytes()));
        let routes = admitting(grpc::router(state.clone()), &state)
            .layer(middleware::from_fn_with_state(token, check_token));
        let listening = Listening { listener, local_addr, threads, certificate: None };
        listening.run(routes, state, ViewsThread::none())
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
