//! Live queries of views, as server-sent events.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State as SharedState;
use axum::response::Response;
use leftfold_views::QuestionText;

use super::answer::{check_length, find_question};
use super::live_feed::LiveFeed;
use super::shapes::LiveParams;
use crate::access::Caller;
use crate::http::Problem;
use crate::http::event_stream::event_stream;
use crate::http::extract::{PathParams, QueryParams, RequestCaller};
use crate::http::subscribe::too_many;
use crate::state::State;
use crate::subscriptions::into_channel;

/// The shortest and the longest time between two comparisons, in milliseconds.
const PERIODS: std::ops::RangeInclusive<u64> = 100..=600_000;

/// Follow the answer to a query, until the client disconnects. A message of the type `rows` has the whole answer, with
/// `columns`, `rows` and `cursors`: it comes first, and again if a replaced view has other columns. One of the type
/// `changes` has the rows that were `added` and `removed`, pairs of `before` and `after` in `changed`, and `cursors`.
/// One of the type `problem` is the last. A client that connects again gets all rows again.
#[utoipa::path(
    get, path = "/v1/query/live", tag = "views", operation_id = "follow_answer", params(LiveParams),
    responses((status = 200, description = "Server-sent events", body = String,
               content_type = "text/event-stream"))
)]
pub(super) async fn follow_answer(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
    QueryParams(params): QueryParams<LiveParams>,
) -> Result<Response, Problem> {
    follow(state, caller, None, params).await
}

/// Follow the answer to a query of one view. Its tables need no schema.
#[utoipa::path(
    get, path = "/v1/views/{view}/query/live", tag = "views", operation_id = "follow_answer_of_view",
    params(("view" = String, Path, description = "Its name", min_length = 1), LiveParams),
    responses((status = 200, description = "Server-sent events", body = String,
               content_type = "text/event-stream"))
)]
pub(super) async fn follow_answer_of_view(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
    PathParams(view): PathParams<String>,
    QueryParams(params): QueryParams<LiveParams>,
) -> Result<Response, Problem> {
    follow(state, caller, Some(&view), params).await
}

async fn follow(
    state: Arc<State>,
    caller: Caller,
    view: Option<&str>,
    params: LiveParams,
) -> Result<Response, Problem> {
    let started = Instant::now();
    let feed = start(&state, caller, view, params).await;
    state.metrics.asked(started, feed.as_ref().err().map(|problem| problem.code));
    Ok(event_stream(into_channel(feed?, &state)))
}

/// Starts a live query. Its first answer is found before the client gets a status.
async fn start(
    state: &Arc<State>,
    caller: Caller,
    view: Option<&str>,
    params: LiveParams,
) -> Result<LiveFeed, Problem> {
    check_length(&params.sql)?;
    let period = match params.period_ms {
        None => leftfold_views::DEFAULT_PERIOD,
        Some(millis) if PERIODS.contains(&millis) => Duration::from_millis(millis),
        Some(other) => {
            let (least, most) = (PERIODS.start(), PERIODS.end());
            let message = format!("period_ms is {other}: it is from {least} to {most}");
            return Err(Problem::new("parameter_invalid", message));
        }
    };
    let key = params.key.unwrap_or_default();
    let key = key.split(',').map(str::trim).filter(|column| !column.is_empty());
    caller.is_known()?;
    let views = state.views.running()?;
    let (text, limits) = (QuestionText { sql: &params.sql, view }, state.config.live_limits());
    let question = find_question(views, &caller, text, None, limits.time).await?;
    let live = question.watch(limits, period)?.key(key);
    let place = state.limits.live_queries.take(&caller.client(), 1).ok_or_else(|| {
        let message = "as many live queries as limits.live_queries are running; try again later";
        Problem::new("server_overloaded", message)
    })?;
    let progress = state.subscriptions.begin(None, &caller.client());
    let progress = progress.ok_or_else(|| too_many(state.config.subscriptions))?;
    LiveFeed::start(state.clone(), caller, live, (place, progress)).await
}
