//! Where the events of a run come from.

use std::sync::Arc;

use leftfold_api::{Cursor, EventStore, Point, ReadError, Start, Subscribe};
use leftfold_fold::view::Source;

/// A store whose beginning is elsewhere: a sink that has stored nothing begins there.
pub(super) struct StartsAfter<S> {
    pub(super) store: Arc<S>,
    pub(super) start: Cursor,
}

impl<S: EventStore> Source for StartsAfter<S> {
    type Subscription = S::Subscription;

    async fn follow(&self, mut subscribe: Subscribe) -> Result<Self::Subscription, ReadError> {
        if matches!(&subscribe.from, Start::Excluding(Point::Cursor(at)) if at.is_start()) {
            subscribe.from = Start::Excluding(Point::Cursor(self.start.clone()));
        }
        self.store.subscribe(subscribe).await
    }
}
