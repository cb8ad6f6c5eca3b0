//! What users ask of views: to add, change and remove them, and their rows.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use leftfold_api::{Append, AppendError, Appended, Cursor, EventStore, Expected, Read};
use leftfold_fold::time::later;
use serde::Serialize;
use std::sync::Arc;

use super::facts::{ViewFact, ViewStart, stream_of};
use super::follow::Tables;
use super::status::ViewStatus;
use super::{Entry, MAX_VIEWS, Views, ViewsError};
use crate::as_of::{AsOf, ask_as_of};
use crate::ask::{Answer, AskError, AskLimits, ask, no_answer, on_thread};
use crate::definition::Definition;
use crate::log::{self, LogRead};

/// The most views of one question.
const MAX_ASKED: usize = 10;

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
    /// Adds a view, and returns when the runs know it.
    ///
    /// # Errors
    /// The definition is wrong, or the name is taken.
    pub async fn add(
        &self,
        definition: &Definition,
        start: ViewStart,
    ) -> Result<Appended, ViewsError> {
        definition.check()?;
        let name = definition.name();
        if self.entry(name).is_ok() {
            let message =
                format!("there is a view {name} already; replace it, or choose another name");
            return Err(ViewsError::Name { code: "view_exists", message });
        }
        if self.inner.views.read().len() >= MAX_VIEWS {
            let message = format!("there are {MAX_VIEWS} views already; remove one");
            return Err(ViewsError::Name { code: "views_too_many", message });
        }
        self.write(name, ViewFact::Defined { text: definition.text().to_owned(), start }).await
    }

    /// Gives a view another definition. If that makes other rows, new tables are filled beside the old ones, and
    /// answer when they have caught up.
    ///
    /// # Errors
    /// The definition is wrong, or there is no such view.
    pub async fn replace(&self, definition: &Definition) -> Result<Appended, ViewsError> {
        definition.check()?;
        let start = self.entry(definition.name())?.state.last().map(|last| last.start.clone());
        let text = definition.text().to_owned();
        self.write(definition.name(), ViewFact::Defined { text, start: start.unwrap_or_default() })
            .await
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

    /// Removes a view and its tables.
    ///
    /// # Errors
    /// There is no such view.
    pub async fn remove(&self, name: &str) -> Result<Appended, ViewsError> {
        self.change(name, ViewFact::Removed).await
    }

    async fn change(&self, name: &str, fact: ViewFact) -> Result<Appended, ViewsError> {
        self.entry(name)?;
        self.write(name, fact).await
    }

    /// Appends a fact, on condition that no other was appended in between.
    async fn write(&self, name: &str, fact: ViewFact) -> Result<Appended, ViewsError> {
        let stream = stream_of(name);
        let version = self.inner.store.stream(&stream).await?.map(|info| info.version);
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

    fn entry(&self, name: &str) -> Result<Arc<Entry<S>>, ViewsError> {
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
        definition.check()?;
        let change = match self.entry(definition.name()) {
            Err(_) => "add",
            Ok(entry) => match entry.state.last() {
                Some(last) if super::has_same_rows(&last.text, definition.text()) => "keep",
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

    /// Returns the names of the views that a question reads, and the queries of their events. If it reads the log, that
    /// is `events`, with the query of what it reads.
    ///
    /// # Errors
    /// It names no view, or too many.
    pub fn views_of(&self, sql: &str) -> Result<Vec<(String, leftfold_api::Query)>, ViewsError> {
        let read = LogRead::of(sql);
        let tables = self.tables_of(sql, read.as_ref())?.into_iter();
        let views = tables.map(|(name, tables)| (name, tables.definition.query().clone()));
        Ok(views.chain(read.map(|read| (log::TABLE.to_owned(), read.query()))).collect())
    }

    /// Asks the views that a question names, by the name of the view or of one of its tables, and
    /// the log as `events`: see [`ask_log`](crate::ask_log). If `at_least` is given, waits
    /// until they have the events up to it, at most `patience`.
    ///
    /// # Errors
    /// The question is wrong or too large, or a view has failed or is late.
    pub async fn ask(
        &self,
        sql: &str,
        at_least: Option<(Cursor, Duration)>,
        limits: AskLimits,
    ) -> Result<Answer, ViewsError> {
        let read = LogRead::of(sql);
        let mut tables = self.tables_of(sql, read.as_ref())?;
        if let Some((cursor, patience)) = at_least.clone() {
            let deadline = later(self.inner.time.now(), patience);
            for (_, tables) in &tables {
                tables.runner.at_least_until(cursor.clone(), deadline).await?;
            }
            // New tables may have come in meanwhile.
            tables = self.tables_of(sql, read.as_ref())?;
        }
        let files: Vec<_> = tables.into_iter().map(|(name, tables)| (name, tables.path)).collect();
        match read {
            None => Ok(ask(&files, sql, limits)?),
            Some(read) => {
                let asking = log::ask_with_views(
                    &*self.inner.store,
                    &files,
                    &read,
                    at_least.as_ref().map(|(cursor, _)| cursor.clone()),
                    limits,
                );
                let Some((_, patience)) = at_least else { return asking.await };
                // The time of the question itself is limited: only the store can be late.
                let late = self.inner.time.after(patience.saturating_add(limits.time));
                match select(pin!(asking), late).await {
                    Either::Left((answer, _)) => answer,
                    Either::Right(_) => Err(AskError::TimedOut(patience).into()),
                }
            }
        }
    }

    /// Asks views as they were at a past moment. Waits until they have the events up to it, at most `patience`.
    /// Each must have `@history`.
    ///
    /// # Errors
    /// As [`Views::ask`]; the moment has not come yet.
    pub async fn ask_as_of(
        &self,
        sql: &str,
        as_of: AsOf,
        patience: Duration,
        limits: AskLimits,
    ) -> Result<Answer, ViewsError> {
        let head = self.inner.store.head().await?;
        let cursor = match as_of {
            AsOf::Position(position) => {
                let last = head.position().filter(|_| head.positions().len() <= 1);
                if position > last.unwrap_or(0) {
                    let message = format!("the store has no event at position {position} yet");
                    return Err(AskError::Invalid(message).into());
                }
                Cursor::at(head.origin(), position)
            }
            AsOf::Time(time) if time > self.inner.time.now() => {
                let message = format!("the time {time} has not come yet");
                return Err(AskError::Invalid(message).into());
            }
            AsOf::Time(_) => head,
        };
        let deadline = later(self.inner.time.now(), patience);
        for (_, tables) in self.tables_of(sql, None)? {
            tables.runner.at_least_until(cursor.clone(), deadline).await?;
        }
        // New tables may have come in meanwhile.
        let files: Vec<_> = self.tables_of(sql, None)?;
        let files: Vec<_> = files.into_iter().map(|(name, tables)| (name, tables.path)).collect();
        let sql = sql.to_owned();
        let answer = on_thread(move || ask_as_of(&files, &sql, as_of, limits))?.await;
        Ok(answer.unwrap_or_else(|_| Err(no_answer()))?)
    }

    pub(super) fn tables_of(
        &self,
        sql: &str,
        read: Option<&LogRead>,
    ) -> Result<Vec<(String, Tables<S>)>, ViewsError> {
        let words = crate::definition::words(sql);
        let is_named = |name: &str| words.iter().any(|word| word.eq_ignore_ascii_case(name));
        let entries: Vec<_> = self.inner.views.read().values().cloned().collect();
        let mut found = Vec::new();
        for entry in entries {
            let serving = entry.run.lock().serving.clone();
            let Some(tables) = serving else { continue };
            if is_named(&entry.name)
                || tables.definition.table_names().iter().any(|name| is_named(name))
                || tables.definition.history_names().iter().any(|name| is_named(name))
            {
                found.push((entry.name.clone(), tables));
            }
        }
        if found.is_empty() && read.is_none() {
            let names: Vec<_> = self.inner.views.read().keys().cloned().collect();
            let message = match names.as_slice() {
                [] => "there is no view yet".to_owned(),
                names => format!("the query names no view; there are {}", names.join(", ")),
            };
            return Err(ViewsError::Name { code: "view_unknown", message });
        }
        if found.len() > MAX_ASKED {
            let most = format!("{MAX_ASKED} views");
            return Err(AskError::TooLarge(most).into());
        }
        Ok(found)
    }
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
