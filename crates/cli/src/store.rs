use std::fmt::Display;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use leftfold::client::{Client, RemoteSubscription};
use leftfold::{
    Append, AppendError, Appended, CheckpointInfo, Cursor, Delivery, Direction, Embedded,
    EventStore, Expected, IndexDefinition, IndexInfo, Invalid, LiveSubscription, Options, Page,
    Point, Query, Read, ReadError, Retention, RetentionRule, Start, StreamInfo, Streams,
    StreamsPage, Subscribe, Subscription,
};

use crate::args::{Location, StartArgs, StartPoint};
use crate::output::hint;

/// The store of a command.
pub(crate) enum Store {
    /// In a directory of this machine.
    Embedded(Embedded),
    /// On a server.
    Remote(Client),
}

/// The subscription of a command.
pub(crate) enum AnySubscription {
    Embedded(LiveSubscription),
    Remote(RemoteSubscription),
}

impl Store {
    /// Opens the server's store, or the one in the directory.
    pub(crate) fn existing(location: &Location) -> anyhow::Result<Self> {
        match &location.server {
            Some(url) => connect(location, url),
            None => {
                check_directory(&location.data)?;
                Ok(Store::Embedded(warn_of_modes(Embedded::open_existing(
                    &location.data,
                    options(location),
                )?)))
            }
        }
    }

    /// Opens the server's store, or the one in the directory, and creates that if there is none.
    pub(crate) fn open(location: &Location) -> anyhow::Result<Self> {
        match &location.server {
            Some(url) => connect(location, url),
            None => {
                check_directory(&location.data)?;
                Ok(Store::Embedded(warn_of_modes(Embedded::open(
                    &location.data,
                    options(location),
                )?)))
            }
        }
    }
}

impl Store {
    /// Returns the start of a read in a direction.
    pub(crate) async fn begin(
        &self,
        start: &StartArgs,
        direction: Direction,
    ) -> Result<Start, ReadError> {
        Ok(match (&start.from, &start.after) {
            (Some(StartPoint::At(point)), _) => Start::Including(point.clone()),
            (Some(StartPoint::End), _) if direction == Direction::Backward => Start::Outermost,
            (Some(StartPoint::End), _) => Start::Excluding(Point::Cursor(self.head().await?)),
            (None, Some(point)) => Start::Excluding(point.clone()),
            (None, None) => Start::Outermost,
        })
    }
}

/// Prints a warning if others than the owner may use the store's files.
pub(crate) fn warn_of_modes(store: Embedded) -> Embedded {
    if let Some(warning) = store.mode_warning() {
        hint(format!("warning: {warning}"));
    }
    store
}

/// Returns an error if there is no directory and none can be made: a store can never be there.
pub(crate) fn check_directory(dir: &Path) -> anyhow::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let Err(why) = try_create(dir) else { return Ok(()) };
    let message = format!(
        "there is no store in {dir}, and the directory can't be made: {why}; choose another directory",
        dir = dir.display()
    );
    Err(Invalid::new("store_missing", message).into())
}

/// Creates a directory with its parents, and removes those again that were not there before.
fn try_create(dir: &Path) -> std::io::Result<()> {
    let is_missing = |dir: &&Path| !dir.as_os_str().is_empty() && !dir.exists();
    let missing: Vec<_> = dir.ancestors().take_while(is_missing).collect();
    let created = std::fs::create_dir_all(dir);
    for dir in missing {
        // Not empty: another process has begun to use it.
        _ = std::fs::remove_dir(dir);
    }
    created
}

/// Returns an error if a server is given, for a command that works on a store's files.
pub(crate) fn refuse_server(location: &Location, command: &str) -> anyhow::Result<()> {
    if location.server.is_none() {
        return Ok(());
    }
    let message = format!(
        "{command} works on the files of a store, so it expects --data and no --server: stop the \
         server and run it on the server's machine"
    );
    Err(ReadError::from(Invalid::new("not_over_network", message)).into())
}

pub(crate) fn options(location: &Location) -> Options {
    Options { compression: location.packing, ..Options::default() }
}

fn connect(location: &Location, url: &str) -> anyhow::Result<Store> {
    let mut builder = Client::builder(url);
    if let Some(file) = &location.ca {
        builder = builder.ca_file(file)?;
    }
    if let Some(token) = &location.token {
        builder = builder.token(token);
    } else if let Some(user) = &location.asking {
        builder = builder.basic(user, location.password.as_deref().unwrap_or_default());
    }
    builder = builder.on_retry(|error| report_retry(error));
    Ok(Store::Remote(pollster::block_on(builder.connect())?))
}

/// The time without a retry after which the next one is another outage.
const OUTAGE: Duration = Duration::from_secs(60);

/// Says once in each outage that the client goes on trying, and why.
pub(crate) fn report_retry(error: impl Display) {
    static LAST: Mutex<Option<Instant>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    let before = last.replace(Instant::now());
    if before.is_none_or(|before| before.elapsed() > OUTAGE) {
        hint(format_args!("retrying: {error}"));
    }
}

/// Calls a method of either store.
macro_rules! either {
    ($store:ident, $method:ident($($argument:expr),*)) => {
        match $store {
            Store::Embedded(store) => EventStore::$method(store, $($argument),*).await,
            Store::Remote(store) => EventStore::$method(store, $($argument),*).await,
        }
    };
}

impl EventStore for Store {
    type Subscription = AnySubscription;

    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        either!(self, append(append))
    }

    async fn read(&self, read: Read) -> Result<Page, ReadError> {
        either!(self, read(read))
    }

    async fn subscribe(&self, subscribe: Subscribe) -> Result<AnySubscription, ReadError> {
        Ok(match self {
            Store::Embedded(store) => AnySubscription::Embedded(store.subscribe(subscribe).await?),
            Store::Remote(store) => AnySubscription::Remote(store.subscribe(subscribe).await?),
        })
    }

    async fn head(&self) -> Result<Cursor, ReadError> {
        either!(self, head())
    }

    async fn stream(&self, name: &str) -> Result<Option<StreamInfo>, ReadError> {
        either!(self, stream(name))
    }

    async fn streams(&self, streams: Streams) -> Result<StreamsPage, ReadError> {
        either!(self, streams(streams))
    }

    async fn checkpoint(&self, name: &str) -> Result<Option<Cursor>, ReadError> {
        either!(self, checkpoint(name))
    }

    async fn checkpoints(
        &self,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<CheckpointInfo>, ReadError> {
        either!(self, checkpoints(after, limit))
    }

    async fn set_retention(&self, stream: &str, retention: Retention) -> Result<(), AppendError> {
        either!(self, set_retention(stream, retention))
    }

    async fn delete_stream(&self, stream: &str, expected: Expected) -> Result<(), AppendError> {
        either!(self, delete_stream(stream, expected))
    }

    async fn tombstone_stream(&self, stream: &str, expected: Expected) -> Result<(), AppendError> {
        either!(self, tombstone_stream(stream, expected))
    }

    async fn set_retention_rule(&self, rule: RetentionRule) -> Result<(), AppendError> {
        either!(self, set_retention_rule(rule))
    }

    async fn drop_retention_rule(&self, name: &str) -> Result<(), AppendError> {
        either!(self, drop_retention_rule(name))
    }

    async fn delete_checkpoint(&self, name: &str) -> Result<(), AppendError> {
        either!(self, delete_checkpoint(name))
    }

    async fn retention_rules(&self) -> Result<Vec<RetentionRule>, ReadError> {
        either!(self, retention_rules())
    }

    async fn ordinal(&self, query: Query, from: Start) -> Result<u64, ReadError> {
        either!(self, ordinal(query, from))
    }

    async fn define_index(&self, definition: IndexDefinition) -> Result<(), AppendError> {
        either!(self, define_index(definition))
    }

    async fn drop_index(&self, name: &str) -> Result<(), AppendError> {
        either!(self, drop_index(name))
    }

    async fn index(&self, name: &str) -> Result<Option<IndexInfo>, ReadError> {
        either!(self, index(name))
    }

    async fn indexes(&self) -> Result<Vec<IndexInfo>, ReadError> {
        either!(self, indexes())
    }
}

impl Subscription for AnySubscription {
    async fn next(&mut self) -> Result<Delivery, ReadError> {
        match self {
            AnySubscription::Embedded(subscription) => subscription.next().await,
            AnySubscription::Remote(subscription) => subscription.next().await,
        }
    }

    fn ready(&mut self) -> Option<Delivery> {
        match self {
            AnySubscription::Embedded(subscription) => subscription.ready(),
            AnySubscription::Remote(subscription) => subscription.ready(),
        }
    }

    fn cursor(&self) -> Cursor {
        match self {
            AnySubscription::Embedded(subscription) => subscription.cursor(),
            AnySubscription::Remote(subscription) => subscription.cursor(),
        }
    }
}
