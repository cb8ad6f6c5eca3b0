use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, Stream};
use leftfold_api::{Delivery, EventStore, Query, ReadError, Subscribe, Subscription, Timestamp};

use super::commit::Written;
use super::waiting::Watched;
use crate::reactor::cause::Cause;
use crate::reactor::core::{Fetch, Job, Page};
use crate::reactor::handler::Handler;
use crate::reactor::journal::Low;
use crate::reactor::options::without_bookkeeping;
use crate::reactor::results::Results;
use crate::reactor::setback::Setback;
use crate::time::{Time, Waiting};

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Next<S> = (<S as EventStore>::Subscription, Result<Delivery, ReadError>);

/// What an engine is woken by.
pub(super) enum Happened {
    Stop,
    Time,
    Handled(String, Box<Cause>, Result<Results, Setback>),
    Written(Box<Written>),
    Fetched(String, Low, Result<Page, ReadError>),
    Event(Result<Delivery, ReadError>),
    Request(Result<Delivery, ReadError>),
    Watched(Watched),
}

/// A subscription that is asked only when there is room for what it delivers.
struct Listening<S: EventStore> {
    idle: Option<S::Subscription>,
    next: Option<Boxed<Next<S>>>,
}

/// All that an engine waits for at a time.
pub(super) struct Sources<S: EventStore> {
    events: Listening<S>,
    requests: Listening<S>,
    work: FuturesUnordered<Boxed<Happened>>,
    write: Option<Boxed<Written>>,
    sleep: Option<(Timestamp, Waiting)>,
    /// All that comes, for those who wait for something.
    following: Option<Listening<S>>,
    starting: Option<Boxed<Result<S::Subscription, ReadError>>>,
}

impl<S: EventStore<Subscription: 'static>> Listening<S> {
    fn to(subscription: S::Subscription) -> Self {
        Listening { idle: Some(subscription), next: None }
    }

    fn ask(&mut self) {
        if let Some(mut subscription) = self.idle.take() {
            // The subscription goes along, so that no delivery is cut short by what else happens.
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
    S: EventStore<Subscription: 'static> + 'static,
{
    pub(super) fn new(events: S::Subscription, requests: S::Subscription) -> Self {
        Sources {
            events: Listening::to(events),
            requests: Listening::to(requests),
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

    /// Begins to follow all that comes from now on.
    pub(super) fn follow_what_comes(&mut self, store: Arc<S>) {
        self.starting = Some(Box::pin(async move {
            let head = store.head().await?;
            let everything = without_bookkeeping(Query::All);
            store.subscribe(Subscribe::after(everything, head)).await
        }));
    }

    pub(super) fn follow_no_more(&mut self) {
        self.following = None;
    }

    pub(super) fn listen_to_what_comes(&mut self) {
        self.following.iter_mut().for_each(Listening::ask);
    }

    /// Calls the handler.
    pub(super) fn work(&mut self, handler: Arc<impl Handler>, job: Job) {
        let Job { lane, cause } = job;
        self.push(async move {
            let handled = AssertUnwindSafe(handler.handle(cause.clone())).catch_unwind().await;
            let ended = handled.unwrap_or_else(|panic| Err(Setback::retry(words_of(&*panic))));
            Happened::Handled(lane, Box::new(cause), ended)
        });
    }

    /// Reads the next events of a lane.
    pub(super) fn fetch(&mut self, store: Arc<S>, query: Query, fetch: Fetch, most: usize) {
        self.push(async move {
            let page = page(&*store, query, &fetch, most).await;
            Happened::Fetched(fetch.lane, fetch.upto, page)
        });
    }

    pub(super) fn push(&mut self, work: impl Future<Output = Happened> + Send + 'static) {
        self.work.push(Box::pin(work));
    }

    pub(super) fn is_writing(&self) -> bool {
        self.write.is_some()
    }

    pub(super) fn writing(&mut self, write: Boxed<Written>) {
        self.write = Some(write);
    }

    /// Wakes up then.
    pub(super) fn sleep(&mut self, due: Timestamp, time: &dyn Time) {
        if self.sleep.as_ref().is_none_or(|(at, _)| *at != due) {
            self.sleep = Some((due, time.until(due)));
        }
    }

    pub(super) fn no_sleep(&mut self) {
        self.sleep = None;
    }

    /// The next thing that happens.
    pub(super) async fn next(
        &mut self,
        mut stop: Option<&mut Pin<Box<dyn Future<Output = ()> + Send + '_>>>,
    ) -> Happened {
        poll_fn(|cx| {
            if let Some(stop) = &mut stop
                && stop.as_mut().poll(cx).is_ready()
            {
                return Poll::Ready(Happened::Stop);
            }
            self.poll(cx)
        })
        .await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Happened> {
        if let Some(write) = &mut self.write
            && let Poll::Ready(written) = write.as_mut().poll(cx)
        {
            self.write = None;
            return Poll::Ready(Happened::Written(Box::new(written)));
        }
        if let Poll::Ready(Some(happened)) = Pin::new(&mut self.work).poll_next(cx) {
            return Poll::Ready(happened);
        }
        if let Poll::Ready(delivery) = self.requests.poll(cx) {
            return Poll::Ready(Happened::Request(delivery));
        }
        if let Poll::Ready(watched) = self.poll_following(cx) {
            return Poll::Ready(Happened::Watched(watched));
        }
        if let Poll::Ready(delivery) = self.events.poll(cx) {
            return Poll::Ready(Happened::Event(delivery));
        }
        if let Some((_, sleep)) = &mut self.sleep
            && sleep.as_mut().poll(cx).is_ready()
        {
            self.sleep = None;
            return Poll::Ready(Happened::Time);
        }
        Poll::Pending
    }

    fn poll_following(&mut self, cx: &mut Context<'_>) -> Poll<Watched> {
        if let Some(starting) = &mut self.starting
            && let Poll::Ready(started) = starting.as_mut().poll(cx)
        {
            self.starting = None;
            let started = started.map(|following| self.following = Some(Listening::to(following)));
            return Poll::Ready(Watched::Started(started));
        }
        match &mut self.following {
            Some(following) => following.poll(cx).map(Watched::Came),
            None => Poll::Pending,
        }
    }
}

/// The next events of a lane, of those that had come already when they are asked for.
async fn page(
    store: &impl EventStore,
    query: Query,
    fetch: &Fetch,
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

/// What a panic said.
fn words_of(panic: &(dyn std::any::Any + Send)) -> String {
    let words = panic.downcast_ref::<&str>().map(|words| (*words).to_owned());
    let words = words.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("the handler panicked: {}", words.unwrap_or_default())
}
