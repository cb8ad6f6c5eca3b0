//! Connections with the mail server.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use lettre::Message;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, AsyncTokioStream, Certificate, CertificateStore, TlsParameters,
};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

use super::super::outlet::Undelivered;
use super::super::socket::{Allowance, ServerAddress, Socket};
use super::super::tls::{client_config, read_authorities};
use super::super::{ConnectorError, Secrets};
use super::failure;
use super::settings::{MailSettings, TlsMode};

/// How long a server may take to let a connection in, with TLS and the account.
const CONNECT: Duration = Duration::from_secs(20);
/// How long it may take to say that a connection is still good.
const PROBE: Duration = Duration::from_secs(5);
/// How long it may take to accept a mail; together with the others below the limit for one delivery.
const SEND: Duration = Duration::from_secs(60);
/// How long it may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);
/// The most bytes of the answers to one mail.
const MOST_ANSWERS: usize = 256 << 10;
/// The connections that are kept for the next mails, and for how long.
const MOST_IDLE: usize = 8;
const IDLE: Duration = Duration::from_secs(30);

/// Makes connections, and keeps those that were used. There are at most as many as mails at a time.
pub(super) struct Pool {
    server: ServerAddress,
    /// TLS that begins with `STARTTLS`.
    start_tls: Option<TlsParameters>,
    credentials: Option<Credentials>,
    idle: Mutex<Vec<Session>>,
}

/// A connection that has been let in.
pub(super) struct Session {
    smtp: AsyncSmtpConnection,
    allowance: Allowance,
    used: Instant,
}

impl AsyncTokioStream for Socket {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}

impl Pool {
    pub(super) fn new(settings: &MailSettings, secrets: &Secrets) -> Result<Self, ConnectorError> {
        let (host, port) = settings.host_and_port().map_err(ConnectorError::Definition)?;
        let (mut tls, mut start_tls) = (None, None);
        match settings.tls {
            TlsMode::Required => tls = Some(client_config(settings.ca.as_deref())?),
            TlsMode::StartTls => start_tls = Some(start_tls_parameters(&host, settings)?),
            TlsMode::None => {}
        }
        let credentials = match (&settings.username, &settings.password) {
            (Some(name), Some(reference)) => {
                let password = secrets.read(reference)?;
                Some(Credentials::new(name.clone(), password.expose().to_owned()))
            }
            _ => None,
        };
        let server = ServerAddress { host, port, tls };
        Ok(Pool { server, start_tls, credentials, idle: Mutex::default() })
    }

    /// Returns a connection that answers: one that was used before, or a new one.
    pub(super) async fn session(&self) -> Result<Session, ConnectorError> {
        loop {
            let used = self.idle.lock().pop();
            let Some(mut session) = used else { break };
            if session.used.elapsed() < IDLE && session.is_alive().await {
                return Ok(session);
            }
        }
        timeout(CONNECT, self.connect()).await.unwrap_or_else(|_| {
            Err(ConnectorError::unavailable("the mail server did not let the connection in"))
        })
    }

    /// Keeps a connection for the next mail.
    pub(super) fn keep(&self, mut session: Session) {
        session.used = Instant::now();
        let mut idle = self.idle.lock();
        if idle.len() < MOST_IDLE {
            idle.push(session);
        }
    }

    async fn connect(&self) -> Result<Session, ConnectorError> {
        let failed = |error: Error| failure::of_connect(&error);
        let allowance = Allowance::new(MOST_ANSWERS);
        let socket = self.server.connect(allowance.clone()).await.map_err(|error| {
            ConnectorError::unavailable(format!("the mail server can't be reached: {error}"))
        })?;
        let name = ClientId::default();
        let mut smtp = AsyncSmtpConnection::connect_with_transport(Box::new(socket), &name)
            .await
            .map_err(failed)?;
        if let Some(parameters) = &self.start_tls {
            if !smtp.can_starttls() {
                let message =
                    "the mail server has no STARTTLS: set tls to \"required\", or use another port";
                return Err(ConnectorError::unusable(message));
            }
            smtp.starttls(parameters.clone(), &name).await.map_err(failed)?;
        }
        if let Some(credentials) = &self.credentials {
            smtp.auth(&[Mechanism::Plain, Mechanism::Login], credentials).await.map_err(failed)?;
        }
        Ok(Session { smtp, allowance, used: Instant::now() })
    }
}

impl Session {
    /// Sends a mail to all its recipients, or to none.
    pub(super) async fn send(&mut self, mail: &Message) -> Result<(), Undelivered> {
        self.allowance.renew();
        let envelope = mail.envelope();
        let mut addresses = envelope.to().iter().chain(envelope.from());
        let has_unicode = addresses.any(|address| !address.to_string().is_ascii());
        let server = self.smtp.server_info();
        if has_unicode && !server.supports_feature(Extension::SmtpUtfEight) {
            let reason =
                "an address is not in ASCII, and the mail server does not take such (SMTPUTF8)";
            return Err(Undelivered::Refused(reason.to_owned()));
        }
        let parameters = match has_unicode {
            true => vec![MailParameter::SmtpUtfEight],
            false => Vec::new(),
        };
        match timeout(SEND, self.transfer(mail, parameters)).await {
            Ok(answered) => answered.map_err(|error| failure::of_command(&error)),
            Err(_) => {
                let reason = "the mail server has not answered in time".to_owned();
                Err(Undelivered::Retry(reason, None))
            }
        }
    }

    async fn transfer(
        &mut self,
        mail: &Message,
        parameters: Vec<MailParameter>,
    ) -> Result<(), Error> {
        let envelope = mail.envelope();
        self.smtp.command(Mail::new(envelope.from().cloned(), parameters)).await?;
        for recipient in envelope.to() {
            self.smtp.command(Rcpt::new(recipient.clone(), Vec::new())).await?;
        }
        self.smtp.command(Data).await?;
        self.smtp.message(&mail.formatted()).await?;
        Ok(())
    }

    /// Asks the server for an answer that has no effect.
    pub(super) async fn is_alive(&mut self) -> bool {
        self.allowance.renew();
        timeout(PROBE, self.smtp.test_connected()).await.unwrap_or(false)
    }

    /// Ends the connection.
    pub(super) async fn end(mut self) {
        // The server is done with it anyway.
        _ = timeout(GOODBYE, self.smtp.quit()).await;
    }
}

fn start_tls_parameters(
    host: &str,
    settings: &MailSettings,
) -> Result<TlsParameters, ConnectorError> {
    let mut parameters = TlsParameters::builder(host.to_owned());
    if let Some(path) = &settings.ca {
        let authorities = Certificate::from_pem(&read_authorities(path)?).map_err(|error| {
            ConnectorError::unusable(format!("ca: {}: {error}", path.display()))
        })?;
        parameters =
            parameters.certificate_store(CertificateStore::None).add_root_certificate(authorities);
    }
    parameters.build().map_err(|error| ConnectorError::unusable(format!("tls: {error}")))
}
