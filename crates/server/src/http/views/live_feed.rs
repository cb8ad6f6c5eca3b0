//! The messages of a live query: its rows, their changes, heartbeats, and why it ends.

use std::future::ready;
use std::sync::Arc;

use axum::body::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use leftfold_api::{Engine, Query};
use leftfold_views::{LiveQuery, LiveUpdate};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;

use super::answer::Refused;
use crate::access::{Caller, Denial};
use crate::http::Problem;
use crate::http::event_stream::{closing, problem_message, write_message};
use crate::limits::Lease;
use crate::state::{State, SubscriptionProgress};
use crate::subscriptions::{Piece, Source};

/// How often `limits.ask_time` the first answer may take: it waits for a place, and then is found.
const FIRST_TIMES: u32 = 2;

type Served = LiveQuery<Arc<dyn Engine>>;
type Updated = (Served, Result<LiveUpdate, Refused>);

/// A live query of a caller. It ends when the caller loses the right to ask one of its views, when a view fails or is
/// removed, and when the server shuts down.
pub(super) struct LiveFeed {
    state: Arc<State>,
    asker: Arc<Asker>,
    /// The next update. It goes on while heartbeats are sent, so that it keeps its turn among live queries.
    next: BoxFuture<'static, Updated>,
    closing: BoxFuture<'static, ()>,
    denial: BoxFuture<'static, Denial>,
    _places: (Lease, SubscriptionProgress),
}

/// Who asks, and what it was authorized for.
struct Asker {
    state: Arc<State>,
    caller: Caller,
    /// The queries of the views that were asked last.
    asked: Mutex<Vec<Query>>,
}

impl Asker {
    /// Authorizes an answer from the tables that will be read, which may be others than before, and waits for its turn.
    async fn admit(&self, views: Vec<(String, Query)>) -> Result<OwnedSemaphorePermit, Refused> {
        let queries: Vec<_> = views.into_iter().map(|(_, query)| query).collect();
        let check = || queries.iter().try_for_each(|query| self.caller.may_ask_view(query));
        check()?;
        let asks = self.state.views.live_asks.clone();
        let turn = asks.acquire_owned().await.map_err(|_| Refused::Problem(closing()))?;
        check()?;
        *self.asked.lock() = queries;
        Ok(turn)
    }

    fn next(self: &Arc<Self>, mut live: Served) -> BoxFuture<'static, Updated> {
        let asker = self.clone();
        async move {
            let update = live.next_admitted(|views| asker.admit(views)).await;
            (live, update)
        }
        .boxed()
    }
}

impl LiveFeed {
    /// Finds the first answer.
    ///
    /// # Errors
    /// The caller may not ask it, it is wrong or too large, or its turn does not come in time.
    pub(super) async fn start(
        state: Arc<State>,
        caller: Caller,
        live: Served,
        places: (Lease, SubscriptionProgress),
    ) -> Result<Self, Problem> {
        // It has no position in the log that could lag.
        places.1.set_caught_up();
        let asker = Asker { state: state.clone(), caller, asked: Mutex::default() };
        let asker = Arc::new(asker);
        let within = state.config.ask_time.saturating_mul(FIRST_TIMES);
        let first = tokio::time::timeout(within, asker.next(live)).await;
        let (live, first) = first.map_err(|_| {
            let message = "the live queries before it took too long; try again later";
            Problem::new("server_overloaded", message)
        })?;
        let next = ready((live, Ok(first?))).boxed();
        let watched = state.clone();
        let closing = async move { watched.closed().await }.boxed();
        let watched = asker.clone();
        let denial =
            async move { watched.caller.loses_views(|| watched.asked.lock().clone()).await }
                .boxed();
        Ok(LiveFeed { state, asker, next, closing, denial, _places: places })
    }

    /// Returns the message of an update, and waits for the one behind it from then on.
    fn update(&mut self, live: Served, update: &LiveUpdate) -> Piece<Bytes> {
        self.next = self.asker.next(live);
        match update {
            LiveUpdate::Rows(answer) => message("rows", answer),
            LiveUpdate::Changes(changes) => message("changes", changes),
            _ => heartbeat(),
        }
    }
}

impl Source for LiveFeed {
    type Content = Bytes;

    async fn next(&mut self) -> Piece<Bytes> {
        // Also while updates are ready.
        if self.state.is_closing() {
            return end(&closing());
        }
        if let Some(denied) = (&mut self.denial).now_or_never() {
            return end(&denied.into());
        }
        tokio::select! {
            (live, update) = &mut self.next => match update {
                Ok(update) => self.update(live, &update),
                Err(refused) => end(&refused.into()),
            },
            () = &mut self.closing => end(&closing()),
            denied = &mut self.denial => end(&denied.into()),
            () = tokio::time::sleep(self.state.config.heartbeat) => heartbeat(),
        }
    }
}

fn end(problem: &Problem) -> Piece<Bytes> {
    Piece { is_last: true, ..piece(problem_message(problem)) }
}

fn message(kind: &str, update: &impl Serialize) -> Piece<Bytes> {
    let mut text = Vec::new();
    write_message(&mut text, Some(kind), None, &serde_json::to_vec(update).unwrap_or_default());
    piece(text.into())
}

fn heartbeat() -> Piece<Bytes> {
    piece(Bytes::from_static(b": alive\n\n"))
}

fn piece(content: Bytes) -> Piece<Bytes> {
    Piece { bytes: content.len(), content, is_last: false }
}
