use std::time::Duration;

use bytes::Bytes;
use leftfold_api::ReadError;
use leftfold_wire::node::copies_client::CopiesClient;
use leftfold_wire::node::{FetchRequest, FetchResponse};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::{Status, Streaming};

use crate::call_error::CallError;
use crate::calls::{Calls, Retry, TimeLimit};
use crate::client::Client;

/// How long the node may send nothing: it checks a file before it sends it. A lost connection is noticed earlier.
const PATIENCE: Duration = Duration::from_secs(60);
/// The pieces that wait to be taken.
const WAITING_PIECES: usize = 8;

/// The files of a node's copy, as one stream of bytes in pieces.
pub struct CopyStream {
    pieces: mpsc::Receiver<Result<Bytes, ReadError>>,
}

impl CopyStream {
    /// Returns the next piece, or `None` at the end.
    ///
    /// # Errors
    /// The connection is lost, the node can't go on, or it sends nothing for a minute.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ReadError> {
        self.pieces.recv().await.transpose()
    }
}

impl Client {
    /// Fetches the files of a partition's copy, at the port for the nodes of a cluster. Asks once.
    ///
    /// # Errors
    /// The node is not reached, has no copy that it can give, or gives as many as it may.
    pub async fn fetch_copy(&self) -> Result<CopyStream, ReadError> {
        let calls = Calls { sends_once: true, ..self.calls.clone() };
        let opened = calls.attempt(Retry::IfNotSent, TimeLimit::Usual, |calls| async move {
            let mut client = CopiesClient::new(calls.service());
            Ok(client.fetch(FetchRequest {}).await?.into_inner())
        });
        let incoming = opened.await?;
        let (sender, pieces) = mpsc::channel(WAITING_PIECES);
        self.calls.handle.spawn(forward(incoming, sender));
        Ok(CopyStream { pieces })
    }
}

/// Hands pieces on until the stream ends, or nobody takes them any more.
async fn forward(
    mut incoming: Streaming<FetchResponse>,
    pieces: mpsc::Sender<Result<Bytes, ReadError>>,
) {
    loop {
        let next: Result<Option<FetchResponse>, CallError> = tokio::select! {
            next = timeout(PATIENCE, incoming.message()) => match next {
                Ok(next) => next.map_err(|status: Status| status.into()),
                Err(_) => Err(CallError::TimedOut(PATIENCE)),
            },
            () = pieces.closed() => return,
        };
        let piece = match next {
            Ok(Some(response)) => Ok(response.piece),
            Ok(None) => return,
            Err(error) => Err(error.into()),
        };
        let is_last = piece.is_err();
        if pieces.send(piece).await.is_err() || is_last {
            return;
        }
    }
}
