//! States as they were at an earlier moment.

use leftfold_api::{Cursor, EventStore, Invalid, Read, ReadError, Recorded};

use super::decider::Decider;
use super::error::FoldError;
use super::load::LoadedStates;
use crate::reads::Reads;

/// An earlier moment of what is read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AsOf {
    /// When all events up to a cursor were there, and no later ones.
    Cursor(Cursor),
    /// When a stream's last event had this version. For reads of streams.
    Version(u64),
}

impl From<Cursor> for AsOf {
    fn from(cursor: Cursor) -> Self {
        AsOf::Cursor(cursor)
    }
}

impl From<&Cursor> for AsOf {
    fn from(cursor: &Cursor) -> Self {
        AsOf::Cursor(cursor.clone())
    }
}

impl From<u64> for AsOf {
    fn from(version: u64) -> Self {
        AsOf::Version(version)
    }
}

impl<T: EventStore> Decider<T> {
    /// Loads the states as they were at an earlier moment: at a cursor, such as that of
    /// [`Executed`](crate::Executed), or at a version of the stream. They are folded from the first
    /// event, without snapshots. Events that retention has hidden meanwhile are not among them.
    ///
    /// ```
    /// # use leftfold::{Command, Decider, Embedded, Event, Options, State, StreamState};
    /// # #[derive(Debug, Event)]
    /// # enum Bank { Deposited { cents: u64 } }
    /// # #[derive(Default)]
    /// # struct Account { cents: u64 }
    /// # impl State for Account {
    /// #     type Event = Bank;
    /// #     fn apply(&mut self, Bank::Deposited { cents }: &Bank) { self.cents += cents }
    /// # }
    /// # struct Deposit { cents: u64 }
    /// # impl Command for Deposit {
    /// #     type Event = Bank;
    /// #     type Error = std::convert::Infallible;
    /// #     type Reads = StreamState<Account>;
    /// #     fn reads(&self) -> StreamState<Account> { StreamState::of("account-1") }
    /// #     fn decide(&self, _: &Account) -> Result<Vec<Bank>, Self::Error> {
    /// #         Ok(vec![Bank::Deposited { cents: self.cents }])
    /// #     }
    /// # }
    /// # let dir = tempfile::tempdir()?;
    /// # let decider = Decider::new(Embedded::open(dir.path(), Options::default())?);
    /// # pollster::block_on(async {
    /// let then = decider.execute(Deposit { cents: 5 }).await?;
    /// decider.execute(Deposit { cents: 7 }).await?;
    /// let account = StreamState::<Account>::of("account-1");
    /// assert_eq!(decider.load_as_of(&account, &then.cursor).await?.cents, 5);
    /// assert_eq!(decider.load_as_of(&account, 1).await?.cents, 12);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// `version_needs_stream`: a version is given, and not only streams are read; those of
    /// reads that wait for a cursor.
    pub async fn load_as_of<R: Reads>(
        &self,
        reads: &R,
        moment: impl Into<AsOf>,
    ) -> Result<R::States, FoldError> {
        let moment = moment.into();
        let mut loaded = LoadedStates::empty(reads);
        for nth in 0..loaded.sources.len() {
            moment.check(&loaded.sources[nth].source.stream)?;
            let query = loaded.sources[nth].source.query.clone();
            let mut cursor = Cursor::START;
            'pages: loop {
                let read = moment.restrict(Read::forward(query.clone()).after(cursor));
                let page = self.store().read(read).await?;
                for event in &page.events {
                    if moment.is_before(event) {
                        break 'pages;
                    }
                    loaded.apply(nth, event)?;
                }
                if !page.more {
                    break;
                }
                cursor = page.cursor;
            }
        }
        Ok(loaded.states)
    }
}

impl AsOf {
    fn check(&self, stream: &Option<String>) -> Result<(), FoldError> {
        match self {
            AsOf::Version(_) if stream.is_none() => {
                let message = "a version is one of a stream, but a query is read; give a cursor";
                Err(ReadError::from(Invalid::new("version_needs_stream", message)).into())
            }
            AsOf::Cursor(cursor) if cursor.position().is_none() => {
                // Its positions do not tell in which partition an event is.
                let what = "the cursor of an earlier moment";
                Err(ReadError::from(Invalid::crosses_partitions(what)).into())
            }
            _ => Ok(()),
        }
    }

    /// Makes a read wait for the cursor, so that all events before it are there.
    fn restrict(&self, read: Read) -> Read {
        match self {
            AsOf::Cursor(cursor) => read.at_least(cursor.clone()),
            AsOf::Version(_) => read,
        }
    }

    /// Returns whether an event came later.
    fn is_before(&self, event: &Recorded) -> bool {
        match self {
            AsOf::Cursor(cursor) => cursor.position().is_some_and(|last| event.position() > last),
            AsOf::Version(last) => event.version() > *last,
        }
    }
}
