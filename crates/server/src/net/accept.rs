use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::listener::{Accepted, Listener, Socket};
use super::protocol::ConnectionSlot;
use super::stall::WriteTimeout;
use super::{ByteStream, Connection, Protocol, Shutdown, Threads};
use crate::limits::{Client, Pool};

/// How long accepting pauses after it failed; as a rule no file descriptors were left.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// How often it is logged that connections are refused, or that none can be accepted.
const LOGGED_EVERY: Duration = Duration::from_secs(1);

/// The limits of connections, whatever their protocol.
#[derive(Clone)]
pub(crate) struct ConnectionLimits {
    /// Connections at the same time. Further clients wait in the system's queue. A listener holds
    /// one permit while it waits for a client.
    pub(crate) permits: Arc<Semaphore>,
    /// The connections of each address, of which one has a share at most. Beyond it they are closed at once.
    pub(crate) shares: Arc<Pool>,
    /// A connection whose file descriptor has this number or a higher one is closed at once: these are left to
    /// the store and to views, which could not go on without.
    pub(crate) descriptors: u64,
    /// The TLS handshake must be done within this time.
    pub(crate) handshake_time: Duration,
    /// A client must take what is written to it within this time.
    pub(crate) write_time: Duration,
    /// Connections must end within this time after the shutdown signal.
    pub(crate) shutdown_time: Duration,
}

/// Lets something be logged once in [`LOGGED_EVERY`] at most.
#[derive(Default)]
struct LogRate(Option<Instant>);

impl LogRate {
    fn is_due(&mut self) -> bool {
        let now = Instant::now();
        let is_due = self.0.is_none_or(|last| now - last >= LOGGED_EVERY);
        if is_due {
            self.0 = Some(now);
        }
        is_due
    }
}

/// Accepts connections and hands them to a protocol. Each lives on one of the server's threads.
#[derive(Clone)]
pub(crate) struct Acceptor {
    pub(crate) limits: ConnectionLimits,
    pub(crate) threads: Arc<Threads>,
    pub(crate) shutdown: Shutdown,
    /// Counts the connections.
    pub(crate) gauge: Gauge,
    /// Counts those that were closed for want of file descriptors, or because their address has its share.
    pub(crate) refused: Counter,
    /// How connections are encrypted; `None` for plain ones.
    pub(crate) tls: Option<TlsAcceptor>,
}

impl Acceptor {
    /// Accepts connections until the shutdown signal, then waits for their end within
    /// `shutdown_time`.
    pub(crate) async fn run(self, listener: impl Into<Listener>, protocol: Arc<dyn Protocol>) {
        let (acceptor, listener) = (Arc::new(self), listener.into());
        let mut shutdown = pin!(acceptor.shutdown.begun());
        let mut connections = JoinSet::new();
        let mut log = LogRate::default();
        loop {
            let next = async {
                let permit = acceptor.limits.permits.clone().acquire_owned().await;
                (listener.accept().await, permit)
            };
            tokio::select! {
                (accepted, permit) = next => match (accepted, permit) {
                    (Ok((stream, _)), Ok(_)) if !acceptor.may_keep(&stream) => {
                        acceptor.refused.inc();
                        if log.is_due() {
                            tracing::warn!(
                                "connections are closed: the other file descriptors are for the store; raise the \
                                 limit of open files"
                            );
                        }
                    }
                    (Ok((stream, peer)), Ok(permit)) => {
                        let Some(share) = acceptor.limits.shares.take(&Client::at(peer), 1) else {
                            acceptor.refused.inc();
                            if log.is_due() {
                                tracing::warn!(
                                    %peer,
                                    "connections are closed: the address has its share of limits.connections"
                                );
                            }
                            continue;
                        };
                        let Some(seat) = acceptor.threads.seat() else { continue };
                        let thread = seat.handle.clone();
                        let slot = ConnectionSlot::new(acceptor.gauge.clone(), (share, permit), seat);
                        let (acceptor, protocol) = (acceptor.clone(), protocol.clone());
                        let serve = async move {
                            // From the thread that accepts to the one that the connection lives on.
                            if let Ok(socket) = stream.settle() {
                                acceptor.serve(socket, peer, slot, protocol).await;
                            }
                        };
                        connections.spawn_on(serve, &thread);
                    }
                    (Err(error), _) => {
                        if log.is_due() {
                            tracing::warn!(%error, "no connection can be accepted");
                        }
                        tokio::time::sleep(AFTER_FAILURE).await;
                    }
                    // The semaphore is never closed.
                    (Ok(_), Err(_)) => break,
                },
                () = shutdown.as_mut() => break,
                Some(_) = connections.join_next() => {}
            }
        }
        drop(listener);
        let all_ended = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(acceptor.limits.shutdown_time, all_ended).await.is_err() {
            tracing::warn!("connections that did not end in time are cut off");
            connections.shutdown().await;
        }
    }

    fn may_keep(&self, stream: &Accepted) -> bool {
        u64::try_from(stream.descriptor()).is_ok_and(|number| number < self.limits.descriptors)
    }

    async fn serve(
        &self,
        socket: Socket,
        peer: SocketAddr,
        slot: ConnectionSlot,
        protocol: Arc<dyn Protocol>,
    ) {
        let Ok(local) = socket.local_addr() else { return };
        let within = self.limits.write_time;
        let stream = match socket {
            // It never leaves the machine.
            Socket::Unix(stream) => ByteStream::local(WriteTimeout::new(stream, within)),
            Socket::Tcp(stream) => {
                // Answers are written whole: to wait for more to send with them only delays them.
                _ = stream.set_nodelay(true);
                note_progress_often(&stream);
                let stream = WriteTimeout::new(stream, within);
                let Some(stream) = self.encrypt(stream, peer).await else { return };
                stream
            }
        };
        let shutdown = self.shutdown.clone();
        protocol.serve(Connection { stream, peer, local, shutdown, slot }).await;
    }

    /// Returns the bytes of a stream within TLS, if there is TLS; `None` if the handshake fails.
    async fn encrypt(
        &self,
        stream: WriteTimeout<TcpStream>,
        peer: SocketAddr,
    ) -> Option<ByteStream> {
        match &self.tls {
            None => Some(ByteStream::plain(stream)),
            Some(tls) => {
                let handshake = tls.accept(stream);
                match tokio::time::timeout(self.limits.handshake_time, handshake).await {
                    Ok(Ok(stream)) => Some(ByteStream::tls(stream)),
                    Ok(Err(error)) => {
                        tracing::debug!(%peer, %error, "the TLS handshake failed");
                        None
                    }
                    Err(_) => {
                        tracing::debug!(%peer, "the TLS handshake took too long");
                        None
                    }
                }
            }
        }
    }
}

/// Lets a slow client's progress be seen: without a bound, the system's buffer has room again only after
/// megabytes were taken, and a client that reads steadily would look stalled.
fn note_progress_often(stream: &TcpStream) {
    /// Bytes that wait in the system unsent.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const UNSENT_BYTES: u32 = 128 << 10;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Err(error) = socket2::SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_BYTES) {
        tracing::debug!(%error, "the bound of unsent bytes can't be set");
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = stream;
}
