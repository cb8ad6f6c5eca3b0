use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use leftfold_api::{EventStore, Failure, Invalid, ReadError};
use tokio::runtime::Handle;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

use crate::calls::{Calls, Credentials};
use crate::client::Client;
use crate::runtime;

/// How long a call may take with all its attempts, unless said otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long a subscription goes on without a server, unless said otherwise.
const PATIENCE: Duration = Duration::from_secs(300);
/// Appends on their way, unless said otherwise: as many as a server takes of one call.
const IN_FLIGHT: usize = 1_024;
/// A connection must be made within this time.
const CONNECT: Duration = Duration::from_secs(5);
/// A server is asked after so long whether it is there, and must answer within as long.
const PING: Duration = Duration::from_secs(10);
/// What a server may send of one answer before it is taken: a few messages.
const STREAM_WINDOW: u32 = 1 << 20;
/// What it may send of all answers. Much more, so that an answer that nobody takes does not hold up
/// the others.
const CONNECTION_WINDOW: u32 = 1 << 30;
/// The largest frame of HTTP/2: a message of many events comes in one piece.
const FRAME: u32 = 256 << 10;

/// How a client connects.
#[derive(Clone)]
pub struct Builder {
    url: String,
    credentials: Option<String>,
    ca: Option<Vec<u8>>,
    server_name: Option<String>,
    timeout: Duration,
    patience: Duration,
    in_flight: usize,
    handle: Option<Handle>,
}

impl Builder {
    pub(crate) fn new(url: impl Into<String>) -> Self {
        Builder {
            url: url.into(),
            credentials: None,
            ca: None,
            server_name: None,
            timeout: TIMEOUT,
            patience: PATIENCE,
            in_flight: IN_FLIGHT,
            handle: None,
        }
    }

    /// As a user with a password. Over a network use `https`: it is sent as it is.
    #[must_use]
    pub fn basic(mut self, user: &str, password: &str) -> Self {
        self.credentials = Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))));
        self
    }

    /// As a service with a token. Over a network use `https`: it is sent as it is.
    #[must_use]
    pub fn token(mut self, token: &str) -> Self {
        self.credentials = Some(format!("Bearer {token}"));
        self
    }

    /// Trusts the CAs of a PEM text, and no others. Without it the system's are trusted.
    #[must_use]
    pub fn ca(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.ca = Some(pem.into());
        self
    }

    /// Trusts the CAs of a PEM file, and no others.
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

    /// The name that the server's certificate must have; without it the URL's host.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// How long a call may take with all its attempts: 30 s, unless said otherwise. Defining an
    /// index and administration may take longer.
    #[must_use]
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = time;
        self
    }

    /// How long a subscription, or a reading of all pages, looks for its server before it gives up:
    /// five minutes, unless said otherwise.
    #[must_use]
    pub fn patience(mut self, time: Duration) -> Self {
        self.patience = time;
        self
    }

    /// How many appends may be on their way at the same time (1 to 65,536); 1,024, unless said
    /// otherwise. Others wait. So do they while 64 MiB are on their way.
    #[must_use]
    pub fn in_flight(mut self, appends: usize) -> Self {
        self.in_flight = appends.clamp(1, 1 << 16);
        self
    }

    /// Runs the network on this runtime. It must be one with its I/O and time enabled, must not be
    /// blocked, and must outlive the client. Without it all clients of the process share one thread.
    #[must_use]
    pub fn on(mut self, handle: Handle) -> Self {
        self.handle = Some(handle);
        self
    }

    /// Connects, and asks the server where its log ends, so that what is wrong shows at once.
    ///
    /// # Errors
    /// `url_invalid`, `tls_invalid`, `server_unreachable`, `unauthenticated`.
    pub async fn connect(self) -> Result<Client, ReadError> {
        let client = self.connect_lazily()?;
        client.head().await?;
        Ok(client)
    }

    /// Connects when it is first used.
    ///
    /// # Errors
    /// `url_invalid`, `tls_invalid`.
    pub fn connect_lazily(self) -> Result<Client, ReadError> {
        let credentials = self.header()?;
        let endpoint = self.endpoint()?;
        let handle = self.handle.map_or_else(runtime::shared, Ok).map_err(|error| {
            let message = format!("the client's threads can't be started: {error}");
            Failure::Remote { code: "server_unreachable", message, can_retry: true }
        })?;
        let channel: Channel = {
            let _entered = handle.enter();
            endpoint.connect_lazy()
        };
        let channel = InterceptedService::new(channel, Credentials(credentials));
        let (timeout, patience) = (self.timeout, self.patience);
        Ok(Client::new(Calls { handle, channel, timeout, patience }, self.in_flight))
    }

    fn header(&self) -> Result<Option<MetadataValue<Ascii>>, Invalid> {
        let Some(text) = &self.credentials else { return Ok(None) };
        let mut value: MetadataValue<Ascii> = text.parse().map_err(|_| {
            Invalid::new("unauthenticated", "the token holds characters that no header can")
        })?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    fn endpoint(&self) -> Result<Endpoint, Invalid> {
        let url = match self.url.contains("://") {
            true => self.url.clone(),
            false => format!("http://{}", self.url),
        };
        let wrong = || {
            let message = format!(
                "{url:?} is not a server's URL: write it http://host:2113, or https://host:2113"
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
            .connect_timeout(CONNECT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(PING)
            .keep_alive_timeout(PING)
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
