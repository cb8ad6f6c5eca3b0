//! A connection with the settings that views need.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::{Client, NoTls};

use super::error::{Failure, no_answer, of_connect};
use super::url::Url;

/// How long PostgreSQL may take to let a connection in.
const CONNECT: Duration = Duration::from_secs(10);
/// How long it may take to answer a statement, which it ends itself long before.
pub(super) const ANSWER: Duration = Duration::from_secs(15);
/// How long it may take to commit, or to swap tables.
pub(super) const COMMIT: Duration = Duration::from_secs(90);

/// What decides results is set, whatever the role or the database has as its defaults. A transaction of a process that
/// is gone ends, and its locks with it; of a machine that is gone, after 25 seconds without an answer.
const SETTINGS: &str = "
    set timezone = 'UTC'; set datestyle = 'ISO, MDY'; set intervalstyle = 'postgres';
    set extra_float_digits = 1; set bytea_output = 'hex'; set standard_conforming_strings = on;
    set default_transaction_isolation = 'read committed'; set client_min_messages = 'warning';
    set statement_timeout = '1s'; set lock_timeout = '500ms';
    set idle_in_transaction_session_timeout = '30s';
    set tcp_keepalives_idle = 10; set tcp_keepalives_interval = 5; set tcp_keepalives_count = 3;
";

/// Connects. The connection lives as long as the client, on the runtime of the caller.
pub(super) async fn connect(url: &Url) -> Result<Client, Failure> {
    Ok(connect_watched(url).await?.0)
}

/// Connects, and returns what ends when the connection does.
pub(super) async fn connect_watched(url: &Url) -> Result<(Client, JoinHandle<()>), Failure> {
    let connected = timeout(CONNECT, url.config().connect(NoTls)).await.map_err(|_| no_answer())?;
    let (client, connection) = connected.map_err(|error| of_connect(&error))?;
    // Its error comes out of the next statement.
    let connection = tokio::spawn(async { _ = connection.await });
    execute(&client, SETTINGS).await?;
    Ok((client, connection))
}

/// Runs statements without parameters.
pub(super) async fn execute(client: &Client, sql: &str) -> Result<(), Failure> {
    Ok(timeout(ANSWER, client.batch_execute(sql)).await.map_err(|_| no_answer())??)
}

/// Commits, or swaps tables: what may wait for the disk.
pub(super) async fn commit(client: &Client) -> Result<(), Failure> {
    Ok(timeout(COMMIT, client.batch_execute("commit")).await.map_err(|_| no_answer())??)
}
