//! What requests bring, and what answers of views have.

use std::collections::BTreeMap;

use leftfold_views::{ParkedEvent, Plan, ViewStatus};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// What a view is doing.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ViewAnswer {
    #[serde(flatten)]
    #[schema(value_type = ViewStatusShape)]
    pub(super) status: ViewStatus,
    /// The view's file.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) text: Option<String>,
}

/// The fields of a view's state.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the fields of a type of another crate")]
pub(super) struct ViewStatusShape {
    /// Its name.
    name: String,
    /// `building`, `following`, `standby`, `paused` or `failed`.
    phase: String,
    /// The query of its events.
    query: String,
    /// The age of the oldest event that is not in the tables, in microseconds; 0 if there is none.
    lag_micros: Option<u64>,
    /// Whether new tables are filled beside those that answer.
    replacing: bool,
    /// How many of its events are parked, or wait behind parked ones.
    waiting: u64,
    /// How many final windows its events have missed: the rows of `_late`; not there without `@window`.
    #[schema(nullable = false)]
    late: Option<u64>,
    /// The code of the failure.
    #[schema(nullable = false)]
    code: Option<String>,
    /// Why it has failed.
    #[schema(nullable = false)]
    failure: Option<String>,
}

/// The views.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ViewsAnswer {
    pub(super) views: Vec<ViewAnswer>,
}

/// A view that was changed, and the cursor of the change.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ViewChanged {
    /// Its name.
    #[schema(example = "orders")]
    pub(super) view: String,
    /// The cursor of the change.
    pub(super) cursor: String,
}

/// What a definition would do.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PlanAnswer {
    /// The view's name.
    view: String,
    /// `add`, `rebuild`, or `keep` if its rows stay as they are.
    change: String,
    /// How many events it reads; at most 100,000 are counted.
    events: u64,
    /// Whether there are more.
    more: bool,
}

impl From<Plan> for PlanAnswer {
    fn from(plan: Plan) -> Self {
        PlanAnswer { view: plan.view, change: plan.change, events: plan.events, more: plan.more }
    }
}

/// Which events of a view are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ParkedParams {
    /// Also the events that wait behind parked ones; only the parked ones if it is not given.
    #[serde(default)]
    #[param(example = false)]
    pub(super) all: bool,
}

/// Which parked events are tried again.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RetryParams {
    /// Those of this stream; all if it is not given.
    pub(super) stream: Option<String>,
}

/// Which parked event is left out.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SkipParams {
    /// Its position.
    pub(super) position: u64,
    /// Its stream, which a store of many partitions may need.
    pub(super) stream: Option<String>,
}

/// The parked events of a view.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ParkedAnswer {
    /// The first 1,000, by position.
    #[schema(value_type = Vec<ParkedEventShape>)]
    pub(super) events: Vec<ParkedEvent>,
}

/// An event that a view could not apply, or that waits behind one.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the fields of a type of another crate")]
pub(super) struct ParkedEventShape {
    /// Its stream.
    stream: String,
    /// Its version.
    version: u64,
    /// Its position.
    position: u64,
    /// Its event type.
    r#type: String,
    /// Whether it failed itself. Otherwise it waits behind one that did.
    parked: bool,
    /// The error of the last attempt, or the event that it waits behind.
    reason: String,
}

/// Where a new view begins.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct FromParams {
    /// `start`, with the first event, if it is not given; `now`; or behind a cursor.
    #[param(example = "start")]
    pub(super) from: Option<String>,
}

/// A query of views.
#[derive(Debug, Deserialize, IntoParams, ToSchema)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Ask {
    /// A reading statement.
    #[param(example = "select * from orders")]
    pub(super) sql: String,
    /// Wait until the views have the events up to this cursor.
    pub(super) at_least: Option<String>,
    /// Ask the views, which need `@history`, as they were at this position, or at this time, such as
    /// `2026-03-01T12:00:00Z`. Excludes `at_least`.
    #[param(example = "17")]
    pub(super) as_of: Option<String>,
    /// How long to wait, and how long the query may take, in milliseconds; `limits.ask_time` if it is not given,
    /// which is also the most for the query alone.
    #[param(minimum = 1, maximum = 600_000)]
    #[schema(minimum = 1, maximum = 600_000)]
    pub(super) timeout_ms: Option<u64>,
}

/// What goes with a query that is the body.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AskParams {
    /// Wait until the views have the events up to this cursor.
    pub(super) at_least: Option<String>,
    /// Ask the views as they were at this position or time. Excludes `at_least`.
    #[param(example = "17")]
    pub(super) as_of: Option<String>,
    /// How long to wait, and how long the query may take, in milliseconds.
    #[param(minimum = 1, maximum = 600_000)]
    pub(super) timeout_ms: Option<u64>,
}

/// What a live query asks.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LiveParams {
    /// A reading statement.
    #[param(example = "select * from orders")]
    pub(super) sql: String,
    /// The columns of the answer that tell its rows apart, with commas between them: a row that is the same in them
    /// and not in others has changed, in place of one that was removed and one that was added.
    #[param(example = "id")]
    pub(super) key: Option<String>,
    /// How often the rows are compared at most, in milliseconds; 100 if it is not given.
    #[param(minimum = 100, maximum = 600_000)]
    pub(super) period_ms: Option<u64>,
}

/// How long to wait before a view is described.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct WaitParams {
    /// Wait until those who ask the view, or PostgreSQL for its tables, get the events up to this cursor.
    pub(super) at_least: Option<String>,
    /// How long to wait, in milliseconds; `limits.ask_time` if it is not given.
    #[param(minimum = 1, maximum = 600_000)]
    pub(super) timeout_ms: Option<u64>,
}

/// The rows of an answer.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the fields of a type of another crate")]
pub(super) struct RowsAnswer {
    /// The names of the columns.
    columns: Vec<String>,
    /// The rows, each with a value for each column: null, a number, a text, or bytes as hexadecimal digits.
    #[schema(value_type = Vec<Vec<serde_json::Value>>)]
    rows: Vec<Vec<serde_json::Value>>,
    /// Up to where each view was brought when it was asked; null if it has no event yet.
    cursors: BTreeMap<String, Option<String>>,
}
