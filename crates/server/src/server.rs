//! The server itself: its start, and its shutdown.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::{Router, middleware};
use leftfold_api::{AppendError, Coded, Engine, clock_warning};
use leftfold_io::{Clock, SystemClock};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinHandle};

use crate::access::{Access, Secret};
use crate::config::Config;
use crate::connectors::RunningConnectors;
use crate::http::HttpProtocol;
use crate::kafka::{Broker, KafkaProtocol};
use crate::net::{
    Acceptor, Certificate, ConnectionLimits, Descriptors, Listener, Protocol, Threads, TlsError,
    UnixSocket,
};
use crate::state::State;
use crate::views::{SqlViews, ViewsThread};
use crate::{grpc, http, limits};

/// Starts servers.
pub struct Server;

/// What a server starts with besides its settings.
#[derive(Clone)]
pub struct StartOptions {
    /// The password of the first user, `admin`, if there are no users yet: with it the server begins
    /// with users.
    pub admin_password: Option<Secret>,
    /// Decides when tokens expire.
    pub clock: Arc<dyn Clock>,
}

impl Default for StartOptions {
    fn default() -> Self {
        StartOptions { admin_password: None, clock: Arc::new(SystemClock) }
    }
}

/// A server that was started. Dropping it begins the shutdown and does not wait for it.
pub struct RunningServer {
    local_addr: SocketAddr,
    ended: JoinHandle<()>,
    /// The task that serves the Unix socket.
    socket: Option<JoinHandle<()>>,
    kafka: Option<KafkaListener>,
    state: Arc<State>,
    made_password: Option<Secret>,
    certificate: Option<Arc<Certificate>>,
    limits: ConnectionLimits,
    follow: Option<AbortHandle>,
    views: ViewsThread,
    /// The task that runs the connectors.
    connectors: Option<JoinHandle<()>>,
}

/// Why a server can't be started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// Every client could do everything.
    #[error(
        "{0} can be reached from other machines: set tls.certificate and tls.key, or --insecure if every \
         client may do everything"
    )]
    Exposed(SocketAddr),
    /// Every program that reaches the address could do everything as if it were a node of the cluster.
    #[error(
        "{0}, the address for other nodes, can be reached from other machines: set node.token, or --insecure if \
         every client may do everything"
    )]
    ExposedToPeers(SocketAddr),
    /// There is nothing to serve to other nodes.
    #[error("the cluster has no partitions")]
    NoPartitions,
    /// The address can't be listened on.
    #[error("can't listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The error of the system.
        source: io::Error,
    },
    /// The Unix socket can't be listened on.
    #[error("can't listen on the socket {path}: {source}")]
    Socket {
        /// The path of the socket.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// Its users can't be read, or the first can't be made.
    #[error("the users: {0}")]
    Users(#[from] AppendError),
    /// The directory for the tables of views can't be used.
    #[error("the directory for views, {path}: {source}")]
    Views {
        /// The directory.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The certificate or its key can't be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl StartError {
    /// Returns a stable code.
    pub fn code(&self) -> &'static str {
        match self {
            StartError::Exposed(_) | StartError::ExposedToPeers(_) => "listen_insecure",
            StartError::NoPartitions => "setting_invalid",
            StartError::Listen { .. } | StartError::Socket { .. } => "listen_failed",
            StartError::Users(error) => error.code(),
            StartError::Views { .. } => "view_rows_failed",
            StartError::Tls(_) => TlsError::CODE,
        }
    }
}

fn routes(state: &Arc<State>) -> Router {
    admitting(http::router(state.clone()).merge(grpc::router(state.clone())), state)
}

/// Returns routes whose requests pass the limits and the authentication.
pub(crate) fn admitting(router: Router, state: &Arc<State>) -> Router {
    let admit = middleware::from_fn_with_state(state.clone(), limits::admit);
    let router = router.fallback(http::path_unknown).layer(admit);
    router.layer(middleware::from_fn(http::refuse_foreign))
}

fn connection_limits(config: &Config) -> ConnectionLimits {
    ConnectionLimits {
        permits: Arc::new(Semaphore::new(config.connections.min(Semaphore::MAX_PERMITS))),
        shares: limits::Pool::new(config.connections, config.share),
        descriptors: Descriptors::of_process().for_connections(),
        handshake_time: config.header_time,
        write_time: config.write_time,
        shutdown_time: config.shutdown_time,
    }
}

impl Server {
    /// Returns the routes of all protocols without a port, to be served by another server. They admit
    /// every client, and lack the limits of a connection: its requests in flight, its rate, its idle
    /// time. SQL views do not run.
    pub fn router(config: Config, store: Arc<dyn Engine>) -> Router {
        let views = SqlViews::off(&config);
        let (access, connectors) = (Access::local(store.clone()), RunningConnectors::off());
        routes(&Arc::new(State::new(config, store, access, views, connectors)))
    }

    /// Starts a server for a store, on the runtime that this is called on.
    ///
    /// # Errors
    /// The address can't be listened on, or would admit every client; the store's users can't be
    /// read.
    pub async fn start(
        config: Config,
        store: Arc<dyn Engine>,
    ) -> Result<RunningServer, StartError> {
        Self::start_with(config, store, StartOptions::default()).await
    }

    /// Starts a server with the first user's password or another clock.
    ///
    /// A server that can be reached from other machines, and is not `insecure`, makes its first user
    /// itself; its password is then [`RunningServer::made_password`].
    ///
    /// # Errors
    /// As [`Server::start`].
    pub async fn start_with(
        config: Config,
        store: Arc<dyn Engine>,
        beginning: StartOptions,
    ) -> Result<RunningServer, StartError> {
        let address = config.listen;
        let is_exposed = |address: SocketAddr| !address.ip().is_loopback() && !config.insecure;
        let mut exposed = [Some(address), config.kafka_listen].into_iter().flatten();
        let exposed = exposed.find(|address| is_exposed(*address));
        if let Some(address) = exposed.filter(|_| !config.has_tls()) {
            return Err(StartError::Exposed(address));
        }
        let certificate = match (&config.tls_certificate, &config.tls_key) {
            (Some(chain), Some(key)) => Some(Certificate::read(chain, key)?),
            _ => None,
        };
        let failed = |source| StartError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let local_addr = listener.local_addr().map_err(failed)?;
        let bind = |path: PathBuf| {
            UnixSocket::bind(&path).map_err(|source| StartError::Socket { path, source })
        };
        let socket = config.socket.clone().map(bind).transpose()?;
        let kafka_listen = config.kafka_listen;
        let kafka = match kafka_listen {
            Some(address) => {
                let bound = TcpListener::bind(address).await;
                Some(bound.map_err(|source| StartError::Listen { address, source })?)
            }
            None => None,
        };
        let threads = Arc::new(Threads::start(config.busy_poll()).map_err(failed)?);
        if let Some(warning) = clock_warning(store.meters().clock_behind_micros) {
            tracing::warn!("{warning}");
        }
        let access = Access::open(store.clone(), beginning.clock).await?;
        let made_password = match exposed.is_some() || beginning.admin_password.is_some() {
            true => access.begin(beginning.admin_password).await?,
            false => None,
        };
        let path = config.views_directory();
        let views = SqlViews::open(&config, store.clone());
        let views = views.map_err(|source| StartError::Views { path, source })?;
        let connectors = match config.connectors {
            true => RunningConnectors::of(store.clone()),
            false => RunningConnectors::off(),
        };
        let state = Arc::new(State::new(config, store, access, views, connectors));
        let views = state.views.start(state.shutdown.clone()).await.map_err(failed)?;
        let opened =
            Listening { listener, local_addr, socket, threads: threads.clone(), certificate };
        let mut running = opened.run(routes(&state), state, views)?;
        if let (Some(address), Some(listener)) = (kafka_listen, kafka) {
            running.serve_kafka(address, listener, threads).await?;
        }
        running.connectors = running.state.connectors.start(running.state.shutdown.clone());
        running.made_password = made_password;
        Ok(running)
    }
}

/// A server that listens, and accepts nothing yet.
pub(crate) struct Listening {
    pub(crate) listener: TcpListener,
    pub(crate) local_addr: SocketAddr,
    pub(crate) socket: Option<UnixSocket>,
    pub(crate) threads: Arc<Threads>,
    pub(crate) certificate: Option<Arc<Certificate>>,
}

impl Listening {
    /// Accepts connections, and serves routes on them.
    pub(crate) fn run(
        self,
        routes: Router,
        state: Arc<State>,
        views: ViewsThread,
    ) -> Result<RunningServer, StartError> {
        let Listening { listener, local_addr, socket, threads, certificate } = self;
        let protocol = Arc::new(HttpProtocol::new(routes, state.clone()));
        let limits = connection_limits(&state.config);
        let acceptor = acceptor(&state, limits.clone(), threads, certificate.as_ref(), &*protocol)?;
        let local = socket.map(|socket| {
            tokio::spawn(acceptor.clone().run(Listener::Unix(socket), protocol.clone()))
        });
        let ended = tokio::spawn(acceptor.run(listener, protocol));
        let follow = certificate.clone().map(|certificate| {
            // Aborted with the server; there is nothing to end in between.
            tokio::spawn(certificate.follow()).abort_handle()
        });
        let descriptors = Descriptors::of_process();
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            descriptors = descriptors.limit,
            descriptors_for_connections = descriptors.for_connections(),
            data = %state.config.data.display(),
            address = %local_addr,
            tls = certificate.is_some(),
            "started"
        );
        Ok(RunningServer {
            local_addr,
            ended,
            socket: local,
            kafka: None,
            state,
            certificate,
            limits,
            follow,
            views,
            connectors: None,
            made_password: None,
        })
    }
}

/// A listener for clients of Kafka's protocol.
struct KafkaListener {
    local_addr: SocketAddr,
    ended: JoinHandle<()>,
}

fn acceptor(
    state: &State,
    limits: ConnectionLimits,
    threads: Arc<Threads>,
    certificate: Option<&Arc<Certificate>>,
    protocol: &dyn Protocol,
) -> Result<Acceptor, TlsError> {
    let tls = certificate.map(|certificate| certificate.acceptor(protocol.alpn()));
    Ok(Acceptor {
        limits,
        threads,
        shutdown: state.shutdown.clone(),
        gauge: state.metrics.connections.clone(),
        refused: state.metrics.refused_connections.clone(),
        tls: tls.transpose()?,
    })
}

impl RunningServer {
    /// Accepts clients of Kafka's protocol, within the same limits of connections as all others.
    async fn serve_kafka(
        &mut self,
        address: SocketAddr,
        listener: TcpListener,
        threads: Arc<Threads>,
    ) -> Result<(), StartError> {
        let failed = |source| StartError::Listen { address, source };
        let local_addr = listener.local_addr().map_err(failed)?;
        let state = self.state.clone();
        let broker = tokio::task::spawn_blocking(move || Broker::new(state)).await;
        let broker = broker.map_err(|error| failed(io::Error::other(error)))?;
        let protocol = Arc::new(KafkaProtocol::new(Arc::new(broker)));
        let limits = self.limits.clone();
        let acceptor =
            acceptor(&self.state, limits, threads, self.certificate.as_ref(), &*protocol)?;
        let ended = tokio::spawn(acceptor.run(listener, protocol));
        tracing::info!(address = %local_addr, "Kafka's clients are served");
        if let Some(cluster) = self.state.store.cluster() {
            match self.state.config.kafka_address(local_addr) {
                Some(address) => cluster.advertise_kafka(&address),
                None => tracing::warn!(
                    "Kafka's clients of other nodes are not told of this one, and groups wait while it owns partition 0: \
                     set kafka.advertised"
                ),
            }
        }
        self.kafka = Some(KafkaListener { local_addr, ended });
        Ok(())
    }

    /// Returns the address at which it listens for clients of Kafka's protocol, if it does.
    pub fn kafka_addr(&self) -> Option<SocketAddr> {
        self.kafka.as_ref().map(|kafka| kafka.local_addr)
    }

    /// Returns the address that it listens on, with the port that was chosen for port 0.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Returns the password that was made for the first user, `admin`, the first time it is called.
    pub fn made_password(&mut self) -> Option<Secret> {
        self.made_password.take()
    }

    /// Returns the state that its protocols share.
    pub fn state(&self) -> &Arc<State> {
        &self.state
    }

    /// Reads the certificate and its key again. If they can't be used, the old ones stay in use.
    ///
    /// # Errors
    /// `tls_invalid`.
    pub fn reload_certificate(&self) -> Result<(), TlsError> {
        self.certificate.as_ref().map_or(Ok(()), |certificate| certificate.reload())
    }

    /// Accepts no further connections, ends subscriptions, lets requests in flight end within
    /// `shutdown_time`, and returns when all of it is done.
    pub async fn shutdown(self) {
        self.state.close();
        self.finished().await;
    }

    /// Waits until the server has ended.
    pub async fn finished(mut self) {
        // The task ends by itself; if it panicked, that was reported where it happened.
        _ = (&mut self.ended).await;
        if let Some(socket) = &mut self.socket {
            _ = socket.await;
        }
        if let Some(kafka) = &mut self.kafka {
            _ = (&mut kafka.ended).await;
        }
        if let Some(connectors) = &mut self.connectors {
            _ = connectors.await;
        }
        self.views.ended().await;
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        if let Some(follow) = &self.follow {
            follow.abort();
        }
        self.state.close();
    }
}
