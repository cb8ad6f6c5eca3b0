use leftfold::client::{Client, RemoteSubscription};
use leftfold::{
    Append, AppendError, Appended, Cursor, Delivery, Embedded, EventStore, Expected, From,
    IndexDefinition, IndexInfo, Invalid, LiveSubscription, Options, Page, Query, Read, ReadError,
    Retention, RetentionRule, StreamInfo, Streams, StreamsPage, Subscribe, Subscription,
};

use crate::args::Place;

/// The store that a command works on.
pub(crate) enum Store {
    /// In a directory of this machine.
    Here(Embedded),
    /// At the other end of a network.
    There(Client),
}

/// What a command follows.
pub(crate) enum Following {
    Here(LiveSubscription),
    There(RemoteSubscription),
}

impl Store {
    /// The server's store, or the one that is in the directory.
    pub(crate) fn existing(place: &Place) -> anyhow::Result<Self> {
        match &place.server {
            Some(url) => connect(place, url),
            None => Ok(Store::Here(Embedded::open_existing(&place.data, options(place))?)),
        }
    }

    /// The server's store, or the one in the directory, which is made if there is none.
    pub(crate) fn open(place: &Place) -> anyhow::Result<Self> {
        match &place.server {
            Some(url) => connect(place, url),
            None => Ok(Store::Here(Embedded::open(&place.data, options(place))?)),
        }
    }
}

/// Refuses a server, for a command that works on a store's files.
pub(crate) fn only_here(place: &Place, command: &str) -> anyhow::Result<()> {
    if place.server.is_none() {
        return Ok(());
    }
    let message = format!(
        "{command} works on the files of a store, which a server has open: run it on the server's \
         machine with --data and without --server, while no server runs"
    );
    Err(ReadError::from(Invalid::new("not_over_network", message)).into())
}

pub(crate) fn options(place: &Place) -> Options {
    Options { compression: place.packing, ..Options::default() }
}

fn connect(place: &Place, url: &str) -> anyhow::Result<Store> {
    let mut builder = Client::builder(url);
    if let Some(file) = &place.ca {
        builder = builder.ca_file(file)?;
    }
    if let Some(token) = &place.token {
        builder = builder.token(token);
    } else if let Some(user) = &place.asking {
        builder = builder.basic(user, place.password.as_deref().unwrap_or_default());
    }
    Ok(Store::There(pollster::block_on(builder.connect())?))
}

/// The same call of whichever store it is.
macro_rules! either {
    ($store:ident, $method:ident($($argument:expr),*)) => {
        match $store {
            Store::Here(store) => EventStore::$method(store, $($argument),*).await,
            Store::There(store) => EventStore::$method(store, $($argument),*).await,
        }
    };
}

impl EventStore for Store {
    type Subscription = Following;

    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        either!(self, append(append))
    }

    async fn read(&self, read: Read) -> Result<Page, ReadError> {
        either!(self, read(read))
    }

    async fn subscribe(&self, subscribe: Subscribe) -> Result<Following, ReadError> {
        Ok(match self {
            Store::Here(store) => Following::Here(store.subscribe(subscribe).await?),
            Store::There(store) => Following::There(store.subscribe(subscribe).await?),
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

    async fn retention_rules(&self) -> Result<Vec<RetentionRule>, ReadError> {
        either!(self, retention_rules())
    }

    async fn ordinal(&self, query: Query, from: From) -> Result<u64, ReadError> {
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

impl Subscription for Following {
    async fn next(&mut self) -> Result<Delivery, ReadError> {
        match self {
            Following::Here(subscription) => subscription.next().await,
            Following::There(subscription) => subscription.next().await,
        }
    }

    fn ready(&mut self) -> Option<Delivery> {
        match self {
            Following::Here(subscription) => subscription.ready(),
            Following::There(subscription) => subscription.ready(),
        }
    }

    fn cursor(&self) -> Cursor {
        match self {
            Following::Here(subscription) => subscription.cursor(),
            Following::There(subscription) => subscription.cursor(),
        }
    }
}
