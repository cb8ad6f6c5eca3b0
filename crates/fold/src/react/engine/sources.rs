use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{Either, select};
use futures_util::stream::{FuturesUnordered, Stream};
use leftfold_api::{Delivery, EventStore, Query, ReadError, Subscribe, Subscription, Timestamp};
use tracing::Instrument;

use super::commit::WriteResult;
use super::waiting::WatchResult;
use crate::react::across;
use crate::react::cause::Cause;
use crate::react::core::{Job, Page, PageRequest};
use crate::react::handler::Handler;
use crate::react::handler_error::HandlerError;
use crate::react::journal::LowMark;
use crate::react::options::without_bookkeeping;
use crate::react::reaction::Reaction;
use crate::time::{Time, Waiting};

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Next<S> = (<S as EventStore>::Subscription, Result<Delivery, ReadError>);

/// A result that wakes the engine.
pub(super) enum Wakeup {
    Stop,
    Time,
    Handled(String, Box<Cause>, Result<Reaction, HandlerError>),
    WriteResult(Box<WriteResult>),
    Fetched(String, LowMark, Result<Page, ReadError>),
    Event(Result<Delivery, ReadError>),
    Request(Result<Delivery, ReadError>),
    WatchResult(WatchResult),
}

/// A subscription that is polled only when there is room for its events.
struct LazySubscription<S: EventStore> {
    idle: Option<S::Subscription>,
    next: Option<Boxed<Next<S>>>,
}

/// All that an engine waits for at a time.
pub(super) struct Sources<S: EventStore> {
    events: LazySubscription<S>,
    requests: LazySubscription<S>,
    work: FuturesUnordered<Boxed<Wakeup>>,
    write: Option<Boxed<WriteResult>>,
    sleep: Option<(Timestamp, Waiting)>,
    /// The subscription to new events, for lanes that wait for a dependency.
    following: Option<LazySubscription<S>>,
    starting: Option<Boxed<Result<S::Subscription, ReadError>>>,
}

impl<S: EventStore> LazySubscription<S> {
    fn to(subscription: S::Subscription) -> Self {
        LazySubscription { idle: Some(subscription), next: None }
    }

    fn ask(&mut self) {
        if let Some(mut subscription) = self.idle.take() {
            // The subscription moves into the future, so that no delivery is interrupted by another
            // event.
            self.next = Some(Box::pin(async move {
                let delivery = subscription.next().await;
                (subscription, delivery)
            }));
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Delivery, ReadError>> {
        let Some(next) = &mut self.next else { return Poll::Pending };
        let Poll::Ready((subscription, delivery)) = next.as_mut().poll(cx) else {
            return Poll::Pending;
        };
        (self.idle, self.next) = (Some(subscription), None);
        Poll::Ready(delivery)
    }
}

impl<S> Sources<S>
where
    S: EventStore + 'static,
{
    pub(super) fn new(events: S::Subscription, requests: S::Subscription) -> Self {
        Sources {
            events: LazySubscription::to(events),
            requests: LazySubscription::to(requests),
            work: FuturesUnordered::new(),
            write: None,
            sleep: None,
            following: None,
            starting: None,
        }
    }

    pub(super) fn listen_to_events(&mut self) {
        self.events.ask();
    }

    pub(super) fn listen_to_requests(&mut self) {
        self.requests.ask();
    }

    /// Starts to follow all new events from now on.
    pub(super) fn follow_new_events(&mut self, store: Arc<S>) {
        self.starting = Some(Box::pin(async move {
            let head = store.head().await?;
            let everything = without_bookkeeping(Query::All);
            store.subscribe(Subscribe::after(everything, head)).await
        }));
    }

    pub(super) fn stop_following(&mut self) {
        self.following = None;
    }

    pub(super) fn listen_to_new_events(&mut self) {
        self.following.iter_mut().for_each(LazySubscription::ask);
    }

    /// Calls the handler, within a time limit if there is one.
    pub(super) fn work(
        &mut self,
        store: Arc<S>,
        handler: Arc<impl Handler>,
        reactor: &str,
        job: Job,
        limit: Option<(Duration, Waiting)>,
    ) {
        let Job { lane, cause } = job;
        let span = span_of(reactor, &cause);
        let work = async move {
            let handled = AssertUnwindSafe(handle(&*store, &*handler, &cause)).catch_unwind();
            let ended = match limit {
                None => handled.await,
                Some((limit, over)) => match select(pin!(handled), over).await {
                    Either::Left((ended, _)) => ended,
                    Either::Right(_) => Ok(Err(HandlerError::over_time(limit))),
                },
            };
            let ended = ended.unwrap_or_else(|panic| Err(HandlerError::retry(panicked(&*panic))));
            if let Err(error) = &ended {
                tracing::debug!(reason = error.reason(), "the handler has not finished its event");
            }
            Wakeup::Handled(lane, Box::new(cause), ended)
        };
        self.push(work.instrument(span));
    }

    /// Reads the next events of a lane.
    pub(super) fn fetch(&mut self, store: Arc<S>, query: Query, fetch: PageRequest, most: usize) {
        self.push(async move {
            let page = page(&*store, query, &fetch, most).await;
            Wakeup::Fetched(fetch.lane, fetch.upto, page)
        });
    }

    pub(super) fn push(&mut self, work: impl Future<Output = Wakeup> + Send + 'static) {
        self.work.push(Box::pin(work));
    }

    pub(super) fn is_writing(&self) -> bool {
        self.write.is_some()
    }

    pub(super) fn writing(&mut self, write: Boxed<WriteResult>) {
        self.write = Some(write);
    }

    /// Sets the time at which to wake up.
    pub(super) fn sleep(&mut self, due: Timestamp, time: &dyn Time) {
        if self.sleep.as_ref().is_none_or(|(at, _)| *at != due) {
            self.sleep = Some((due, time.until(due)));
        }
    }

    pub(super) fn no_sleep(&mut self) {
        self.sleep = None;
    }

    /// Waits for the next result.
    pub(super) async fn next(
        &mut self,
        mut stop: Option<&mut Pin<Box<dyn Future<Output = ()> + Send + '_>>>,
    ) -> Wakeup {
        poll_fn(|cx| {
            if let Some(stop) = &mut stop
                && stop.as_mut().poll(cx).is_ready()
            {
                return Poll::Ready(Wakeup::Stop);
            }
            self.poll(cx)
        })
        .await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Wakeup> {
        if let Some(write) = &mut self.write
            && let Poll::Ready(written) = write.as_mut().poll(cx)
        {
            self.write = None;
            return Poll::Ready(Wakeup::WriteResult(Box::new(written)));
        }
        if let Poll::Ready(Some(wakeup)) = Pin::new(&mut self.work).poll_next(cx) {
            return Poll::Ready(wakeup);
        }
        if let Poll::Ready(delivery) = self.requests.poll(cx) {
            return Poll::Ready(Wakeup::Request(delivery));
        }
        if let Poll::Ready(watched) = self.poll_following(cx) {
            return Poll::Ready(Wakeup::WatchResult(watched));
        }
        if let Poll::Ready(delivery) = self.events.poll(cx) {
            return Poll::Ready(Wakeup::Event(delivery));
        }
        if let Some((_, sleep)) = &mut self.sleep
            && sleep.as_mut().poll(cx).is_ready()
        {
            self.sleep = None;
            return Poll::Ready(Wakeup::Time);
        }
        Poll::Pending
    }

    fn poll_following(&mut self, cx: &mut Context<'_>) -> Poll<WatchResult> {
        if let Some(starting) = &mut self.starting
            && let Poll::Ready(started) = starting.as_mut().poll(cx)
        {
            self.starting = None;
            let started =
                started.map(|following| self.following = Some(LazySubscription::to(following)));
            return Poll::Ready(WatchResult::Started(started));
        }
        match &mut self.following {
            Some(following) => following.poll(cx).map(WatchResult::NewEvent),
            None => Poll::Pending,
        }
    }
}

/// Calls the handler, and decides the commands of its reaction.
async fn handle(
    store: &impl EventStore,
    handler: &impl Handler,
    cause: &Cause,
) -> Result<Reaction, HandlerError> {
    let call = async { handler.handle(cause.clone()).await?.complete(cause, &store).await };
    match cause.place {
        Some(place) => across::settle(store, place, cause, call).await,
        None => call.await,
    }
}

/// Returns the span of a call of the handler.
fn span_of(reactor: &str, cause: &Cause) -> tracing::Span {
    let event = &cause.event;
    tracing::debug_span!(
        "react",
        reactor,
        stream = event.stream(),
        version = event.version(),
        event_type = event.event_type(),
        correlation = event.correlation(),
        attempt = cause.attempt,
    )
}

/// Reads the next events of a lane, up to the last one that had arrived at the request.
async fn page(
    store: &impl EventStore,
    query: Query,
    fetch: &PageRequest,
    most: usize,
) -> Result<Page, ReadError> {
    let mut subscription = store.subscribe(Subscribe::after(query, fetch.after.clone())).await?;
    let mut page = Page { events: Vec::new(), cursor: fetch.after.clone(), reached: false };
    while page.events.len() < most {
        match subscription.next().await? {
            Delivery::Event(event, at) if event.position() <= fetch.upto.position => {
                page.cursor = at.clone();
                page.events.push((event, at));
            }
            Delivery::Event(..) => {
                page.reached = true;
                break;
            }
            Delivery::CaughtUp(at) => {
                (page.cursor, page.reached) = (at, true);
                break;
            }
        }
    }
    Ok(page)
}

/// Returns the error text for a panic.
fn panicked(panic: &(dyn std::any::Any + Send)) -> String {
    format!("the handler panicked: {}", crate::panic::panic_text(panic))
}
