use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

use super::stall::WriteTimeout;

/// The bytes of a connection, with TLS or without.
pub(crate) struct ByteStream(Kind);

enum Kind {
    Plain(WriteTimeout<TcpStream>),
    Local(WriteTimeout<UnixStream>),
    Tls(Box<TlsStream<WriteTimeout<TcpStream>>>),
}

impl ByteStream {
    pub(super) fn plain(stream: WriteTimeout<TcpStream>) -> Self {
        ByteStream(Kind::Plain(stream))
    }

    pub(super) fn local(stream: WriteTimeout<UnixStream>) -> Self {
        ByteStream(Kind::Local(stream))
    }

    pub(super) fn tls(stream: TlsStream<WriteTimeout<TcpStream>>) -> Self {
        ByteStream(Kind::Tls(Box::new(stream)))
    }

    fn inner(self: Pin<&mut Self>) -> Pin<&mut (dyn Duplex + 'static)> {
        match &mut self.get_mut().0 {
            Kind::Plain(stream) => Pin::new(stream),
            Kind::Local(stream) => Pin::new(stream),
            Kind::Tls(stream) => Pin::new(stream.as_mut()),
        }
    }
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

impl AsyncRead for ByteStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.inner().poll_read(context, buffer)
    }
}

impl AsyncWrite for ByteStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.inner().poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.inner().poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.0 {
            Kind::Plain(stream) => stream.is_write_vectored(),
            Kind::Local(stream) => stream.is_write_vectored(),
            Kind::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_shutdown(context)
    }
}
