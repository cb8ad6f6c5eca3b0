//! Takes over what is said of accounts, by whomever it was said.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use leftfold_api::Engine;
use leftfold_api::{
    Coded, Cursor, Delivery, EventStore, Failure, From, Point, Query, Read, ReadError, Subscribe,
    Subscription,
};

use super::accounts::{Accounts, STREAM};
use super::{Access, Inner};

/// Events of a page.
const PAGE: usize = 1_000;
/// After the store could not be read it is tried again so much later.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

impl Access {
    /// Takes over all changes that are durable, and at least those up to a cursor.
    pub(super) async fn catch_up(&self, at_least: Option<Cursor>) -> Result<(), ReadError> {
        let _following = self.0.following.lock().await;
        self.take_over(at_least).await
    }

    /// The same, for whoever holds the lock.
    pub(super) async fn take_over(&self, at_least: Option<Cursor>) -> Result<(), ReadError> {
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
                    tracing::error!(position, wrong, "an event of {STREAM} is not understood");
                    self.0.is_broken.store(true, Ordering::Release);
                    self.0.changed.send_modify(|number| *number += 1);
                    let what = "it says something of accounts that is not understood";
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
        self.0.audit.writes(!accounts.is_open());
        self.0.accounts.store(Arc::new(accounts));
        if is_new {
            self.0.changed.send_modify(|number| *number += 1);
        }
        Ok(())
    }
}

/// Follows the stream for as long as somebody needs it.
pub(super) async fn run(store: Arc<dyn Engine>, inner: Weak<Inner>) {
    loop {
        let Some(strong) = inner.upgrade() else { return };
        let cursor = strong.accounts.load().cursor.clone();
        drop(strong);
        let from = From::Excluding(Point::Cursor(cursor));
        let subscribe = Subscribe { from, ..Subscribe::to(Query::stream(STREAM)) };
        if let Err(error) = follow(&*store, subscribe, &inner).await {
            if error.code() == "store_closed" {
                return;
            }
            tracing::error!(%error, "what is said of users can't be followed");
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
