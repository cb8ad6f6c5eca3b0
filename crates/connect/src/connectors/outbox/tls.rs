//! TLS of a connection with PostgreSQL: the server's certificate is always verified.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use leftfold_api::BoxFuture;
use rustls::pki_types::{InvalidDnsNameError, ServerName};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_postgres::Socket;
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client;

use super::super::ConnectorError;
use super::super::tls::client_config;

/// Makes connections with TLS.
#[derive(Clone)]
pub(super) struct Tls(TlsConnector);

impl Tls {
    /// Trusts the authorities of a file with PEM, or those of the system.
    pub(super) fn new(authorities: Option<&Path>) -> Result<Self, ConnectorError> {
        Ok(Tls(TlsConnector::from(client_config(authorities)?)))
    }

    /// Encrypts a connection with the server of a name.
    pub(super) async fn encrypt(
        &self,
        name: &str,
        socket: TcpStream,
    ) -> Result<client::TlsStream<TcpStream>, ConnectorError> {
        let server = ServerName::try_from(name.to_owned()).map_err(ConnectorError::unusable)?;
        let encrypted = self.0.connect(server, socket).await;
        encrypted.map_err(|error| {
            ConnectorError::unavailable(format!("PostgreSQL can't be reached ({error})"))
        })
    }
}

/// The handshake with one server.
pub(super) struct Handshake {
    connector: TlsConnector,
    server: ServerName<'static>,
}

impl MakeTlsConnect<Socket> for Tls {
    type Stream = Encrypted;
    type TlsConnect = Handshake;
    type Error = InvalidDnsNameError;

    fn make_tls_connect(&mut self, domain: &str) -> Result<Handshake, InvalidDnsNameError> {
        let server = ServerName::try_from(domain.to_owned())?;
        Ok(Handshake { connector: self.0.clone(), server })
    }
}

impl TlsConnect<Socket> for Handshake {
    type Stream = Encrypted;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Encrypted>>;

    fn connect(self, socket: Socket) -> Self::Future {
        Box::pin(async move {
            Ok(Encrypted(Box::new(self.connector.connect(self.server, socket).await?)))
        })
    }
}

/// A connection with TLS.
pub(super) struct Encrypted(Box<client::TlsStream<Socket>>);

impl TlsStream for Encrypted {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
