//! Questions to views: which tables answer them, from when on, and the answer.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use leftfold_api::{Coded, Cursor, EventStore, Query, Read, Timestamp};
use leftfold_fold::time::later;
use leftfold_fold::view::ViewError;

use super::follow::Tables;
use super::{Entry, Views, ViewsError};
use crate::as_of::{AsOf, ask_as_of};
use crate::ask::{Answer, AskError, AskLimits, ask};
use crate::definition::Target;
use crate::log::{self, LogRead};
use crate::logic::Logic;

/// The most views of one question.
const MAX_ASKED: usize = 10;
/// How long a question waits for tables that are being opened.
pub(super) const OPENING: Duration = Duration::from_secs(10);
/// How often a question is asked anew because its tables were replaced while it was asked.
pub(super) const ATTEMPTS: usize = 4;

/// What is asked, and of which views.
#[derive(Debug, Clone, Copy)]
pub struct QuestionText<'a> {
    /// A reading statement.
    pub sql: &'a str,
    /// The view that is asked. If it is `None`, the views are asked that the statement names, by their own names or
    /// by those of their tables.
    pub view: Option<&'a str>,
}

/// A question, and the tables that answer it.
pub struct Question<S> {
    pub(super) views: Views<S>,
    pub(super) sql: String,
    view: Option<String>,
    pub(super) tables: Vec<(String, Tables<S>)>,
    /// What it reads of the log.
    pub(super) read: Option<LogRead>,
    /// The past moment that it asks about.
    pub(super) as_of: Option<AsOf>,
}

/// A view that a question names.
struct Named<S> {
    entry: Arc<Entry<S>>,
    /// The tables that answer, and the failure of the run.
    serving: Option<Tables<S>>,
    failure: Option<ViewError>,
    /// What makes the rows of the tables that answer, or of those that are being opened.
    logic: Option<Logic>,
}

impl<S: EventStore + 'static> Named<S> {
    fn of(entry: Arc<Entry<S>>) -> Self {
        let (serving, failure) = {
            let run = entry.run.lock();
            (run.serving.clone(), run.failure.clone())
        };
        let logic = match &serving {
            Some(tables) => Some(tables.logic.clone()),
            None => {
                let last = entry.state.last();
                last.and_then(|last| last.content.logic(&entry.name, None).ok())
            }
        };
        Named { entry, serving, failure, logic }
    }

    fn is_named(&self, words: &[String]) -> bool {
        let is_word = |name: &str| words.iter().any(|word| word.eq_ignore_ascii_case(name));
        let Some(logic) = &self.logic else { return is_word(&self.entry.name) };
        is_word(&self.entry.name)
            || logic.table_names().into_iter().any(is_word)
            || logic.history_names().iter().any(|name| is_word(name))
    }

    /// Returns the query of its events. A definition that this release can't read counts as one of all events.
    fn query(&self) -> Query {
        self.logic.as_ref().map_or(Query::System, |logic| logic.query().clone())
    }

    fn tables(self) -> Result<(String, Tables<S>), ViewsError> {
        if let Some(logic) = &self.logic {
            check_here(logic)?;
        }
        match (self.serving, self.failure) {
            (Some(tables), _) => Ok((self.entry.name.clone(), tables)),
            (None, Some(failure)) => Err(failure.into()),
            (None, None) => Err(ViewsError::Opening { view: self.entry.name.clone() }),
        }
    }
}

/// Refuses a view whose tables are in a database that Leftfold does not ask.
pub(super) fn check_here(logic: &Logic) -> Result<(), ViewsError> {
    let Target::Postgres(source) = logic.target() else { return Ok(()) };
    let name = logic.name();
    let message = format!(
        "the tables of the view {name} are in PostgreSQL ({source}); ask it for those of the schema {name}"
    );
    Err(ViewsError::Name { code: "view_elsewhere", message })
}

/// Returns the files of the tables that are in files.
pub(super) fn files_of<S>(tables: &[(String, Tables<S>)]) -> Vec<(String, PathBuf)> {
    let file = |(name, tables): &(String, Tables<S>)| {
        Some((name.clone(), tables.backing.path()?.to_owned()))
    };
    tables.iter().filter_map(file).collect()
}

/// The tables of a question were replaced while it was asked.
fn replaced() -> ViewsError {
    let message = "the view was replaced while it was asked; ask again".to_owned();
    ViewsError::Name { code: "view_changed", message }
}

impl<S: EventStore + 'static> Views<S> {
    /// Returns the names of the views that a question reads, and the queries of their events. If it reads the log, that
    /// is `events`, with the query of what it reads.
    ///
    /// # Errors
    /// It names no view, or too many.
    pub fn views_of(&self, sql: &str) -> Result<Vec<(String, Query)>, ViewsError> {
        let read = LogRead::of(sql);
        let named = self.named(QuestionText { sql, view: None }, read.is_some())?;
        let views = named.into_iter().map(|named| (named.entry.name.clone(), named.query()));
        Ok(views.chain(read.map(|read| (log::TABLE.to_owned(), read.query()))).collect())
    }

    /// Asks the views that a question names, by the name of the view or of one of its tables, and the log as `events`:
    /// see [`ask_log`](crate::ask_log). If `at_least` is given, waits until they have the events up to it, at most
    /// `patience`. The answer is found on the thread that polls.
    ///
    /// # Errors
    /// The question is wrong or too large, or a view has failed or is late.
    pub async fn ask(
        &self,
        sql: &str,
        at_least: Option<(Cursor, Duration)>,
        limits: AskLimits,
    ) -> Result<Answer, ViewsError> {
        let (cursor, patience) = match at_least {
            Some((cursor, patience)) => (Some(cursor), patience),
            None => (None, OPENING),
        };
        let text = QuestionText { sql, view: None };
        let admit = |_: &str, _: &Query| Ok::<_, ViewsError>(());
        self.ask_text(text, cursor.as_ref(), patience, limits, admit).await
    }

    /// Asks a question; see [`Views::question`]. If its tables are replaced meanwhile, it is asked anew.
    pub(super) async fn ask_text<E: From<ViewsError>>(
        &self,
        text: QuestionText<'_>,
        at_least: Option<&Cursor>,
        patience: Duration,
        limits: AskLimits,
        admit: impl Fn(&str, &Query) -> Result<(), E>,
    ) -> Result<Answer, E> {
        let mut attempts = ATTEMPTS;
        loop {
            let question = self.question(text, at_least, patience, &admit).await?;
            attempts -= 1;
            match question.answer_async(limits).await {
                Err(error) if error.code() == "view_changed" && attempts > 0 => {}
                answer => return Ok(answer?),
            }
        }
    }

    /// Finds the tables that answer a question, and waits until they are open and have the events up to `at_least`,
    /// at most `patience`. `admit` decides for each view, by its name and the query of its events, whether it may be
    /// asked.
    ///
    /// # Errors
    /// It names no view, or too many; `admit` refuses one; a view has failed or is late.
    pub async fn question<E: From<ViewsError>>(
        &self,
        text: QuestionText<'_>,
        at_least: Option<&Cursor>,
        patience: Duration,
        admit: impl Fn(&str, &Query) -> Result<(), E>,
    ) -> Result<Question<S>, E> {
        let deadline = later(self.inner.time.now(), patience);
        loop {
            let mut changed = self.inner.changed.listen();
            let read = LogRead::of(text.sql);
            let named = self.named(text, read.is_some())?;
            for one in &named {
                admit(&one.entry.name, &one.query())?;
            }
            if let Some(read) = &read {
                admit(log::TABLE, &read.query())?;
            }
            let tables: Result<Vec<_>, _> = named.into_iter().map(Named::tables).collect();
            let error = match tables {
                Ok(tables) => {
                    let waiting = self.wait_for(&tables, &read, at_least, deadline);
                    let waited = match select(pin!(waiting), &mut changed).await {
                        Either::Left((waited, _)) => waited,
                        // Other tables may answer now.
                        Either::Right(_) => continue,
                    };
                    match waited {
                        Ok(()) => {
                            let (sql, view) = (text.sql.to_owned(), text.view.map(str::to_owned));
                            let views = self.clone();
                            return Ok(Question { views, sql, view, tables, read, as_of: None });
                        }
                        Err(error) => error,
                    }
                }
                Err(error) => error,
            };
            self.wait_for_change(changed, error, at_least, deadline).await?;
        }
    }

    /// Waits until tables, and the store if its log is read, have the events up to a cursor.
    async fn wait_for(
        &self,
        tables: &[(String, Tables<S>)],
        read: &Option<LogRead>,
        at_least: Option<&Cursor>,
        deadline: Timestamp,
    ) -> Result<(), ViewsError> {
        let Some(cursor) = at_least else { return Ok(()) };
        for (_, tables) in tables {
            tables.runner.at_least_until(cursor.clone(), deadline).await?;
        }
        if read.is_none() {
            return Ok(());
        }
        let store = &self.inner.store;
        let reading = store.read(Read::forward(Query::All).at_least(cursor.clone()).limit(1));
        match select(pin!(reading), self.inner.time.until(deadline)).await {
            Either::Left((reached, _)) => Ok(reached.map(drop)?),
            Either::Right(_) => Err(ViewError::Late { cursor: cursor.clone(), deadline }.into()),
        }
    }

    /// Returns the tables of the views that a statement names.
    pub(super) fn tables_of(&self, sql: &str) -> Result<Vec<(String, Tables<S>)>, ViewsError> {
        let named = self.named(QuestionText { sql, view: None }, false)?;
        named.into_iter().map(Named::tables).collect()
    }

    /// Returns the views that a question is about. If it reads the log, it need name none.
    fn named(&self, text: QuestionText<'_>, reads_log: bool) -> Result<Vec<Named<S>>, ViewsError> {
        if let Some(view) = text.view {
            return Ok(vec![Named::of(self.entry(view)?)]);
        }
        let words = crate::definition::words(text.sql);
        let entries: Vec<_> = self.inner.views.read().values().cloned().collect();
        let all = entries.into_iter().map(Named::of);
        let named: Vec<_> = all.filter(|one| one.is_named(&words)).collect();
        let named = without_namesakes(named, &words)?;
        if named.is_empty() && !reads_log {
            let names: Vec<_> = self.inner.views.read().keys().cloned().collect();
            let message = match names.as_slice() {
                [] => "there is no view yet".to_owned(),
                names => format!("the query names no view; there are {}", names.join(", ")),
            };
            return Err(ViewsError::Name { code: "view_unknown", message });
        }
        if named.len() > MAX_ASKED {
            return Err(AskError::TooLarge(format!("{MAX_ASKED} views")).into());
        }
        Ok(named)
    }
}

/// Removes views of which a table is named that another view, named itself, has too.
///
/// # Errors
/// Several views have a table that is named, and none of them is named itself.
fn without_namesakes<S: EventStore + 'static>(
    named: Vec<Named<S>>,
    words: &[String],
) -> Result<Vec<Named<S>>, ViewsError> {
    let is_word = |name: &str| words.iter().any(|word| word.eq_ignore_ascii_case(name));
    let mut owners = BTreeMap::<String, Vec<&str>>::new();
    for one in &named {
        let tables = one.logic.as_ref().map(Logic::table_names).unwrap_or_default();
        for table in tables.into_iter().filter(|table| is_word(table)) {
            owners.entry(table.to_ascii_lowercase()).or_default().push(&one.entry.name);
        }
    }
    owners.retain(|_, owners| owners.len() > 1);
    for (table, owners) in &owners {
        if !owners.iter().any(|owner| is_word(owner)) {
            let message = format!(
                "the views {} have a table {table}; say which, such as {}.{table}",
                owners.join(", "),
                owners.first().copied().unwrap_or_default()
            );
            return Err(AskError::Invalid(message).into());
        }
    }
    let shared: Vec<_> = owners.into_keys().collect();
    let is_meant = |one: &Named<S>| {
        let tables = one.logic.as_ref().map(Logic::table_names).unwrap_or_default();
        let mut own = tables.into_iter().filter(|table| is_word(table));
        let histories = one.logic.as_ref().map(Logic::history_names).unwrap_or_default();
        is_word(&one.entry.name)
            || histories.iter().any(|name| is_word(name))
            || own.any(|table| !shared.contains(&table.to_ascii_lowercase()))
    };
    Ok(named.into_iter().filter(is_meant).collect())
}

impl<S: EventStore + 'static> Question<S> {
    /// Returns the answer. Blocks its thread while SQLite and the store read.
    ///
    /// # Errors
    /// The question is wrong or too large; `view_changed` if the view was replaced meanwhile, and is to be asked
    /// again.
    pub fn answer(&self, limits: AskLimits) -> Result<Answer, ViewsError> {
        if self.read.is_some() {
            return pollster::block_on(self.answer_async(limits));
        }
        let files = self.files();
        let answer = match self.as_of {
            None => ask(&files, &self.sql, limits),
            Some(as_of) => ask_as_of(&files, &self.sql, as_of, limits),
        };
        self.answer_of(answer.map_err(Into::into))
    }

    /// Returns the answer, and waits for the store while it reads the log.
    async fn answer_async(&self, limits: AskLimits) -> Result<Answer, ViewsError> {
        let Some(read) = &self.read else { return self.answer(limits) };
        let (store, files) = (&*self.views.inner.store, self.files());
        self.answer_of(log::ask_with_views(store, &files, read, limits).await)
    }

    fn files(&self) -> Vec<(String, PathBuf)> {
        files_of(&self.tables)
    }

    fn answer_of(&self, answer: Result<Answer, ViewsError>) -> Result<Answer, ViewsError> {
        match answer {
            // The file goes when new tables answer.
            Err(ViewsError::Ask(AskError::File(_))) if !self.is_current() => Err(replaced()),
            answer => answer,
        }
    }

    /// Whether the tables are still those that answer.
    fn is_current(&self) -> bool {
        let text = QuestionText { sql: &self.sql, view: self.view.as_deref() };
        let named = self.views.named(text, self.read.is_some()).unwrap_or_default();
        let now: Vec<_> = named
            .into_iter()
            .filter_map(|one| Some((one.entry.name.clone(), one.serving?)))
            .collect();
        let now = files_of(&now);
        self.files().iter().all(|file| now.contains(file))
    }
}
