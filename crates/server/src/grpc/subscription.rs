use std::sync::Arc;

use futures_util::stream::unfold;
use futures_util::{FutureExt, Stream};
use leftfold_api::DynSubscription;
use leftfold_api::{Cursor, Delivery, EventStore, ReadError, Recorded, Subscribe, Subscription};
use leftfold_wire::{EventForm, MESSAGE_BYTES, PackedEvents, delivery_part, v1};
use tonic::Status;

use super::{Closing, Lost, begin, closing, status};
use crate::access::{Caller, Denied};
use crate::state::{State, Subscribed};

/// A subscription, sent in parts as the client takes them. While it does not, nothing is read: what
/// comes waits in the log.
pub(super) struct Delivering {
    state: Arc<State>,
    closing: Closing,
    /// Comes true when the caller may not have it any more.
    lost: Lost,
    subscription: DynSubscription,
    form: EventForm,
    /// Where the client knows it to be; none before it was told where it begins.
    told: Option<Cursor>,
    failed: bool,
    /// How far it is, for whoever watches.
    progress: Subscribed,
}

/// What comes next.
enum Next {
    Delivery(Result<Delivery, ReadError>),
    /// Time to say how far it is.
    Heartbeat,
    Closing,
    Lost(Denied),
}

impl Delivering {
    pub(super) async fn start(
        state: Arc<State>,
        caller: Caller,
        subscribe: Subscribe,
        form: EventForm,
    ) -> Result<Self, Status> {
        let progress = begin(&state)?;
        let query = subscribe.query.clone();
        let subscription = state.store.subscribe(subscribe).await.map_err(status::read)?;
        let closing = closing(&state);
        let lost = Box::pin(async move { caller.loses(&query).await });
        let (told, failed) = (None, false);
        Ok(Delivering { state, closing, lost, subscription, form, told, failed, progress })
    }

    /// The parts.
    pub(super) fn parts(self) -> impl Stream<Item = Result<v1::SubscribeResponse, Status>> + Send {
        unfold(self, |mut delivering| async move {
            if delivering.failed {
                return None;
            }
            let part = delivering.next().await;
            delivering.failed = part.is_err();
            Some((part, delivering))
        })
    }

    async fn next(&mut self) -> Result<v1::SubscribeResponse, Status> {
        if self.told.is_none() {
            return Ok(self.part(Vec::new(), false));
        }
        loop {
            match self.wait().await {
                Next::Delivery(delivery) => {
                    let first = delivery.map_err(status::read)?;
                    let (events, caught_up) = self.gather(first);
                    return Ok(self.part(events, caught_up));
                }
                Next::Heartbeat => {
                    self.subscription.advance().await.map_err(status::read)?;
                    if self.told != Some(self.subscription.cursor()) {
                        return Ok(self.part(Vec::new(), false));
                    }
                }
                Next::Closing => return Err(status::closing()),
                Next::Lost(denied) => return Err(status::denied(denied)),
            }
        }
    }

    async fn wait(&mut self) -> Next {
        // Also while there is much to deliver.
        if let Some(denied) = (&mut self.lost).now_or_never() {
            return Next::Lost(denied);
        }
        if let Some(delivery) = self.subscription.ready() {
            return Next::Delivery(Ok(delivery));
        }
        tokio::select! {
            delivery = self.subscription.next() => Next::Delivery(delivery),
            () = &mut self.closing => Next::Closing,
            denied = &mut self.lost => Next::Lost(denied),
            () = tokio::time::sleep(self.state.config.heartbeat) => Next::Heartbeat,
        }
    }

    /// What can be sent together with a delivery, and whether all is delivered then.
    fn gather(&mut self, first: Delivery) -> (Vec<(Recorded, Cursor)>, bool) {
        let (mut events, mut bytes, mut next) = (Vec::new(), 0, Some(first));
        while let Some(delivery) = next {
            match delivery {
                Delivery::CaughtUp(_) => return (events, true),
                Delivery::Event(event, cursor) => {
                    bytes += PackedEvents::bytes_of(&event);
                    events.push((event, cursor));
                }
            }
            next = if bytes < MESSAGE_BYTES { self.subscription.ready() } else { None };
        }
        (events, false)
    }

    fn part(&mut self, events: Vec<(Recorded, Cursor)>, caught_up: bool) -> v1::SubscribeResponse {
        let cursor = self.subscription.cursor();
        self.told = Some(cursor.clone());
        match events.last() {
            _ if caught_up => self.progress.is_caught_up(),
            Some((event, _)) => self.progress.is_at(event.position()),
            None => {}
        }
        delivery_part(events, &self.form, cursor, caught_up)
    }
}
