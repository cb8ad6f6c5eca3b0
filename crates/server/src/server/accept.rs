use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::connection::Connections;
use super::threads::Threads;
use crate::state::State;

/// After an accept failed (no file descriptors are left, as a rule) the next is tried so much later.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// Takes connections until the server closes, then waits for their end, within a bound.
pub(super) async fn run(
    listener: TcpListener,
    router: Router,
    tls: Option<TlsAcceptor>,
    state: Arc<State>,
    threads: Threads,
) {
    let places = Arc::new(Semaphore::new(state.config.connections));
    let connections = Arc::new(Connections::new(router, tls, state.clone()));
    let mut closes = pin!(state.closed());
    let mut tasks = JoinSet::new();
    loop {
        let next = async {
            // Whoever comes when all places are taken waits in the system's own queue.
            let place = places.clone().acquire_owned().await;
            (listener.accept().await, place)
        };
        tokio::select! {
            (accepted, place) = next => match accepted {
                Ok((stream, peer)) => {
                    let connections = connections.clone();
                    let count = state.metrics.connections.clone();
                    // From the thread that accepts to the one that it lives on.
                    if let (Ok(stream), Some(seat)) = (stream.into_std(), threads.seat()) {
                        let thread = seat.handle.clone();
                        let live = async move {
                            if let Ok(stream) = TcpStream::from_std(stream) {
                                count.inc();
                                connections.serve(stream, peer).await;
                                count.dec();
                            }
                            drop((place, seat));
                        };
                        tasks.spawn_on(live, &thread);
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection can't be taken");
                    tokio::time::sleep(AFTER_FAILURE).await;
                }
            },
            () = closes.as_mut() => break,
            Some(_) = tasks.join_next() => {}
        }
    }
    drop(listener);
    let all = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(state.config.shutdown_time, all).await.is_err() {
        tracing::warn!("requests that did not end in time are cut off");
        tasks.shutdown().await;
    }
}
