//! A subscription to this node's copy, which goes on when the copy is opened again.

use leftfold_api::{
    Cursor, Delivery, EventStore, Point, ReadError, Start, Subscribe, Subscription,
};
use leftfold_store::LiveSubscription;

use super::{ClusterStore, PATIENCE, PAUSE, has_ended};

/// A subscription to the store of a cluster.
pub struct ClusterSubscription {
    store: ClusterStore,
    /// How to go on in another copy.
    resume: Subscribe,
    /// Whether the subscriber was told that it has caught up.
    has_caught_up: bool,
    live: LiveSubscription,
}

impl ClusterSubscription {
    pub(super) async fn start(
        store: ClusterStore,
        subscribe: Subscribe,
    ) -> Result<Self, ReadError> {
        let live = open(&store, &subscribe).await?;
        Ok(ClusterSubscription { store, resume: subscribe, has_caught_up: false, live })
    }

    fn deliver(&mut self, delivery: Delivery) -> Option<Delivery> {
        let (Delivery::Event(_, cursor) | Delivery::CaughtUp(cursor)) = &delivery;
        self.resume.from = Start::Excluding(Point::Cursor(cursor.clone()));
        let is_mark = matches!(delivery, Delivery::CaughtUp(_));
        let is_repeated = is_mark && self.has_caught_up;
        self.has_caught_up |= is_mark;
        (!is_repeated).then_some(delivery)
    }
}

/// Subscribes to the copy once it has all that is committed now, or to the next one if it is being replaced.
async fn open(store: &ClusterStore, subscribe: &Subscribe) -> Result<LiveSubscription, ReadError> {
    let deadline = store.shared.time.now() + PATIENCE;
    loop {
        let copy = store.copy(deadline).await?;
        let subscribed = async {
            store.catch_up(&copy).await?;
            copy.subscribe(subscribe.clone()).await
        };
        match subscribed.await {
            Err(error) if has_ended(&error) && store.shared.time.now() < deadline => {
                store.shared.time.after(PAUSE).await;
            }
            done => return done,
        }
    }
}

impl Subscription for ClusterSubscription {
    async fn next(&mut self) -> Result<Delivery, ReadError> {
        loop {
            let delivery = match self.live.next().await {
                Err(error) if has_ended(&error) => {
                    // The copy that failed may be there a moment longer.
                    self.store.shared.time.after(PAUSE).await;
                    self.live = open(&self.store, &self.resume).await?;
                    continue;
                }
                delivery => delivery?,
            };
            if let Some(delivery) = self.deliver(delivery) {
                return Ok(delivery);
            }
        }
    }

    fn ready(&mut self) -> Option<Delivery> {
        loop {
            let delivery = self.live.ready()?;
            if let Some(delivery) = self.deliver(delivery) {
                return Some(delivery);
            }
        }
    }

    async fn advance(&mut self) -> Result<(), ReadError> {
        match self.live.advance().await {
            // The next call of `next` subscribes anew.
            Err(error) if has_ended(&error) => Ok(()),
            done => done,
        }
    }

    fn cursor(&self) -> Cursor {
        self.live.cursor()
    }
}
