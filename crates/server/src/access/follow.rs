//! Applies the changes of accounts that are in the store, whichever server made them.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use leftfold_api::Engine;
use leftfold_api::{
    Coded, Cursor, Delivery, EventStore, Failure, Point, Query, Read, ReadError, Start, Subscribe,
    Subscription,
};

use super::accounts::{Accounts, STREAM};
use super::state::{Access, Inner};

/// Events of a page.
const PAGE: usize = 1_000;
/// The pause before the store is read again after a failure.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

impl Access {
    /// Applies all durable changes, and at least those up to a cursor.
    pub(super) async fn catch_up(&self, at_least: Option<Cursor>) -> Result<(), ReadError> {
        let _following = self.0.following.lock().await;
        self.apply_changes(at_least).await
    }

    /// Applies the changes while the caller holds the lock.
    pub(super) async fn apply_changes(&self, at_least: Option<Cursor>) -> Result<(), ReadError> {
        let mut accounts = Accounts::clone(&self.0.accounts.load());
        let before = accounts.version;
        loop {
            let read = Read {
                at_least: at_least.clone(),
                ..Read::forward(Query::stream(STREAM))
                    .excluding(Point::Cursor(accounts.cursor.clone()))
                    .limit(PAGE)
            };
            let page = self.0.store.read(read).await?;
            for event in &page.events {
                if let Err(wrong) = accounts.apply(event) {
                    let position = event.position();
                    tracing::error!(position, wrong, "an event of {STREAM} can't be understood");
                    self.0.is_broken.store(true, Ordering::Release);
                    self.0.changed.send_modify(|number| *number += 1);
                    let what = "a change of accounts that this release does not know";
                    return Err(Failure::Record { position, what }.into());
                }
            }
            accounts.cursor = page.cursor;
            if !page.more {
                break;
            }
        }
        let is_new = accounts.version != before;
        if is_new {
            accounts.settle();
        }
        self.0.audit.set_writes(!accounts.is_open());
        self.0.accounts.store(Arc::new(accounts));
        if is_new {
            self.0.changed.send_modify(|number| *number += 1);
        }
        Ok(())
    }
}

/// Follows the stream until its `Access` is dropped.
pub(super) async fn run(store: Arc<dyn Engine>, inner: Weak<Inner>) {
    loop {
        let Some(strong) = inner.upgrade() else { return };
        let cursor = strong.accounts.load().cursor.clone();
        drop(strong);
        let from = Start::Excluding(Point::Cursor(cursor));
        let subscribe = Subscribe { from, ..Subscribe::to(Query::stream(STREAM)) };
        if let Err(error) = follow(&*store, subscribe, &inner).await {
            if error.code() == "store_closed" {
                return;
            }
            tracing::error!(%error, "the changes of accounts can't be followed");
        }
        tokio::time::sleep(AFTER_FAILURE).await;
    }
}

async fn follow(
    store: &dyn Engine,
    subscribe: Subscribe,
    inner: &Weak<Inner>,
) -> Result<(), ReadError> {
    let mut subscription = store.subscribe(subscribe).await?;
    loop {
        if let Delivery::Event(..) = subscription.next().await? {
            let Some(strong) = inner.upgrade() else { return Ok(()) };
            Access(strong).catch_up(None).await?;
        }
    }
}
