use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use leftfold_api::{EventStore, Failure, Invalid, ReadError};
use leftfold_wire::Traffic;
use tokio::runtime::Handle;
use tonic::metadata::{Ascii, MetadataKey, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

use crate::blocking::{BlockingClient, Network};
use crate::calls::{Calls, Headers, OnRetry};
use crate::client::Client;
use crate::connector::Connector;
use crate::runtime;

/// The default time of a call with all its attempts.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The default time within which a subscription must find its server again.
const RECONNECT_TIME: Duration = Duration::from_secs(300);
/// The default number of appends in flight: as many as a server accepts of one call.
const IN_FLIGHT: usize = 1_024;
/// The time for making a connection.
pub(crate) const CONNECT_TIME: Duration = Duration::from_secs(5);
/// How long the network is polled before its thread sleeps: about as long as an append with its fsync takes on a fast disk.
const BUSY_POLL: Duration = Duration::from_micros(300);
/// The interval of HTTP/2 pings, and the time for the answer to one.
const PING_TIME: Duration = Duration::from_secs(10);
/// Bytes that a server may send of one answer before the client reads them: a few messages.
const STREAM_WINDOW: u32 = 1 << 20;
/// Bytes that it may send of all answers. Much more, so that an unread answer does not block the
/// others.
const CONNECTION_WINDOW: u32 = 1 << 30;
/// The largest frame of HTTP/2: a message of many events fits into one.
const FRAME: u32 = 256 << 10;

/// The settings of a client's connection.
#[derive(Clone)]
pub struct Builder {
    url: String,
    credentials: Option<String>,
    ca: Option<Vec<u8>>,
    server_name: Option<String>,
    timeout: Duration,
    reconnect_time: Duration,
    in_flight: usize,
    is_compressed: bool,
    busy_poll: Duration,
    handle: Option<Handle>,
    on_retry: Option<OnRetry>,
}

impl Builder {
    pub(crate) fn new(url: impl Into<String>) -> Self {
        Builder {
            url: url.into(),
            credentials: None,
            ca: None,
            server_name: None,
            timeout: TIMEOUT,
            reconnect_time: RECONNECT_TIME,
            in_flight: IN_FLIGHT,
            is_compressed: false,
            busy_poll: BUSY_POLL,
            handle: None,
            on_retry: None,
        }
    }

    /// Authenticates as a user with a password, which is sent unencrypted without `https`.
    #[must_use]
    pub fn basic(mut self, user: &str, password: &str) -> Self {
        self.credentials = Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))));
        self
    }

    /// Authenticates with a service's token, which is sent unencrypted without `https`.
    #[must_use]
    pub fn token(mut self, token: &str) -> Self {
        self.credentials = Some(format!("Bearer {token}"));
        self
    }

    /// Trusts only the CAs of a PEM text, instead of the system's.
    #[must_use]
    pub fn ca(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.ca = Some(pem.into());
        self
    }

    /// Trusts only the CAs of a PEM file, instead of the system's.
    ///
    /// # Errors
    /// `tls_invalid`: the file can't be read.
    pub fn ca_file(self, path: impl AsRef<Path>) -> Result<Self, ReadError> {
        let path = path.as_ref();
        let pem = std::fs::read(path).map_err(|error| {
            let message = format!("the CA file {} can't be read: {error}", path.display());
            Invalid::new("tls_invalid", message)
        })?;
        Ok(self.ca(pem))
    }

    /// Sets the name that the server's certificate must have; the default is the URL's host.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Sets the time of a call with all its attempts; the default is 30 s. Defining an index and
    /// administration may take longer.
    #[must_use]
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = time;
        self
    }

    /// Sets the time within which a subscription, or a read of all pages, must find its server again
    /// before it fails; the default is five minutes.
    #[must_use]
    pub fn reconnect_time(mut self, time: Duration) -> Self {
        self.reconnect_time = time;
        self
    }

    /// Sets the number of appends in flight (1 to 65,536); the default is 1,024. Further appends wait,
    /// also while 64 MiB are in flight.
    #[must_use]
    pub fn in_flight(mut self, appends: usize) -> Self {
        self.in_flight = appends.clamp(1, 1 << 16);
        self
    }

    /// Compresses messages both ways with gzip. It pays on a thin line only: the records of the log may
    /// be compressed already, and each message costs both sides time.
    #[must_use]
    pub fn compressed(mut self) -> Self {
        self.is_compressed = true;
        self
    }

    /// Sets how long the thread of the network polls for an answer, or for the next call, before it sleeps; the default is
    /// 300 us, 10 ms the most, and zero turns it off. To wake a thread takes longer than a server needs to answer from memory, above all on
    /// a virtual machine. A thread that mostly waits for longer polls seldom. A runtime of several threads does not poll.
    #[must_use]
    pub fn busy_poll(mut self, time: Duration) -> Self {
        self.busy_poll = time;
        self
    }

    /// Runs the network on this runtime. It needs I/O and time, must not be blocked, and must outlive
    /// the client. By default all clients of the process share one thread. On the runtime that the callers run on, a call
    /// takes less processor time, because it goes to no other thread.
    #[must_use]
    pub fn on(mut self, handle: Handle) -> Self {
        self.handle = Some(handle);
        self
    }

    /// Calls a function with the reason whenever the client waits before it tries something again. It
    /// runs on the client's runtime and must not block.
    #[must_use]
    pub fn on_retry(mut self, report: impl Fn(&ReadError) + Send + Sync + 'static) -> Self {
        self.on_retry = Some(OnRetry(Arc::new(report)));
        self
    }

    /// Connects and reads the head, so that wrong settings, and a server that does not run, fail at once.
    ///
    /// # Errors
    /// `url_invalid`, `tls_invalid`, `server_unreachable`, `unauthenticated`.
    pub async fn connect(self) -> Result<Client, ReadError> {
        let is_plain = !self.url.starts_with("https:") && self.socket().is_none();
        let client = self.connect_lazily()?;
        let calls = Calls { sends_once: true, ..client.calls.clone() };
        let first = Client { calls, ..client.clone() };
        first.head().await.map_err(|error| if is_plain { suggest_tls(error) } else { error })?;
        Ok(client)
    }

    /// Connects as [`Builder::connect`] does, for calls that block. They run on the threads that make them, not on the
    /// runtime of [`Builder::on`].
    ///
    /// # Errors
    /// Those of [`Builder::connect`].
    ///
    /// # Panics
    /// If the calling thread runs asynchronous tasks of Tokio.
    pub fn connect_blocking(self) -> Result<BlockingClient, ReadError> {
        let network = Network::start().map_err(no_threads)?;
        let client = network.run(self.on(network.handle()).connect())?;
        Ok(BlockingClient::new(client, network))
    }

    /// Returns a client that connects at its first call.
    ///
    /// # Errors
    /// `url_invalid`, `tls_invalid`.
    pub fn connect_lazily(self) -> Result<Client, ReadError> {
        let name = MetadataKey::from_static("authorization");
        let headers = Headers(self.header()?.map(|value| (name, value)).into_iter().collect());
        let (endpoint, connector) = (self.endpoint()?, self.connector());
        let handle = self.handle.map_or_else(runtime::shared, Ok).map_err(no_threads)?;
        let channel: Channel = {
            let _entered = handle.enter();
            endpoint.connect_with_connector_lazy(connector)
        };
        let (timeout, reconnect_time) = (self.timeout, self.reconnect_time);
        let on_retry = self.on_retry;
        Ok(Client::new(
            Calls {
                handle,
                channel,
                headers,
                timeout,
                reconnect_time,
                sends_once: false,
                is_compressed: self.is_compressed,
                on_retry,
                counters: Arc::default(),
                traffic: Arc::new(Traffic::new(self.busy_poll)),
            },
            self.in_flight,
        ))
    }

    fn header(&self) -> Result<Option<MetadataValue<Ascii>>, Invalid> {
        let Some(text) = &self.credentials else { return Ok(None) };
        let mut value: MetadataValue<Ascii> = text.parse().map_err(|_| {
            Invalid::new(
                "unauthenticated",
                "the credentials have characters that a header can't hold; use printable ASCII",
            )
        })?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    fn endpoint(&self) -> Result<Endpoint, Invalid> {
        let url = match self.url.contains("://") {
            _ if self.socket().is_some() => "http://localhost".to_owned(),
            true => self.url.clone(),
            false => format!("http://{}", self.url),
        };
        let wrong = || {
            let message = format!(
                "expected a server's URL such as http://host:2113, https://host:2113 or unix:/path/of/socket, found \
                 {url:?}"
            );
            Invalid::new("url_invalid", message)
        };
        let uri: http::Uri = url.parse().map_err(|_| wrong())?;
        let is_secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong()),
        };
        let endpoint = Endpoint::from(uri)
            .connect_timeout(CONNECT_TIME)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(PING_TIME)
            .keep_alive_timeout(PING_TIME)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(FRAME);
        if !is_secure {
            return Ok(endpoint);
        }
        let tls_invalid = |error| {
            let message = format!("TLS can't be set up: {error}");
            Invalid::new("tls_invalid", message)
        };
        endpoint.tls_config(self.tls()).map_err(tls_invalid)
    }

    /// Returns the path of a Unix socket, if the URL names one.
    fn socket(&self) -> Option<&Path> {
        self.url.strip_prefix("unix:").map(Path::new)
    }

    fn connector(&self) -> Connector {
        self.socket().map_or_else(Connector::tcp, Connector::unix)
    }

    fn tls(&self) -> ClientTlsConfig {
        let tls = match &self.ca {
            Some(pem) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)),
            None => ClientTlsConfig::new().with_native_roots(),
        };
        match &self.server_name {
            Some(name) => tls.domain_name(name),
            None => tls,
        }
    }
}

fn no_threads(error: std::io::Error) -> Failure {
    let message = format!("the client's threads can't be started: {error}");
    Failure::Remote { code: "server_unreachable", message, can_retry: true }
}

/// Adds to the error of a connection that was made and then lost what its cause may be: a server that
/// expects TLS closes a connection without.
fn suggest_tls(error: ReadError) -> ReadError {
    match error {
        ReadError::Failure(Failure::Remote { code: "server_unreachable", message, can_retry })
            if !["tcp connect", "dns"].iter().any(|cause| message.contains(cause)) =>
        {
            let message =
                format!("{message}; if the server expects TLS, write https:// in its URL");
            Failure::Remote { code: "server_unreachable", message, can_retry }.into()
        }
        other => other,
    }
}
