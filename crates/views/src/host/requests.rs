//! What users ask of views: to add, change and remove them, and their rows.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::select;
use leftfold_api::{Append, AppendError, Appended, Cursor, EventStore, Expected, Read};
use serde::Serialize;

use super::backing::{self, Dropping};
use super::facts::{Content, ViewFact, ViewStart, stream_of};
use super::removal::drop_schemas;
use super::status::ViewStatus;
use super::{Entry, MAX_VIEWS, Views, ViewsError};
use crate::definition::Definition;

/// How long a removal waits for the lease of the tables, and how often it asks for it.
const DROPPING: Duration = Duration::from_secs(1);
const DROPS: u32 = 5;

/// What a definition would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Plan {
    /// The view's name.
    pub view: String,
    /// `add`, `rebuild`, or `keep` if its rows stay as they are.
    pub change: String,
    /// How many events it reads; at most 100,000 are counted.
    pub events: u64,
    /// Whether there are more.
    pub more: bool,
}

impl<S: EventStore + 'static> Views<S> {
    /// Checks a definition, in the database that will have its tables.
    async fn check(&self, definition: &Definition) -> Result<(), ViewsError> {
        let origin = self.inner.store.head().await?.origin();
        backing::check(definition, origin).await.map(drop)
    }

    /// Adds a view, and returns when it can be asked, or has failed.
    ///
    /// # Errors
    /// The definition is wrong, or the name is taken.
    pub async fn add(
        &self,
        definition: &Definition,
        start: ViewStart,
    ) -> Result<Appended, ViewsError> {
        self.check(definition).await?;
        let name = definition.name();
        if self.entry(name).is_ok() {
            let message =
                format!("there is a view {name} already; replace it, or choose another name");
            return Err(ViewsError::Name { code: "view_exists", message });
        }
        self.check_room()?;
        let fact = ViewFact::Defined { content: content_of(definition), start };
        let added = self.write(name, fact).await?;
        self.wait_for_tables(name).await;
        Ok(added)
    }

    /// Returns an error if there are as many views as there may be.
    pub(super) fn check_room(&self) -> Result<(), ViewsError> {
        if self.inner.views.read().len() < MAX_VIEWS {
            return Ok(());
        }
        let message = format!("there are {MAX_VIEWS} views already; remove one");
        Err(ViewsError::Name { code: "views_too_many", message })
    }

    /// Waits until the tables of a view are open, unless it fails or is removed.
    async fn wait_for_tables(&self, name: &str) {
        loop {
            let changed = self.inner.changed.listen();
            let Ok(entry) = self.entry(name) else { return };
            if entry.is_known() {
                return;
            }
            changed.await;
        }
    }

    /// Gives a view another definition. If that makes other rows, new tables are filled beside the old ones, and
    /// answer when they have caught up.
    ///
    /// # Errors
    /// The definition is wrong, or there is no such view.
    pub async fn replace(&self, definition: &Definition) -> Result<Appended, ViewsError> {
        self.check(definition).await?;
        let start = self.entry(definition.name())?.state.last().map(|last| last.start.clone());
        let (content, start) = (content_of(definition), start.unwrap_or_default());
        self.write(definition.name(), ViewFact::Defined { content, start }).await
    }

    /// Lets a view stand still.
    ///
    /// # Errors
    /// There is no such view.
    pub async fn pause(&self, name: &str) -> Result<Appended, ViewsError> {
        self.change(name, ViewFact::Paused).await
    }

    /// Lets a view go on.
    ///
    /// # Errors
    /// There is no such view.
    pub async fn resume(&self, name: &str) -> Result<Appended, ViewsError> {
        self.change(name, ViewFact::Resumed).await
    }

    /// Makes the tables of a view anew, beside the old ones.
    ///
    /// # Errors
    /// There is no such view.
    pub async fn reset(&self, name: &str) -> Result<Appended, ViewsError> {
        self.change(name, ViewFact::Reset).await
    }

    /// Removes a view and its tables. If PostgreSQL is away, they are dropped when it is back.
    ///
    /// # Errors
    /// There is no such view.
    pub async fn remove(&self, name: &str) -> Result<Appended, ViewsError> {
        let entry = self.entry(name)?;
        let removed = self.write(name, ViewFact::Removed).await?;
        // The run of this process gives its lease back when it has read that.
        let read = self.wait_for_definitions(&removed.cursor);
        select(pin!(read), self.inner.time.after(DROPPING)).await;
        for _ in 0..DROPS {
            let (store, number) = (&*self.inner.store, entry.state.version + 1);
            match drop_schemas(store, &entry, number, Dropping::Removed).await {
                Ok(()) => break,
                // After the last one, the run goes on trying it.
                Err(_) => self.inner.time.after(DROPPING / DROPS).await,
            }
        }
        Ok(removed)
    }

    pub(super) async fn change(&self, name: &str, fact: ViewFact) -> Result<Appended, ViewsError> {
        self.entry(name)?;
        self.write(name, fact).await
    }

    /// Appends a fact, on condition that no other was appended in between.
    async fn write(&self, name: &str, fact: ViewFact) -> Result<Appended, ViewsError> {
        let stream = stream_of(name);
        let version = self.inner.store.stream(&stream).await?.map(|info| info.version);
        self.append_fact(name, fact, version).await
    }

    /// Appends a fact behind the last one, which has this version.
    pub(super) async fn append_fact(
        &self,
        name: &str,
        fact: ViewFact,
        version: Option<u64>,
    ) -> Result<Appended, ViewsError> {
        let stream = stream_of(name);
        let expected = version.map_or(Expected::NoStream, Expected::Exactly);
        let append = Append::new().event(&stream, fact.event()).expect(&stream, expected);
        let appended = match self.inner.store.append(append).await {
            Err(AppendError::Conflict(_)) => {
                let message = format!(
                    "the view {name} was changed by another request; look at it and try again"
                );
                return Err(ViewsError::Name { code: "view_changed", message });
            }
            answer => answer?,
        };
        self.wait_for_definitions(&appended.cursor).await;
        Ok(appended)
    }

    pub(super) fn entry(&self, name: &str) -> Result<Arc<Entry<S>>, ViewsError> {
        let missing = || ViewsError::Name {
            code: "view_unknown",
            message: format!("there is no view {name}"),
        };
        self.inner.views.read().get(name).cloned().ok_or_else(missing)
    }

    /// Says what a definition would do if it was added, or replaced the one of its name.
    ///
    /// # Errors
    /// The definition is wrong, or the store can't be read.
    pub async fn plan(&self, definition: &Definition) -> Result<Plan, ViewsError> {
        const COUNTED: u64 = 100_000;
        self.check(definition).await?;
        let change = match self.entry(definition.name()) {
            Err(_) => "add",
            Ok(entry) => match entry.state.last() {
                Some(last) if super::has_same_rows(&last.content, &content_of(definition)) => {
                    "keep"
                }
                _ => "rebuild",
            },
        };
        let (mut events, mut more, mut at) = (0, change != "keep", Cursor::START);
        while more && events < COUNTED {
            let page =
                self.inner.store.read(Read::forward(definition.query().clone()).after(at)).await?;
            (events, more, at) = (events + page.events.len() as u64, page.more, page.cursor);
        }
        Ok(Plan { view: definition.name().to_owned(), change: change.to_owned(), events, more })
    }

    /// Lists the views and what they are doing, by name.
    pub async fn list(&self) -> Vec<ViewStatus> {
        let entries: Vec<_> = self.inner.views.read().values().cloned().collect();
        let mut all = Vec::with_capacity(entries.len());
        for entry in entries {
            all.push(entry.status().await);
        }
        all
    }

    /// Returns what a view is doing.
    ///
    /// # Errors
    /// There is no such view.
    pub async fn status(&self, name: &str) -> Result<ViewStatus, ViewsError> {
        Ok(self.entry(name)?.status().await)
    }
}

fn content_of(definition: &Definition) -> Content {
    Content::File { text: definition.text().to_owned() }
}

impl ViewStart {
    /// Begins after all events that are in the store now.
    ///
    /// # Errors
    /// The store can't be read.
    pub async fn now(store: &impl EventStore) -> Result<Self, ViewsError> {
        Ok(ViewStart::After(store.head().await?.to_string()))
    }
}
