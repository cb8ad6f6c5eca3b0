//! Copies of a partition for other nodes.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use futures_util::stream::unfold;
use leftfold_wire::node::copies_server::{Copies, CopiesServer};
use leftfold_wire::node::{FetchRequest, FetchResponse};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tonic::{Request, Response, Status, async_trait};

use super::{Messages, lasting, status};
use crate::state::State;

/// The copies that a node sends at the same time. Each has a thread, and holds files that were replaced meanwhile.
const MAX_COPIES: usize = 2;
/// The pieces that wait for the other node, of 256 KiB.
const WAITING_PIECES: usize = 8;
/// How long the other node may take no piece. Then it gets no more, and the files are held no longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The places of the copies that a node sends.
#[derive(Clone)]
pub(crate) struct CopyPlaces(Arc<Semaphore>);

impl CopyPlaces {
    pub(crate) fn new() -> Self {
        CopyPlaces(Arc::new(Semaphore::new(MAX_COPIES)))
    }
}

/// The routes of the service. They belong to the port for other nodes only.
pub(crate) fn router(state: Arc<State>, places: CopyPlaces) -> Router {
    let service = CopiesServer::new(CopyService { state, places });
    Router::new().route_service("/leftfold.node.v1.Copies/{method}", service)
}

struct CopyService {
    state: Arc<State>,
    places: CopyPlaces,
}

type Piece = Result<FetchResponse, Status>;

#[async_trait]
impl Copies for CopyService {
    type FetchStream = Messages<FetchResponse>;

    async fn fetch(
        &self,
        _request: Request<FetchRequest>,
    ) -> Result<Response<Self::FetchStream>, Status> {
        if self.state.store.copies().is_none() {
            return Err(Status::unimplemented("this server gives no copies"));
        }
        let place = self.places.0.clone().try_acquire_owned();
        let place = place.map_err(|_| {
            status::overloaded(&format!("{MAX_COPIES} copies are being sent, which is the limit"))
        })?;
        let (pieces, sent) = mpsc::channel(WAITING_PIECES);
        let (state, handle) = (self.state.clone(), Handle::current());
        tokio::task::spawn_blocking(move || {
            let Some(copies) = state.store.copies() else { return };
            let outlet = Outlet { pieces, handle, patience: PATIENCE };
            outlet.send(copies, &|| state.is_closing());
            drop(place);
        });
        Ok(lasting(unfold(sent, async |mut sent| Some((sent.recv().await?, sent)))))
    }
}

/// Where the pieces of a copy go, for a thread that may block.
struct Outlet {
    pieces: mpsc::Sender<Piece>,
    handle: Handle,
    /// How long the other node may take no piece.
    patience: Duration,
}

impl Outlet {
    /// Sends a copy, unless the server closes meanwhile.
    fn send(&self, copies: &dyn leftfold_api::Copies, is_closing: &dyn Fn() -> bool) {
        let mut is_taken = true;
        let sent = copies.send_copy(&mut |piece| {
            is_taken = !is_closing() && self.push(Ok(FetchResponse { piece }));
            is_taken
        });
        if let Err(error) = sent
            && is_taken
        {
            self.push(Err(status::administration(&error)));
        }
    }

    /// Waits until there is room for a piece; returns whether there was some in time.
    fn push(&self, piece: Piece) -> bool {
        // The time limit needs the runtime, so it is made inside of it.
        let sent = async { timeout(self.patience, self.pieces.send(piece)).await };
        matches!(self.handle.block_on(sent), Ok(Ok(())))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use leftfold_api::{AdministrationError, CopySink, ReadError};
    use tokio::runtime::Builder;

    use super::*;

    /// A copy that has no end, and notes when it is not wanted any more.
    struct Endless;

    impl leftfold_api::Copies for Endless {
        fn send_copy(&self, sink: CopySink<'_>) -> Result<(), AdministrationError> {
            while sink(Bytes::from_static(b"piece")) {}
            Err(Box::new(ReadError::from(leftfold_api::Failure::Closed)))
        }
    }

    /// Sends the endless copy, and returns what was sent to one that takes nothing.
    fn sent(patience: Duration, is_closing: bool) -> Vec<Piece> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
        let (pieces, mut sent) = mpsc::channel(WAITING_PIECES);
        let outlet = Outlet { pieces, handle: runtime.handle().clone(), patience };
        outlet.send(&Endless, &|| is_closing);
        drop(outlet);
        std::iter::from_fn(|| sent.try_recv().ok()).collect()
    }

    #[test]
    fn a_node_that_takes_nothing_holds_the_files_for_a_bounded_time() {
        let sent = sent(Duration::from_millis(10), false);
        assert_eq!(sent.len(), WAITING_PIECES);
        assert!(sent.iter().all(Result::is_ok), "it sees a stream without an end");
    }

    #[test]
    fn a_server_that_closes_sends_no_copy_on() {
        assert_eq!(sent(Duration::from_secs(3600), true).len(), 0);
    }
}
