//! Live queries: first the rows of a question, then how they change.
//!
//! A live query waits until one of its views has committed events, or has other tables. Then it asks its question
//! again and compares the answer with the one before. No timer looks for changes; it only bounds how often is asked.

use std::future::ready;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, select_all};
use leftfold_api::{Coded, EventStore, Query, Timestamp};
use leftfold_fold::time::later;
use leftfold_fold::view::ViewError;

use super::follow::Tables;
use super::question::{check_here, files_of};
use super::{Question, Views, ViewsError};
use crate::ask::{Answer, AskError, AskLimits, ask, no_answer, on_thread};
use crate::changes::{RowChanges, order_rows};
use crate::log::LogRead;

/// How often a live query is asked at most, unless its user says otherwise: 10 times a second.
pub const DEFAULT_PERIOD: Duration = Duration::from_millis(100);

/// What a live query sends.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum LiveUpdate {
    /// All rows. It comes first, and again if the columns are others because a view was replaced.
    Rows(Answer),
    /// How the rows differ from those of the update before.
    Changes(RowChanges),
}

/// A question whose answer is followed. It has the answer in memory, and while it compares, the next one and the
/// difference: each is within the limits of the question.
pub struct LiveQuery<S> {
    views: Views<S>,
    sql: String,
    /// The names of the views.
    names: Vec<String>,
    limits: AskLimits,
    period: Duration,
    key: Vec<String>,
    /// When it may ask again.
    next: Timestamp,
    /// Ready when a view has moved after the last question; `None` before the first.
    moved: Option<BoxFuture<'static, ()>>,
    /// The question that is being asked.
    asked: Option<Asked>,
    /// The last answer, with its rows sorted.
    last: Option<Answer>,
}

/// A question that a thread is asking. If the caller stops waiting, the next call takes the answer.
struct Asked {
    files: Vec<(String, PathBuf)>,
    /// Why a view had stopped before it was asked.
    failure: Option<ViewError>,
    answer: oneshot::Receiver<Result<Answer, AskError>>,
}

impl<S: EventStore + 'static> Views<S> {
    /// Follows the answer to a question. It is asked at most once a `period`.
    ///
    /// # Errors
    /// It names no view, or too many, or it reads the log.
    pub fn watch(
        &self,
        sql: &str,
        limits: AskLimits,
        period: Duration,
    ) -> Result<LiveQuery<S>, ViewsError> {
        if LogRead::of(sql).is_some() {
            return Err(of_log());
        }
        let names = self.tables_of(sql)?.into_iter().map(|(name, _)| name).collect();
        Ok(LiveQuery::new(self, sql, names, limits, period))
    }
}

impl<S: EventStore + 'static> Question<S> {
    /// Follows the answer. It is asked at most once a `period`.
    ///
    /// # Errors
    /// It reads the log.
    pub fn watch(self, limits: AskLimits, period: Duration) -> Result<LiveQuery<S>, ViewsError> {
        if self.read.is_some() {
            return Err(of_log());
        }
        let names = self.tables.into_iter().map(|(name, _)| name).collect();
        Ok(LiveQuery::new(&self.views, &self.sql, names, limits, period))
    }
}

/// A live question about the log.
fn of_log() -> ViewsError {
    let message =
        "the log can't be asked live; subscribe to its events, or add a view of them and ask that";
    AskError::Refused(message.to_owned()).into()
}

/// The tables that answer a live query.
struct Serving<S> {
    tables: Vec<(String, Tables<S>)>,
    /// Why a view has stopped.
    failure: Option<ViewError>,
}

impl<S> Serving<S> {
    /// Returns the query of the events of each view.
    fn queries(&self) -> Vec<(String, Query)> {
        let query = |(name, it): &(String, Tables<S>)| (name.clone(), it.logic.query().clone());
        self.tables.iter().map(query).collect()
    }
}

impl<S: EventStore + 'static> LiveQuery<S> {
    fn new(
        views: &Views<S>,
        sql: &str,
        names: Vec<String>,
        limits: AskLimits,
        period: Duration,
    ) -> Self {
        LiveQuery {
            views: views.clone(),
            sql: sql.to_owned(),
            names,
            limits,
            period,
            key: Vec::new(),
            next: views.inner.time.now(),
            moved: None,
            asked: None,
            last: None,
        }
    }

    /// Names the columns that tell the rows apart: a row that is the same in them and not in others is one that has
    /// changed, in place of one that was removed and one that was added.
    pub fn key(mut self, columns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.key = columns.into_iter().map(Into::into).collect();
        self
    }

    /// Returns the rows first, and then waits for changes of them. Nothing is lost if the future is dropped. While
    /// a view is paused or tries again after a failure, no change comes.
    ///
    /// # Errors
    /// `view_removed`; the failure of a view that has stopped, after its last changes; the question is wrong or too
    /// large. A later call waits until a view has moved, and asks again.
    pub async fn next(&mut self) -> Result<LiveUpdate, ViewsError> {
        self.next_admitted(|_| ready(Ok::<_, ViewsError>(()))).await
    }

    /// Does as [`LiveQuery::next`], and waits for `admit` each time before it asks. `admit` gets the views that will be
    /// read, each with the query of its events, and returns a permit: the thread that asks drops it with the answer.
    ///
    /// # Errors
    /// As [`LiveQuery::next`]; `admit` refuses.
    pub async fn next_admitted<P, E, F>(
        &mut self,
        admit: impl Fn(Vec<(String, Query)>) -> F,
    ) -> Result<LiveUpdate, E>
    where
        P: Send + 'static,
        E: From<ViewsError>,
        F: Future<Output = Result<P, E>>,
    {
        loop {
            if self.asked.is_none() {
                if let Some(moved) = &mut self.moved {
                    moved.await;
                }
                self.moved = None;
                let now = self.views.inner.time.now();
                // The clock may have stepped back.
                self.views.inner.time.after((self.next - now).min(self.period)).await;
                let (moved, serving) = self.look();
                let serving = match serving {
                    Ok(serving) => serving,
                    Err(error) => {
                        self.moved = Some(moved);
                        return Err(error.into());
                    }
                };
                // If the future is dropped meanwhile, the next call asks at once.
                let permit = admit(serving.queries()).await?;
                self.moved = Some(moved);
                self.ask(serving, permit)?;
            }
            let Some(asked) = &mut self.asked else { continue };
            let answer = (&mut asked.answer).await;
            let Some(asked) = self.asked.take() else { continue };
            match answer.unwrap_or_else(|_| Err(no_answer())) {
                // The tables were swapped and their files removed before they were open.
                Err(AskError::File(_)) if self.files()? != asked.files => self.moved = None,
                answer => match (self.compare(answer.map_err(ViewsError::from)?)?, asked.failure) {
                    (Some(update), None) => return Ok(update),
                    // The failure comes with the next call.
                    (Some(update), Some(_)) => {
                        self.moved = None;
                        return Ok(update);
                    }
                    (None, Some(failure)) => return Err(ViewsError::from(failure).into()),
                    (None, None) => {}
                },
            }
        }
    }

    /// Begins to listen for what changes from now on; returns the tables that answer now.
    fn look(&self) -> (BoxFuture<'static, ()>, Result<Serving<S>, ViewsError>) {
        let mut moved = vec![self.views.inner.changed.listen().boxed()];
        let serving = self.serving();
        if let Ok(serving) = &serving {
            let tables = serving.tables.iter();
            moved.extend(tables.map(|(_, tables)| tables.runner.moved().boxed()));
        }
        (select_all(moved).map(drop).boxed(), serving)
    }

    /// Begins to ask on a thread, which holds the permit meanwhile.
    fn ask(&mut self, serving: Serving<S>, permit: impl Send + 'static) -> Result<(), ViewsError> {
        let files = files_of(&serving.tables);
        self.next = later(self.views.inner.time.now(), self.period);
        let (of_thread, sql, limits) = (files.clone(), self.sql.clone(), self.limits);
        let answer = on_thread(move || {
            let answer = ask(&of_thread, &sql, limits);
            drop(permit);
            answer
        })?;
        self.asked = Some(Asked { files, failure: serving.failure, answer });
        Ok(())
    }

    /// Returns the tables that answer for the views, and why one of the views has stopped.
    fn serving(&self) -> Result<Serving<S>, ViewsError> {
        let views = self.views.inner.views.read();
        let (mut tables, mut stopped) = (Vec::with_capacity(self.names.len()), None);
        for name in &self.names {
            let run = views.get(name).map(|entry| entry.run.lock());
            let serving = run.as_ref().and_then(|run| run.serving.clone());
            let Some(serving) = serving else {
                let message = format!("the view {name} was removed");
                return Err(ViewsError::Name { code: "view_removed", message });
            };
            check_here(&serving.logic)?;
            let failure = run.and_then(|run| run.failure.clone());
            stopped = stopped.or(failure.filter(|failure| !failure.can_retry()));
            tables.push((name.clone(), serving));
        }
        Ok(Serving { tables, failure: stopped })
    }

    fn files(&self) -> Result<Vec<(String, PathBuf)>, ViewsError> {
        Ok(files_of(&self.serving()?.tables))
    }

    /// Compares an answer with the one before, in whose place it comes.
    fn compare(&mut self, answer: Answer) -> Result<Option<LiveUpdate>, ViewsError> {
        let place = |column: &String| {
            let missing = || format!("the answer has no column {column} for the key");
            let at = answer.columns.iter().position(|known| known == column);
            at.ok_or_else(|| AskError::Invalid(missing()))
        };
        let key = self.key.iter().map(place).collect::<Result<Vec<_>, _>>()?;
        let mut sorted = Answer { rows: answer.rows.clone(), ..Answer::default() };
        sorted.columns.clone_from(&answer.columns);
        sorted.rows.sort_unstable_by(order_rows);
        let update = match &self.last {
            Some(last) if last.columns == answer.columns => {
                let mut changes = RowChanges::between(&last.rows, &sorted.rows);
                if !key.is_empty() {
                    changes = changes.pair_by(&key);
                }
                changes.cursors = answer.cursors;
                (!changes.is_empty()).then_some(LiveUpdate::Changes(changes))
            }
            _ => Some(LiveUpdate::Rows(answer)),
        };
        self.last = Some(sorted);
        Ok(update)
    }
}
