use leftfold_api::{
    Cursor, Delivery, EventStore, Invalid, Point, Query, Read, ReadError, Recorded, Subscribe,
    Subscription,
};

use super::{Anchor, RowStore, Saved, View, ViewError};

/// The maximum number of events in one commit.
const BATCH: usize = 512;
/// The maximum bytes of events in one commit; one event is accepted whatever its size.
const BATCH_BYTES: usize = 8 << 20;

/// The subscription that keeps rows up to date.
pub(super) struct Follower<'a, V, S: EventStore> {
    view: &'a V,
    rows: &'a dyn RowStore,
    subscription: S::Subscription,
    saved: Option<Saved>,
    batch: Vec<Recorded>,
    bytes: usize,
}

pub(super) fn made_by<V: View>() -> String {
    format!("{} {}", V::NAME, V::LOGIC)
}

impl<'a, V: View, S: EventStore> Follower<'a, V, S> {
    /// Subscribes after the rows' cursor, if the rows are this view's and made from this store.
    pub(super) async fn start(
        view: &'a V,
        store: &S,
        rows: &'a dyn RowStore,
    ) -> Result<Self, ViewError> {
        let saved = rows.saved()?;
        if let Some(saved) = &saved {
            check::<V>(store, saved).await?;
        }
        let cursor = saved.as_ref().map_or(Cursor::START, |saved| saved.cursor.clone());
        let subscription = match store.subscribe(Subscribe::after(view.query(), cursor)).await {
            Ok(subscription) => subscription,
            Err(error) => return Err(other_history::<V>(error, saved.as_ref())),
        };
        Ok(Follower { view, rows, subscription, saved, batch: Vec::new(), bytes: 0 })
    }

    /// Reads the next event and commits full batches; returns whether the view has caught up.
    pub(super) async fn step(&mut self) -> Result<bool, ViewError> {
        match self.subscription.next().await? {
            Delivery::Event(event, at) => {
                self.bytes += event.data().len() + event.metadata().len();
                self.batch.push(event);
                if self.batch.len() >= BATCH || self.bytes >= BATCH_BYTES {
                    self.commit(at)?;
                }
                Ok(false)
            }
            Delivery::CaughtUp(at) => {
                self.commit(at)?;
                Ok(true)
            }
        }
    }

    /// Reads and commits the next event, once the view has caught up.
    pub(super) async fn step_live(&mut self) -> Result<(), ViewError> {
        match self.subscription.next().await? {
            Delivery::Event(event, at) => {
                self.batch.push(event);
                self.commit(at)
            }
            Delivery::CaughtUp(at) => self.commit(at),
        }
    }

    fn commit(&mut self, at: Cursor) -> Result<(), ViewError> {
        let batch = std::mem::take(&mut self.batch);
        self.bytes = 0;
        let last = batch.last().map(Anchor::of);
        let anchor = last.or_else(|| self.saved.as_ref()?.anchor.clone());
        let to = Saved { made_by: made_by::<V>(), cursor: at, anchor };
        let mut change = |rows: &mut dyn super::Rows| {
            batch.iter().try_for_each(|event| self.view.apply(rows, event))
        };
        if !self.rows.commit(self.saved.as_ref(), &to, &mut change)? {
            return Err(ViewError::Overtaken { view: V::NAME.to_owned() });
        }
        self.saved = Some(to);
        Ok(())
    }
}

/// Checks that rows are this view's, and were made from this store's events.
async fn check<V: View>(store: &impl EventStore, saved: &Saved) -> Result<(), ViewError> {
    if saved.made_by != made_by::<V>() {
        let (found, wanted) = (saved.made_by.clone(), made_by::<V>());
        return Err(ViewError::OtherLogic { found, wanted });
    }
    if saved.cursor.positions().len() > 1 {
        // A position is no place among many partitions. The cursor names the history all the same.
        return match store.head().await?.covers(&saved.cursor) {
            true => Ok(()),
            false => Err(history_error::<V>(Some(saved))),
        };
    }
    let Some(anchor) = &saved.anchor else { return Ok(()) };
    let at = Read::forward(Query::System).including(Point::Position(anchor.position)).limit(1);
    let page = match store.read(at).await {
        Ok(page) => page,
        Err(error) => return Err(other_history::<V>(error, Some(saved))),
    };
    // Retention may hide the event itself; then the page begins with a later one.
    let is_same = |event: &Recorded| match event.position() == anchor.position {
        true => event.id() == anchor.id && event.commit_time().micros() == anchor.commit_time,
        false => true,
    };
    let ends_before =
        page.events.is_empty() && !page.more && !store.head().await?.covers(&saved.cursor);
    if ends_before || !page.events.first().is_none_or(is_same) {
        return Err(history_error::<V>(Some(saved)));
    }
    Ok(())
}

/// Converts the error for a cursor that this store does not know.
fn other_history<V: View>(error: ReadError, saved: Option<&Saved>) -> ViewError {
    match error {
        ReadError::Invalid(Invalid {
            code: "cursor_ahead" | "cursor_foreign" | "cursor_of_lost_history",
            ..
        }) => history_error::<V>(saved),
        error => error.into(),
    }
}

fn history_error<V: View>(saved: Option<&Saved>) -> ViewError {
    let anchor = saved.and_then(|saved| saved.anchor.as_ref());
    let position = anchor.map_or(0, |anchor| anchor.position);
    ViewError::OtherHistory { view: V::NAME.to_owned(), position }
}
