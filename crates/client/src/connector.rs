use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use leftfold_wire::Gather;
use tokio::io::{AsyncRead, AsyncWrite, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;
use tonic::codegen::{BoxFuture, Service, StdError};

use crate::builder::CONNECT_TIME;

/// Bytes that are received at once: an answer of a hundred events takes one system call.
const RECEIVE_BUFFER: usize = 64 << 10;

/// Connects to a server.
#[derive(Clone)]
pub(crate) enum Connector {
    Tcp(HttpConnector),
    Unix(PathBuf),
}

/// A connection's bytes, without TLS.
type Socket = TokioIo<BufReader<Gather<Pin<Box<dyn Duplex>>>>>;

pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> Duplex for T {}

impl Connector {
    pub(crate) fn tcp() -> Self {
        let mut connector = HttpConnector::new();
        // TLS is put on top.
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIME));
        Connector::Tcp(connector)
    }

    /// Connects to the socket at this path, whatever the URI is.
    pub(crate) fn unix(path: &Path) -> Self {
        Connector::Unix(path.to_owned())
    }
}

impl Service<Uri> for Connector {
    type Response = Socket;
    type Error = StdError;
    type Future = BoxFuture<Socket, StdError>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), StdError>> {
        match self {
            Connector::Tcp(connector) => connector.poll_ready(context).map_err(Into::into),
            Connector::Unix(_) => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        match self {
            Connector::Tcp(connector) => {
                let connecting = connector.call(uri);
                Box::pin(async move { Ok(socket(connecting.await?.into_inner())) })
            }
            Connector::Unix(path) => {
                let path = path.clone();
                Box::pin(async move {
                    let connected = timeout(CONNECT_TIME, UnixStream::connect(path)).await;
                    Ok(socket(connected.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??))
                })
            }
        }
    }
}

fn socket(stream: impl Duplex + 'static) -> Socket {
    let stream: Pin<Box<dyn Duplex>> = Box::pin(stream);
    TokioIo::new(BufReader::with_capacity(RECEIVE_BUFFER, Gather::new(stream)))
}
