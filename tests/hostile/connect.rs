//! Connections of clients that do what no proper client does.

use std::convert::Infallible;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use http_body_util::StreamBody;
use hyper::body::Frame;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::{Method, Request};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::served::Target;

type Frames = Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, Infallible>> + Send>>;

/// The body of a request that is sent in pieces.
pub(crate) type Pieces = StreamBody<Frames>;

/// Returns a body of one piece that never ends.
pub(crate) fn endless(piece: Bytes) -> Pieces {
    let first = stream::once(async move { Ok(Frame::data(piece)) });
    StreamBody::new(Box::pin(first.chain(stream::pending())))
}

/// Returns a body of one piece.
pub(crate) fn whole(piece: Bytes) -> Pieces {
    StreamBody::new(Box::pin(stream::once(async move { Ok(Frame::data(piece)) })))
}

/// Connects over HTTP/2, and lets `ask` send requests while the connection lives. The server may send `window` bytes of
/// each answer before they are taken.
pub(crate) async fn http2<F>(
    target: &Target,
    window: u32,
    ask: impl FnOnce(SendRequest<Pieces>) -> F,
) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    let stream = target.connect().await?;
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(window);
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
    tokio::select! {
        ended = connection => Ok(ended?),
        asked = ask(sender) => asked,
    }
}

/// Returns a request of gRPC.
pub(crate) fn grpc(target: &Target, method: &str, body: Pieces) -> anyhow::Result<Request<Pieces>> {
    let request = Request::builder().method(Method::POST);
    let request = request.uri(format!("http://{}/leftfold.v1.Store/{method}", target.address));
    let request = request.header("content-type", "application/grpc").header("te", "trailers");
    Ok(request.body(body)?)
}

/// Waits until the server closes the connection, and takes slowly what it sends: a byte in each `pause`.
pub(crate) async fn take_slowly(mut stream: TcpStream, pause: Duration) -> anyhow::Result<()> {
    let mut byte = [0];
    while stream.read(&mut byte).await? > 0 {
        tokio::time::sleep(pause).await;
    }
    Ok(())
}

/// Keeps answers for ever: their heads come, and their bodies are not taken.
pub(crate) async fn keep<T>(mut answers: impl Stream<Item = T> + Unpin) -> anyhow::Result<()> {
    let mut kept = Vec::new();
    while let Some(answer) = answers.next().await {
        kept.push(answer);
    }
    std::future::pending().await
}

/// Waits until the server closes the connection, and takes nothing, for at most this long.
pub(crate) async fn hold(stream: TcpStream, time: Duration) -> anyhow::Result<()> {
    let closed = async {
        loop {
            stream.readable().await?;
            if stream.peek(&mut [0]).await? == 0 {
                return anyhow::Ok(());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    timeout(time, closed).await.unwrap_or(Ok(()))
}
