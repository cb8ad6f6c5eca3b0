//! Live queries: first the rows of a question, then how they change.
//!
//! A live query waits until one of its views has committed events, or has other tables. Then it asks its question
//! again and compares the answer with the one before. No timer looks for changes; it only bounds how often is asked.

use std::path::PathBuf;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, select_all};
use leftfold_api::{Coded, EventStore, Timestamp};
use leftfold_fold::time::later;
use leftfold_fold::view::ViewError;

use super::follow::Tables;
use super::{Views, ViewsError};
use crate::ask::{Answer, AskError, AskLimits, ask, no_answer, on_thread};
use crate::changes::{RowChanges, order_rows};

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
    /// It names no view, or too many.
    pub fn watch(
        &self,
        sql: &str,
        limits: AskLimits,
        period: Duration,
    ) -> Result<LiveQuery<S>, ViewsError> {
        let names = self.tables_of(sql)?.into_iter().map(|(name, _)| name).collect();
        Ok(LiveQuery {
            views: self.clone(),
            sql: sql.to_owned(),
            names,
            limits,
            period,
            key: Vec::new(),
            next: self.inner.time.now(),
            moved: None,
            asked: None,
            last: None,
        })
    }
}

impl<S: EventStore + 'static> LiveQuery<S> {
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
        loop {
            if self.asked.is_none() {
                if let Some(moved) = &mut self.moved {
                    moved.await;
                }
                self.moved = None;
                let now = self.views.inner.time.now();
                // The clock may have stepped back.
                self.views.inner.time.after((self.next - now).min(self.period)).await;
                self.ask()?;
            }
            let Some(asked) = &mut self.asked else { continue };
            let answer = (&mut asked.answer).await;
            let Some(asked) = self.asked.take() else { continue };
            match answer.unwrap_or_else(|_| Err(no_answer())) {
                // The tables were swapped and their files removed before they were open.
                Err(AskError::File(_)) if self.files()? != asked.files => self.moved = None,
                answer => match (self.compare(answer?)?, asked.failure) {
                    (Some(update), None) => return Ok(update),
                    // The failure comes with the next call.
                    (Some(update), Some(_)) => {
                        self.moved = None;
                        return Ok(update);
                    }
                    (None, Some(failure)) => return Err(failure.into()),
                    (None, None) => {}
                },
            }
        }
    }

    /// Begins to ask, and to listen for what changes from now on.
    fn ask(&mut self) -> Result<(), ViewsError> {
        let mut moved = vec![self.views.inner.changed.listen().boxed()];
        let tables = self.tables();
        if let Ok((tables, _)) = &tables {
            moved.extend(tables.iter().map(|(_, tables)| tables.runner.moved().boxed()));
        }
        self.moved = Some(select_all(moved).map(drop).boxed());
        let (tables, failure) = tables?;
        let files: Vec<_> = tables.into_iter().map(|(name, tables)| (name, tables.path)).collect();
        self.next = later(self.views.inner.time.now(), self.period);
        let (of_thread, sql, limits) = (files.clone(), self.sql.clone(), self.limits);
        let answer = on_thread(move || ask(&of_thread, &sql, limits))?;
        self.asked = Some(Asked { files, failure, answer });
        Ok(())
    }

    /// Returns the tables that answer for the views, and why one of the views has stopped.
    #[expect(clippy::type_complexity, reason = "one caller takes it apart")]
    fn tables(&self) -> Result<(Vec<(String, Tables<S>)>, Option<ViewError>), ViewsError> {
        let views = self.views.inner.views.read();
        let (mut found, mut stopped) = (Vec::with_capacity(self.names.len()), None);
        for name in &self.names {
            let run = views.get(name).map(|entry| entry.run.lock());
            let serving = run.as_ref().and_then(|run| run.serving.clone());
            let Some(tables) = serving else {
                let message = format!("the view {name} was removed");
                return Err(ViewsError::Name { code: "view_removed", message });
            };
            let failure = run.and_then(|run| run.failure.clone());
            stopped = stopped.or(failure.filter(|failure| !failure.can_retry()));
            found.push((name.clone(), tables));
        }
        Ok((found, stopped))
    }

    fn files(&self) -> Result<Vec<(String, PathBuf)>, ViewsError> {
        Ok(self.tables()?.0.into_iter().map(|(name, tables)| (name, tables.path)).collect())
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
