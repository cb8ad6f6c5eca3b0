//! Questions to views as they were at a past moment.

use std::time::Duration;

use leftfold_api::{Coded, Cursor, EventStore, Query};

use super::question::{ATTEMPTS, Question, QuestionText};
use super::{Views, ViewsError};
use crate::as_of::AsOf;
use crate::ask::{Answer, AskError, AskLimits, no_answer, on_thread};

impl<S: EventStore + 'static> Views<S> {
    /// Asks views as they were at a past moment. Waits until they have the events up to it, at most `patience`.
    /// Each must have `@history`.
    ///
    /// # Errors
    /// As [`Views::ask`]; the moment has not come yet; the question reads the log.
    pub async fn ask_as_of(
        &self,
        sql: &str,
        as_of: AsOf,
        patience: Duration,
        limits: AskLimits,
    ) -> Result<Answer, ViewsError> {
        let cursor = self.cursor_as_of(as_of).await?;
        let text = QuestionText { sql, view: None };
        let mut attempts = ATTEMPTS;
        loop {
            let admit = |_: &str, _: &Query| Ok::<_, ViewsError>(());
            let question = self.question(text, Some(&cursor), patience, admit).await?;
            let question = question.as_of(as_of)?;
            attempts -= 1;
            let answer = on_thread(move || question.answer(limits))?.await;
            match answer.unwrap_or_else(|_| Err(no_answer().into())) {
                Err(error) if error.code() == "view_changed" && attempts > 0 => {}
                answer => return answer,
            }
        }
    }

    /// Returns the cursor that views must have come to before they can be asked as of a past moment.
    ///
    /// # Errors
    /// The moment has not come yet; the store can't be read.
    pub async fn cursor_as_of(&self, as_of: AsOf) -> Result<Cursor, ViewsError> {
        let head = self.inner.store.head().await?;
        match as_of {
            AsOf::Position(position) => {
                let last = head.position().filter(|_| head.positions().len() <= 1);
                if position > last.unwrap_or(0) {
                    let message = format!("the store has no event at position {position} yet");
                    return Err(AskError::Invalid(message).into());
                }
                Ok(Cursor::at(head.origin(), position))
            }
            AsOf::Time(time) if time > self.inner.time.now() => {
                let message = format!("the time {time} has not come yet");
                Err(AskError::Invalid(message).into())
            }
            AsOf::Time(_) => Ok(head),
        }
    }
}

impl<S: EventStore + 'static> Question<S> {
    /// Makes it a question about a past moment: see [`Views::cursor_as_of`] for what its views must have.
    ///
    /// # Errors
    /// It reads the log, which has no other rows at another time.
    pub fn as_of(mut self, as_of: AsOf) -> Result<Self, ViewsError> {
        if self.read.is_some() {
            let message =
                "the log is not asked as of the past; ask events with a condition on position or \
                           commit_time, and no as_of"
                    .to_owned();
            return Err(AskError::Refused(message).into());
        }
        self.as_of = Some(as_of);
        Ok(self)
    }
}
