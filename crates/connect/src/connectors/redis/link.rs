//! The connection with Redis: one for all deliveries, made again when it is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, RedisConnectionInfo, RedisError, Value};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::super::socket::{Allowance, ServerAddress};
use super::super::{ConnectorError, Secrets};
use super::failure;
use super::settings::RedisSettings;

/// How long Redis may take to let a connection in; below the time that a run has to stop.
const CONNECT: Duration = Duration::from_secs(8);
/// How long it may take to answer a command.
const ANSWER: Duration = Duration::from_secs(10);
/// The most bytes of answers that wait to be handled.
const MOST_ANSWERS: usize = 4 << 20;

/// Makes and keeps the connection.
pub(super) struct Link {
    server: ServerAddress,
    info: RedisConnectionInfo,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    connection: Option<Connection>,
    /// How many connections were made.
    made: u64,
    /// Why no connection can be made. The run ends with it, so no other delivery waits for an attempt of its own.
    failure: Option<ConnectorError>,
}

/// A connection.
#[derive(Clone)]
pub(super) struct Connection {
    number: u64,
    redis: MultiplexedConnection,
    /// Whether it has ended: the server closes those that are idle, and all when it ends.
    has_ended: Arc<AtomicBool>,
    allowance: Allowance,
}

impl Link {
    pub(super) fn new(settings: &RedisSettings, secrets: &Secrets) -> Result<Self, ConnectorError> {
        let (server, info) = settings.server(secrets)?;
        Ok(Link { server, info, state: Mutex::default() })
    }

    /// Returns the connection; makes one if there is none. A new one has answered once, so that what fails before a
    /// command is sent is told from what fails after it.
    pub(super) async fn connection(&self) -> Result<Connection, ConnectorError> {
        let mut state = self.state.lock().await;
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        if let Some(connection) = &state.connection
            && !connection.has_ended.load(Ordering::Acquire)
        {
            return Ok(connection.clone());
        }
        state.made += 1;
        match self.connect(state.made).await {
            Ok(connection) => Ok(state.connection.insert(connection).clone()),
            Err(failure) => Err(state.failure.insert(failure).clone()),
        }
    }

    /// Forgets a connection that is no good any more.
    pub(super) async fn forget(&self, connection: &Connection) {
        let mut state = self.state.lock().await;
        if state.connection.as_ref().is_some_and(|other| other.number == connection.number) {
            state.connection = None;
        }
    }

    async fn connect(&self, number: u64) -> Result<Connection, ConnectorError> {
        let connecting = async {
            let allowance = Allowance::new(MOST_ANSWERS);
            let socket = self.server.connect(allowance.clone()).await.map_err(|error| {
                ConnectorError::unavailable(format!("Redis can't be reached ({error})"))
            })?;
            let config = AsyncConnectionConfig::new().set_response_timeout(Some(ANSWER));
            let (redis, driver) =
                MultiplexedConnection::new_with_config(&self.info, socket, config)
                    .await
                    .map_err(|error| failure::of_connect(&error))?;
            let has_ended = Arc::<AtomicBool>::default();
            let ended = has_ended.clone();
            // It ends with the last copy of the connection too.
            tokio::spawn(async move {
                driver.await;
                ended.store(true, Ordering::Release);
            });
            let mut connection = Connection { number, redis, has_ended, allowance };
            match connection.run(&redis::cmd("PING")).await {
                // An account that may not ask has been let in as well.
                Err(error) if error.code() != Some("NOPERM") => Err(failure::of_connect(&error)),
                _ => Ok(connection),
            }
        };
        timeout(CONNECT, connecting).await.unwrap_or_else(|_| {
            Err(ConnectorError::unavailable("Redis did not let the connection in"))
        })
    }
}

impl Connection {
    /// Sends a command and waits for its answer.
    pub(super) async fn run(&mut self, command: &Cmd) -> Result<Value, RedisError> {
        let answer = command.query_async(&mut self.redis).await;
        self.allowance.renew();
        answer
    }
}
