//! How a query of views is authorized, waits, and is answered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use leftfold_api::{Coded, Cursor, Engine, Query};
use leftfold_views::{AsOf, AskLimits, Question, QuestionText, ViewsError};

use super::format::Format;
use super::shapes::Ask;
use crate::access::Caller;
use crate::http::Problem;
use crate::limits::Client;
use crate::state::State;
use crate::views::{MAX_SQL_BODY, ServedViews};

/// The longest wait for views, in milliseconds.
const LONGEST_WAIT: u64 = 600_000;
/// How often a query is asked anew because a view was replaced meanwhile.
const ATTEMPTS: usize = 4;

/// A query that was read from a request.
struct Wanted {
    sql: String,
    at_least: Option<Cursor>,
    as_of: Option<AsOf>,
    patience: Duration,
    limits: AskLimits,
}

impl Wanted {
    fn of(ask: Ask, state: &State) -> Result<Self, Problem> {
        check_length(&ask.sql)?;
        let limits = state.config.ask_limits();
        let patience = patience(limits.time, ask.timeout_ms)?;
        let limits = AskLimits { time: limits.time.min(patience), ..limits };
        let at_least = ask.at_least.map(|cursor| cursor.parse::<Cursor>()).transpose()?;
        let as_of = ask.as_of.map(|moment| moment.parse::<AsOf>()).transpose()?;
        if at_least.is_some() && as_of.is_some() {
            let message = "a query as_of waits for its moment; give as_of or at_least, not both";
            return Err(Problem::new("parameter_invalid", message));
        }
        Ok(Wanted { sql: ask.sql, at_least, as_of, patience, limits })
    }
}

/// Refuses a query that is too long.
pub(super) fn check_length(sql: &str) -> Result<(), Problem> {
    if sql.len() as u64 > MAX_SQL_BODY {
        let message = format!("the query has more than {MAX_SQL_BODY} bytes");
        return Err(Problem::new("body_too_large", message));
    }
    Ok(())
}

/// Returns how long to wait.
///
/// # Errors
/// `parameter_invalid`: that is too long.
pub(super) fn patience(default: Duration, timeout_ms: Option<u64>) -> Result<Duration, Problem> {
    match timeout_ms {
        None => Ok(default),
        Some(millis @ 1..=LONGEST_WAIT) => Ok(Duration::from_millis(millis)),
        Some(other) => {
            let message = format!("timeout_ms is {other}: it is from 1 to {LONGEST_WAIT}");
            Err(Problem::new("parameter_invalid", message))
        }
    }
}

/// Answers a query of views.
pub(super) async fn answer(
    state: &Arc<State>,
    caller: &Caller,
    headers: &HeaderMap,
    view: Option<&str>,
    ask: Ask,
) -> Result<Response, Problem> {
    let format = Format::of(headers)?;
    let wanted = Wanted::of(ask, state)?;
    let started = Instant::now();
    let text = ask_views(state, caller, view, &wanted, format).await;
    state.metrics.asked(started, text.as_ref().err().map(|problem| problem.code));
    let headers = [(CONTENT_TYPE, format.media_type()), (CACHE_CONTROL, "no-store")];
    Ok((headers, text?).into_response())
}

async fn ask_views(
    state: &Arc<State>,
    caller: &Caller,
    view: Option<&str>,
    wanted: &Wanted,
    format: Format,
) -> Result<String, Problem> {
    caller.is_known()?;
    let views = state.views.running()?;
    let text = QuestionText { sql: &wanted.sql, view };
    let at_least = match wanted.as_of {
        Some(as_of) => Some(views.cursor_as_of(as_of).await?),
        None => wanted.at_least.clone(),
    };
    let deadline = Instant::now() + wanted.patience;
    let mut attempts = ATTEMPTS;
    loop {
        let patience = deadline.saturating_duration_since(Instant::now());
        let question = find_question(views, caller, text, at_least.as_ref(), patience).await?;
        let question = match wanted.as_of {
            Some(as_of) => question.as_of(as_of)?,
            None => question,
        };
        attempts -= 1;
        match read_rows(state, &caller.client(), question, wanted.limits, format).await? {
            Err(error) if error.code() == "view_changed" && attempts > 0 => {}
            answer => return Ok(answer?),
        }
    }
}

/// Finds the tables that answer a query which the caller may ask.
pub(super) async fn find_question(
    views: &ServedViews,
    caller: &Caller,
    text: QuestionText<'_>,
    at_least: Option<&Cursor>,
    patience: Duration,
) -> Result<Question<Arc<dyn Engine>>, Problem> {
    let admit = |_: &str, query: &Query| Ok::<_, Refused>(caller.may_ask_view(query)?);
    let question = views.question(text, at_least, patience, admit).await;
    question.map_err(|refused| refused.problem(caller))
}

/// Why a question is not asked.
pub(super) enum Refused {
    Problem(Problem),
    Views(ViewsError),
}

impl Refused {
    /// Returns the answer. Who may not know which views there are gets the same one for each.
    pub(super) fn problem(self, caller: &Caller) -> Problem {
        match self {
            Refused::Views(error) if error.code() == "view_unknown" => {
                caller.may_know_views().map_or_else(Problem::from, |()| error.into())
            }
            other => other.into(),
        }
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Problem(problem) => problem,
            Refused::Views(error) => error.into(),
        }
    }
}

impl From<ViewsError> for Refused {
    fn from(error: ViewsError) -> Self {
        Refused::Views(error)
    }
}

impl From<crate::access::Denial> for Refused {
    fn from(denied: crate::access::Denial) -> Self {
        Refused::Problem(denied.into())
    }
}

/// Reads the rows on a thread that may block.
async fn read_rows(
    state: &Arc<State>,
    client: &Client,
    question: Question<Arc<dyn Engine>>,
    limits: AskLimits,
    format: Format,
) -> Result<Result<String, ViewsError>, Problem> {
    let permit = state.limits.asks.take(client, 1).ok_or_else(|| {
        let message = "as many queries of views as limits.asks or this client's share of it (limits.share) are being \
                       answered; try again later";
        Problem::new("server_overloaded", message)
    })?;
    let read = move || {
        let text = question.answer(limits).map(|answer| format.text(&answer));
        drop(permit);
        text
    };
    tokio::task::spawn_blocking(read).await.map_err(|_| {
        Problem::new("internal_error", "the query ended with a panic; the server's log tells more")
    })
}
