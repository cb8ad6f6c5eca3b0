use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::FutureExt;
use leftfold_api::{
    Cursor, Delivery, DynSubscription, EventStore, ReadError, Recorded, Subscribe, Subscription,
};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::SubscriptionProgress;
use super::channel::{Piece, Source, into_channel};
use crate::access::{Caller, Denial, ReadPermit, Refusal};
use crate::limits::{Client, SharedLease, detach, memory_of};
use crate::state::State;

/// Bytes of a page whose memory is not counted: the number of subscriptions bounds it.
const SMALL_BYTES: usize = 4 << 10;

/// A running subscription of a caller, whatever the protocol. It ends when the caller loses the
/// right to read the query or its named index is defined anew, when the server shuts down, and when the store fails.
///
/// Nothing is read while the protocol asks for nothing: events wait in the log. A feed holds one
/// page of events, and the part that it gave last.
pub(crate) struct Feed {
    state: Arc<State>,
    permit: ReadPermit,
    subscription: DynSubscription,
    /// Deliveries of the page that was read last, and its memory.
    held: VecDeque<Delivery>,
    memory: SharedLease,
    client: Client,
    /// Whether it has not caught up yet. Until then its pages are read in the turns of `limits.pages`.
    is_behind: bool,
    /// Where the last delivery was that was passed on, while some are held.
    passed: Cursor,
    part_bytes: usize,
    closing: Pin<Box<dyn Future<Output = ()> + Send>>,
    denial: Pin<Box<dyn Future<Output = Denial> + Send>>,
    progress: SubscriptionProgress,
}

/// How a protocol wants a subscription to be served.
pub(crate) struct FeedOptions<'a> {
    /// The name by which metrics tell the subscription from others.
    pub(crate) name: Option<&'a str>,
    /// Bytes of events that fill a part.
    pub(crate) part_bytes: usize,
}

/// Events of a subscription, or a heartbeat.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// Events, each with the cursor to resume behind it. Empty in a heartbeat.
    pub(crate) events: Vec<(Recorded, Cursor)>,
    /// Whether all events so far have been delivered with this part.
    pub(crate) caught_up: bool,
    /// Where to resume behind this part.
    pub(crate) cursor: Cursor,
    /// The memory of its page, to be held until the part is sent.
    pub(crate) memory: SharedLease,
}

/// Why a subscription ended.
#[derive(Debug)]
pub(crate) enum End {
    /// The store can't be read.
    Store(ReadError),
    /// The caller may not read the query any more.
    Denial(Denial),
    /// There is no memory for a page.
    Full,
    /// The server is shutting down.
    Closing,
}

/// Why a subscription can't be started.
#[derive(Debug)]
pub(crate) enum SubscribeError {
    /// This many subscriptions are running, which is the limit.
    Full(usize),
    /// There is no memory for its first page.
    NoMemory,
    /// The caller may not read the query.
    Refused(Refusal),
    /// The store refused it.
    Store(ReadError),
}

impl Part {
    fn bytes(&self) -> usize {
        self.events.iter().map(|(event, _)| event.size()).sum()
    }

    /// Returns whether it holds nothing but the cursor.
    pub(crate) fn is_heartbeat(&self) -> bool {
        self.events.is_empty() && !self.caught_up
    }
}

enum Next {
    /// Deliveries are held.
    Held,
    /// A delivery from the store, and the turn in which it was read.
    Delivery(Result<Delivery, ReadError>, Option<OwnedSemaphorePermit>),
    Heartbeat,
    End(End),
}

impl Feed {
    /// Starts a subscription, if the caller may read its query.
    pub(crate) async fn start(
        state: Arc<State>,
        caller: Caller,
        subscribe: Subscribe,
        options: FeedOptions<'_>,
    ) -> Result<Self, SubscribeError> {
        let permit = caller.authorize_read(&subscribe.query).map_err(SubscribeError::Refused)?;
        let client = caller.client();
        let progress = state.subscriptions.begin(options.name, &client);
        let progress = progress.ok_or(SubscribeError::Full(state.config.subscriptions))?;
        let subscribe = Subscribe { query: permit.query().clone(), ..subscribe };
        // The first page comes with it.
        let turn = state.limits.pages.of_subscriptions().clone().acquire_owned().await;
        let subscription = state.store.subscribe(subscribe).await.map_err(SubscribeError::Store)?;
        let watched = state.clone();
        let closing = Box::pin(async move { watched.closed().await });
        let watched = permit.clone();
        let denial = Box::pin(async move { caller.loses(&watched).await });
        let part_bytes = options.part_bytes;
        let mut feed = Feed {
            state,
            permit,
            held: VecDeque::new(),
            memory: None,
            client,
            is_behind: true,
            passed: subscription.cursor(),
            subscription,
            part_bytes,
            closing,
            denial,
            progress,
        };
        feed.hold(None).map_err(|_| SubscribeError::NoMemory)?;
        drop(turn);
        Ok(feed)
    }

    /// Returns where to resume behind all parts so far.
    pub(crate) fn cursor(&self) -> Cursor {
        match self.held.is_empty() {
            true => self.subscription.cursor(),
            false => self.passed.clone(),
        }
    }

    /// Holds a delivery and what is already here behind it, if there is memory for it.
    fn hold(&mut self, first: Option<Delivery>) -> Result<(), End> {
        self.held.extend(first);
        self.held.extend(std::iter::from_fn(|| self.subscription.ready()));
        self.is_behind &= !matches!(self.held.back(), Some(Delivery::CaughtUp(_)));
        let mut events: Vec<_> = self.held.iter_mut().filter_map(event).collect();
        detach(events.iter_mut().map(|event| &mut **event));
        let bytes = memory_of(events.iter().map(|event| &**event));
        if bytes > SMALL_BYTES {
            let memory = self.state.limits.answers.take(&self.client, bytes);
            self.memory = Some(Arc::new(memory.ok_or(End::Full)?));
        }
        Ok(())
    }

    fn pass_on(&mut self) -> Option<Delivery> {
        let next = self.held.pop_front()?;
        let (Delivery::Event(_, cursor) | Delivery::CaughtUp(cursor)) = &next;
        self.passed = cursor.clone();
        Some(next)
    }

    /// Waits for the next part. After an end nothing more is to be asked for.
    pub(crate) async fn next(&mut self) -> Result<Part, End> {
        match self.wait().await {
            Next::Held => self.admitted_part(),
            Next::Delivery(delivery, turn) => {
                self.hold(Some(delivery.map_err(|error| self.failed(error))?))?;
                drop(turn);
                self.admitted_part()
            }
            Next::Heartbeat => {
                let advanced = self.subscription.advance().await;
                advanced.map_err(|error| self.failed(error))?;
                self.permit.check_index().map_err(End::Denial)?;
                let (events, memory) = (Vec::new(), None);
                Ok(Part { events, caught_up: false, cursor: self.cursor(), memory })
            }
            Next::End(end) => Err(end),
        }
    }

    fn admitted_part(&mut self) -> Result<Part, End> {
        let part = self.gather();
        let events = part.events.iter().map(|(event, _)| event);
        self.permit.admit(events).map_err(End::Denial)?;
        Ok(part)
    }

    /// Returns why it ended: an index that is not there now may be defined anew a moment later, so the client is
    /// to send its request again.
    fn failed(&self, error: ReadError) -> End {
        self.permit.check_index().map_or_else(End::Denial, |()| End::Store(error))
    }

    async fn wait(&mut self) -> Next {
        // Also while many events are ready.
        if self.state.is_closing() {
            return Next::End(End::Closing);
        }
        if let Some(denied) = (&mut self.denial).now_or_never() {
            return Next::End(End::Denial(denied));
        }
        if !self.held.is_empty() {
            return Next::Held;
        }
        self.memory = None;
        let (subscription, is_behind) = (&mut self.subscription, self.is_behind);
        let pages = self.state.limits.pages.of_subscriptions().clone();
        let delivery = async move {
            // What has caught up waits for events, and a turn must not.
            let turn = if is_behind { pages.acquire_owned().await.ok() } else { None };
            (subscription.next().await, turn)
        };
        tokio::select! {
            (delivery, turn) = delivery => Next::Delivery(delivery, turn),
            () = &mut self.closing => Next::End(End::Closing),
            denied = &mut self.denial => Next::End(End::Denial(denied)),
            () = tokio::time::sleep(self.state.config.heartbeat) => Next::Heartbeat,
        }
    }

    /// Gathers what is held, up to the bound in bytes.
    fn gather(&mut self) -> Part {
        let (mut events, mut bytes, mut caught_up) = (Vec::new(), 0, None);
        while bytes < self.part_bytes
            && let Some(delivery) = self.pass_on()
        {
            match delivery {
                Delivery::CaughtUp(cursor) => {
                    caught_up = Some(cursor);
                    break;
                }
                Delivery::Event(event, cursor) => {
                    bytes += event.size();
                    events.push((event, cursor));
                }
            }
        }
        match (&caught_up, events.last()) {
            (Some(_), _) => self.progress.set_caught_up(),
            // With many partitions a lag is a difference of sums.
            (None, Some((_, cursor))) => {
                self.progress.set_position(cursor.positions().iter().sum());
            }
            (None, None) => {}
        }
        let is_caught_up = caught_up.is_some();
        let cursor = caught_up.unwrap_or_else(|| self.cursor());
        Part { events, caught_up: is_caught_up, cursor, memory: self.memory.clone() }
    }

    /// Serves the subscription from a task of its own, which translates each part: see [`into_channel`].
    pub(crate) fn into_channel<T: Send + 'static>(
        self,
        translate: impl FnMut(Result<Part, End>) -> T + Send + 'static,
    ) -> mpsc::Receiver<T> {
        let state = self.state.clone();
        into_channel(Translated { feed: self, translate }, &state)
    }
}

fn event(delivery: &mut Delivery) -> Option<&mut Recorded> {
    match delivery {
        Delivery::Event(event, _) => Some(event),
        Delivery::CaughtUp(_) => None,
    }
}

/// A feed whose parts a protocol translates.
struct Translated<F> {
    feed: Feed,
    translate: F,
}

impl<T, F> Source for Translated<F>
where
    T: Send + 'static,
    F: FnMut(Result<Part, End>) -> T + Send + 'static,
{
    type Content = T;

    async fn next(&mut self) -> Piece<T> {
        let next = self.feed.next().await;
        let (bytes, is_last) = (next.as_ref().map_or(0, Part::bytes), next.is_err());
        Piece { content: (self.translate)(next), bytes, is_last }
    }
}

#[cfg(test)]
#[path = "feed_tests.rs"]
mod tests;
