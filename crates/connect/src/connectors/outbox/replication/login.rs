//! Opens a connection in the mode of replication.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use super::super::super::{ConnectorError, Secrets};
use super::super::session::of_refused_connection;
use super::super::settings::OutboxSettings;
use super::super::tls::Tls;
use super::reader::Reader;
use super::wire::{MOST_MESSAGES, Refusal, Transport, Wire, malformed};

/// How long one server may take to let the connection in.
const CONNECT: Duration = Duration::from_secs(8);
const PORT: u16 = 5432;
/// After what silence of the connector the server ends the connection. At half of it the server sends something, also while
/// it decodes changes that are not published; its own setting may be hours, or none.
pub(super) const SENDER_TIMEOUT: Duration = Duration::from_secs(30);

/// Connects with the first server of the url that is no standby.
pub(super) async fn connect(
    settings: &OutboxSettings,
    secrets: &Secrets,
) -> Result<Wire, ConnectorError> {
    let config = settings.config(secrets)?;
    let tls = match config.get_ssl_mode() {
        SslMode::Disable => None,
        _ => Some(Tls::new(settings.ca.as_deref())?),
    };
    let mut failure = ConnectorError::unavailable("the url has no host");
    for at in 0..config.get_hosts().len().max(config.get_hostaddrs().len()) {
        let opened = timeout(CONNECT, open(&config, at, tls.as_ref())).await;
        failure = match opened {
            Ok(Ok(wire)) => return Ok(wire),
            Ok(Err(error)) => error,
            Err(_) => ConnectorError::unavailable("PostgreSQL did not let the connection in"),
        };
    }
    Err(failure)
}

async fn open(config: &Config, at: usize, tls: Option<&Tls>) -> Result<Wire, ConnectorError> {
    let mut wire = Wire::new(reach(config, at, tls).await?);
    start(&mut wire, config).await?;
    let standby = wire.query("select pg_catalog.pg_is_in_recovery()").await?;
    match standby.first().and_then(|row| row.first()) {
        Some(Some(answer)) if answer == "f" => Ok(wire),
        _ => Err(ConnectorError::unavailable("the server is a standby, expected the primary")),
    }
}

async fn reach(
    config: &Config,
    at: usize,
    tls: Option<&Tls>,
) -> Result<Box<dyn Transport>, ConnectorError> {
    let unreachable = |error: std::io::Error| {
        ConnectorError::unavailable(format!("PostgreSQL can't be reached ({})", error.kind()))
    };
    let ports = config.get_ports();
    let port = ports.get(at).or(ports.first()).copied().unwrap_or(PORT);
    let address = config.get_hostaddrs().get(at).map(ToString::to_string);
    let name = match config.get_hosts().get(at) {
        Some(Host::Unix(directory)) => {
            let path = directory.join(format!(".s.PGSQL.{port}"));
            return Ok(Box::new(UnixStream::connect(path).await.map_err(unreachable)?));
        }
        Some(Host::Tcp(name)) => name.clone(),
        None => address.clone().unwrap_or_default(),
    };
    let host = address.as_deref().unwrap_or(&name);
    let mut socket = TcpStream::connect((host, port)).await.map_err(unreachable)?;
    socket.set_nodelay(true).map_err(unreachable)?;
    let Some(tls) = tls else { return Ok(Box::new(socket)) };
    let mut asked = BytesMut::new();
    frontend::ssl_request(&mut asked);
    socket.write_all(&asked).await.map_err(unreachable)?;
    if socket.read_u8().await.map_err(unreachable)? != b'S' {
        return Err(ConnectorError::unavailable(
            "PostgreSQL can't be asked: it does not support TLS",
        ));
    }
    Ok(Box::new(tls.encrypt(&name, socket).await?))
}

async fn start(wire: &mut Wire, config: &Config) -> Result<(), ConnectorError> {
    let user = config.get_user().unwrap_or("postgres");
    // The last of two options of a name counts.
    let options = format!(
        "{} -c wal_sender_timeout={}s",
        config.get_options().unwrap_or_default(),
        SENDER_TIMEOUT.as_secs()
    );
    let parameters = [
        ("user", user),
        ("database", config.get_dbname().unwrap_or(user)),
        ("replication", "database"),
        ("application_name", config.get_application_name().unwrap_or("leftfold")),
        // Values come as texts, and these decide about their form.
        ("client_encoding", "UTF8"),
        ("DateStyle", "ISO, MDY"),
        ("TimeZone", "UTC"),
        ("search_path", "pg_catalog"),
        ("options", options.trim_start()),
    ];
    let mut message = BytesMut::new();
    frontend::startup_message(parameters, &mut message).map_err(ConnectorError::unusable)?;
    wire.send(&message).await?;
    let mut login = Login { user, password: config.get_password(), scram: None };
    for _ in 0..MOST_MESSAGES {
        let frame = wire.answer().await?;
        match frame.tag {
            b'R' => {
                if let Some(answer) = login.answer(frame.body)? {
                    wire.send(&answer).await?;
                }
            }
            b'E' => {
                let refusal = Refusal::of(frame.body);
                return Err(of_refused_connection(&refusal.code, &refusal.message));
            }
            b'Z' if login.is_done() => return Ok(()),
            _ => {}
        }
    }
    Err(malformed())
}

/// The proof of who connects.
struct Login<'a> {
    user: &'a str,
    password: Option<&'a [u8]>,
    /// Until the server has proved that it knows the password too.
    scram: Option<ScramSha256>,
}

impl Login<'_> {
    fn is_done(&self) -> bool {
        self.scram.is_none()
    }

    /// Returns the answer to a message of the server about the login.
    fn answer(&mut self, body: Bytes) -> Result<Option<BytesMut>, ConnectorError> {
        let mut reader = Reader::new(body);
        let mut answer = BytesMut::new();
        match reader.u32().ok_or_else(malformed)? {
            0 => return Ok(None),
            3 => frontend::password_message(self.password()?, &mut answer),
            5 => {
                let salt = reader.u32().ok_or_else(malformed)?.to_be_bytes();
                let hash = md5_hash(self.user.as_bytes(), self.password()?, salt);
                frontend::password_message(hash.as_bytes(), &mut answer)
            }
            10 => {
                let mechanisms =
                    std::iter::from_fn(|| reader.text().filter(|name| !name.is_empty()));
                if !mechanisms.into_iter().any(|name| name == SCRAM_SHA_256) {
                    return Err(unknown_login());
                }
                let scram = ScramSha256::new(self.password()?, ChannelBinding::unsupported());
                let scram = self.scram.insert(scram);
                frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), &mut answer)
            }
            11 => {
                let scram = self.scram.as_mut().ok_or_else(malformed)?;
                scram.update(&reader.rest()).map_err(|error| failed_login(&error))?;
                frontend::sasl_response(scram.message(), &mut answer)
            }
            12 => {
                let mut scram = self.scram.take().ok_or_else(malformed)?;
                scram.finish(&reader.rest()).map_err(|error| failed_login(&error))?;
                return Ok(None);
            }
            _ => return Err(unknown_login()),
        }
        .map_err(ConnectorError::unusable)?;
        Ok(Some(answer))
    }

    fn password(&self) -> Result<&[u8], ConnectorError> {
        let missing = || {
            ConnectorError::unusable("PostgreSQL asks for a password: set password or url_secret")
        };
        self.password.ok_or_else(missing)
    }
}

fn failed_login(error: &std::io::Error) -> ConnectorError {
    ConnectorError::unusable(format!("the login by SCRAM-SHA-256 fails: {error}"))
}

fn unknown_login() -> ConnectorError {
    ConnectorError::unusable(
        "PostgreSQL asks for a login that is not known here: expected a password by SCRAM-SHA-256, MD5 or as it is",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The server's own timeout may be longer than the silence after which the connector gives up.
    #[tokio::test]
    async fn the_server_is_told_how_long_it_may_be_silent() {
        for (url, expected) in [
            ("postgres://a@b/c", "options\0-c wal_sender_timeout=30s\0"),
            (
                "postgres://a@b/c?options=-c%20wal_sender_timeout%3D1h",
                "options\0-c wal_sender_timeout=1h -c wal_sender_timeout=30s\0",
            ),
        ] {
            let (near, mut far) = tokio::io::duplex(1 << 10);
            far.write_all(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I").await.unwrap();
            start(&mut Wire::new(Box::new(near)), &url.parse().unwrap()).await.unwrap();
            let mut sent = Vec::new();
            far.read_to_end(&mut sent).await.unwrap();
            let sent = String::from_utf8_lossy(&sent);
            assert!(sent.contains(expected), "{sent:?}");
        }
    }
}
