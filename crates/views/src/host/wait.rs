//! Waits until a view has the events up to a cursor.

use std::pin::pin;
use std::time::Duration;

use event_listener::EventListener;
use futures_util::future::{Either, select};
use leftfold_api::{Cursor, EventStore, Timestamp};
use leftfold_fold::time::later;
use leftfold_fold::view::ViewError;

use super::{Views, ViewsError};

impl<S: EventStore + 'static> Views<S> {
    /// Waits until those who ask a view get rows with all events up to a cursor, at most `patience`. So a program that
    /// asks PostgreSQL reads its own writes.
    ///
    /// # Errors
    /// There is no such view, it has failed, or it is late.
    pub async fn wait_for_cursor(
        &self,
        view: &str,
        cursor: &Cursor,
        patience: Duration,
    ) -> Result<(), ViewsError> {
        let deadline = later(self.inner.time.now(), patience);
        loop {
            let mut changed = self.inner.changed.listen();
            let error = match select(pin!(self.reach(view, cursor, deadline)), &mut changed).await {
                Either::Left((Ok(()), _)) => return Ok(()),
                Either::Left((Err(error), _)) => error,
                // Other tables may answer now.
                Either::Right(_) => continue,
            };
            self.wait_for_change(changed, error, Some(cursor), deadline).await?;
        }
    }

    async fn reach(
        &self,
        view: &str,
        cursor: &Cursor,
        deadline: Timestamp,
    ) -> Result<(), ViewsError> {
        let entry = self.entry(view)?;
        let (serving, failure, standby) = {
            let run = entry.run.lock();
            (run.serving.clone(), run.failure.clone(), run.standby.clone())
        };
        if serving.is_none()
            && let Some(standby) = standby
        {
            let late = self.inner.time.until(deadline);
            return match standby.reach(cursor, late).await {
                true => Ok(()),
                false => Err(ViewError::Late { cursor: cursor.clone(), deadline }.into()),
            };
        }
        let opening = || failure.map_or(ViewsError::Opening { view: view.to_owned() }, Into::into);
        let Some(tables) = serving else { return Err(opening()) };
        tables.runner.at_least_until(cursor.clone(), deadline).await?;
        match tables.backing.is_published() {
            true => Ok(()),
            false => Err(opening()),
        }
    }

    /// After an error, waits until a view has changed, at most until a deadline.
    ///
    /// # Errors
    /// The error, if no change can help or none comes. A view whose run has ended and that no other run brings up to
    /// `at_least` is late.
    pub(super) async fn wait_for_change(
        &self,
        changed: EventListener,
        error: ViewsError,
        at_least: Option<&Cursor>,
        deadline: Timestamp,
    ) -> Result<(), ViewsError> {
        // A run that has ended may have made place for another.
        let may_change = matches!(
            error,
            ViewsError::Opening { .. } | ViewsError::View(ViewError::Stopped { .. })
        );
        let until = self.inner.time.until(deadline);
        if may_change && matches!(select(pin!(changed), until).await, Either::Left(_)) {
            return Ok(());
        }
        Err(match (error, at_least) {
            (ViewsError::View(ViewError::Stopped { .. }), Some(cursor)) => {
                ViewError::Late { cursor: cursor.clone(), deadline }.into()
            }
            (error, _) => error,
        })
    }
}
