//! A connection with the database of an outbox, and what its errors mean.

use std::error::Error as _;
use std::future::Future;
use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::TlsStream;
use tokio_postgres::types::FromSql;
use tokio_postgres::{Client, Connection, Error, NoTls, Row, Socket};

use super::super::{ConnectorError, Secrets};
use super::settings::OutboxSettings;
use super::tls::Tls;

/// How long PostgreSQL may take to let a connection in; below the time that a run has to stop.
const CONNECT: Duration = Duration::from_secs(8);
/// How long it may take to answer a statement, which it ends itself before.
const ANSWER: Duration = Duration::from_secs(40);

/// What decides results is set, whatever the role or the database has as its defaults. Functions and operators are those
/// of PostgreSQL: a schema in the search path could have others. The reads and deletes follow the index of waiting rows,
/// also before the table has statistics; otherwise a long backlog would be read as a whole for each batch.
const SETTINGS: &str = "
    set search_path = pg_catalog; set timezone = 'UTC'; set datestyle = 'ISO, MDY';
    set default_transaction_isolation = 'read committed'; set default_transaction_read_only = off;
    set client_min_messages = 'warning'; set statement_timeout = '30s'; set lock_timeout = '10s';
    set idle_in_transaction_session_timeout = '30s';
    set tcp_keepalives_idle = 10; set tcp_keepalives_interval = 5; set tcp_keepalives_count = 3;
    set enable_seqscan = off; set enable_sort = off; set jit = off;
";

/// Connects. The connection lives as long as the client.
pub(super) async fn connect(
    settings: &OutboxSettings,
    secrets: &Secrets,
) -> Result<Client, ConnectorError> {
    let config = settings.config(secrets)?;
    let connected = timeout(CONNECT, async {
        match config.get_ssl_mode() {
            SslMode::Disable => start_connection(config.connect(NoTls).await),
            _ => start_connection(config.connect(Tls::new(settings.ca.as_deref())?).await),
        }
    });
    let client = connected
        .await
        .map_err(|_| ConnectorError::unavailable("PostgreSQL did not let the connection in"))??;
    answer(client.batch_execute(SETTINGS)).await?;
    Ok(client)
}

/// Runs a connection that was made, beside the client.
fn start_connection<T>(
    connected: Result<(Client, Connection<Socket, T>), Error>,
) -> Result<Client, ConnectorError>
where
    T: TlsStream + Unpin + Send + 'static,
{
    let (client, connection) = connected.map_err(|error| of_connect(&error))?;
    // Its error comes out of the next statement.
    tokio::spawn(async { _ = connection.await });
    Ok(client)
}

/// Waits for the answer to a statement.
pub(super) async fn answer<T>(
    asked: impl Future<Output = Result<T, Error>>,
) -> Result<T, ConnectorError> {
    match timeout(ANSWER, asked).await {
        Ok(answered) => answered.map_err(|error| of_statement(&error)),
        Err(_) => Err(ConnectorError::unavailable("PostgreSQL did not answer in time")),
    }
}

/// Returns what a failed connection means.
fn of_connect(error: &Error) -> ConnectorError {
    match error.as_db_error() {
        Some(found) => of_refused_connection(found.code(), found.message()),
        None => unreachable_now(error),
    }
}

/// Returns what the refusal of a connection means. The messages of the server name the account, but never a password.
pub(super) fn of_refused_connection(code: &SqlState, message: &str) -> ConnectorError {
    let message = format!("PostgreSQL refuses the connection: {message}");
    match code.code().get(..2) {
        // A wrong account, password or database, or a right that is missing.
        Some("28" | "3D" | "42") => ConnectorError::unusable(message),
        _ => ConnectorError::unavailable(message),
    }
}

/// Returns what a failed statement means.
fn of_statement(error: &Error) -> ConnectorError {
    let Some(found) = error.as_db_error() else { return unreachable_now(error) };
    let message = found.message();
    match *found.code() {
        SqlState::UNDEFINED_TABLE | SqlState::UNDEFINED_COLUMN => {
            ConnectorError::unusable(format!(
                "the outbox is not as it must be: {message}. Run the SQL of `leftfold outbox init`, then resume the connector"
            ))
        }
        SqlState::INSUFFICIENT_PRIVILEGE => ConnectorError::unusable(format!(
            "{message}: grant select, update and delete on the outbox, and usage on its schema, then resume the connector"
        )),
        _ => match found.code().code().get(..2) {
            // Statements and values that are wrong at each attempt.
            Some("22" | "42") => ConnectorError::unusable(format!("PostgreSQL: {message}")),
            _ => ConnectorError::unavailable(format!("PostgreSQL: {message}")),
        },
    }
}

fn unreachable_now(error: &Error) -> ConnectorError {
    let io = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
    ConnectorError::unavailable(match io {
        // That of TLS says what is wrong with a certificate.
        Some(io) if io.kind() == std::io::ErrorKind::InvalidData => {
            format!("PostgreSQL can't be reached ({io})")
        }
        Some(io) => format!("PostgreSQL can't be reached ({})", io.kind()),
        None if error.is_closed() => "the connection to PostgreSQL was lost".to_owned(),
        // A password that is missing, a standby, or an answer that is none.
        None => match error.source() {
            Some(source) => format!("PostgreSQL can't be asked: {source}"),
            None => "PostgreSQL can't be asked; look at the url and at its log".to_owned(),
        },
    })
}

/// Returns a value of a row.
pub(super) fn get<'r, T: FromSql<'r>>(row: &'r Row, at: usize) -> Result<T, ConnectorError> {
    row.try_get(at).map_err(|error| {
        ConnectorError::unusable(format!("PostgreSQL: an answer is not as it must be: {error}"))
    })
}
