//! The server itself: the port, its connections, and their end.

mod accept;
mod connection;
mod guard;
mod request_id;
mod stall;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use leftfold_io::{Clock, SystemClock};
use leftfold_store::{AppendError, Coded, Embedded};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::access::{Access, Secret};
use crate::config::Config;
use crate::state::State;
use crate::{grpc, http};

/// A server to be started.
pub struct Server;

/// What a server begins with beside its settings.
#[derive(Clone)]
pub struct Beginning {
    /// The password of the first user, `admin`, if there are no users yet: with it the server begins
    /// with users.
    pub admin_password: Option<Secret>,
    /// By which tokens end.
    pub clock: Arc<dyn Clock>,
}

impl Default for Beginning {
    fn default() -> Self {
        Beginning { admin_password: None, clock: Arc::new(SystemClock) }
    }
}

/// A server that runs. Dropping it begins its shutdown and does not wait for it.
pub struct Running {
    local_addr: SocketAddr,
    closing: watch::Sender<bool>,
    ended: JoinHandle<()>,
    state: Arc<State>,
    made_password: Option<Secret>,
}

/// Why a server can't be started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// It would be open to everybody.
    #[error(
        "{0} can be reached from elsewhere: give tls.certificate and tls.key, or say --insecure if \
         whoever reaches it may do everything"
    )]
    Exposed(SocketAddr),
    /// The address can't be listened on.
    #[error("can't listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Who its users are can't be read, or the first can't be made.
    #[error("the users: {0}")]
    Users(#[from] AppendError),
}

impl StartError {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            StartError::Exposed(_) => "listen_insecure",
            StartError::Listen { .. } => "listen_failed",
            StartError::Users(error) => error.code(),
        }
    }
}

impl Server {
    /// Starts a server of a store on the runtime that this is called on.
    ///
    /// # Errors
    /// The address can't be listened on, or would be open to everybody; the store's users can't be
    /// read.
    pub async fn start(config: Config, store: Arc<Embedded>) -> Result<Running, StartError> {
        Self::start_with(config, store, Beginning::default()).await
    }

    /// The same, with a first user's password or another clock.
    ///
    /// A server that can be reached from elsewhere, and is not `insecure`, makes its first user
    /// itself; its password is then [`Running::made_password`].
    ///
    /// # Errors
    /// As [`Server::start`].
    pub async fn start_with(
        config: Config,
        store: Arc<Embedded>,
        beginning: Beginning,
    ) -> Result<Running, StartError> {
        let address = config.listen;
        let is_exposed = !address.ip().is_loopback() && !config.insecure;
        if is_exposed && !config.has_tls() {
            return Err(StartError::Exposed(address));
        }
        let access = Access::open(store.clone(), beginning.clock).await?;
        let made_password = match is_exposed || beginning.admin_password.is_some() {
            true => access.begin(beginning.admin_password).await?,
            false => None,
        };
        let failed = |source| StartError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let local_addr = listener.local_addr().map_err(failed)?;
        let (closing, closes) = watch::channel(false);
        let state = Arc::new(State::new(config, store, access, closes));
        let router = http::router(state.clone()).merge(grpc::router(state.clone()));
        let router = router.fallback(http::path_unknown);
        let ended = tokio::spawn(accept::run(listener, router, state.clone()));
        Ok(Running { local_addr, closing, ended, state, made_password })
    }
}

impl Running {
    /// Where it listens; tells the port if port 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The password that was made for the first user, `admin`: to be told once, and not kept.
    pub fn made_password(&mut self) -> Option<Secret> {
        self.made_password.take()
    }

    /// What its protocols share.
    pub fn state(&self) -> &Arc<State> {
        &self.state
    }

    /// Takes no more connections, lets requests in flight end within `shutdown_time`, ends
    /// subscriptions, and returns when all of it is done.
    pub async fn shutdown(self) {
        _ = self.closing.send(true);
        self.finished().await;
    }

    /// Returns when the server has ended.
    pub async fn finished(mut self) {
        // The task ends by itself; if it panicked, that was reported where it happened.
        _ = (&mut self.ended).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        _ = self.closing.send(true);
    }
}
