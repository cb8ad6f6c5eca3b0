//! What requests bring, and what answers of views have.

use std::collections::BTreeMap;

use leftfold_views::{Cell, Plan, ViewStatus};
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
    /// `building`, `following`, `paused` or `failed`.
    phase: String,
    /// The query of its events.
    query: String,
    /// The age of the oldest event that is not in the tables, in microseconds; 0 if there is none.
    lag_micros: Option<u64>,
    /// Whether new tables are filled beside those that answer.
    replacing: bool,
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
    /// How long to wait, and how long the query may take, in milliseconds.
    #[param(minimum = 1, maximum = 600_000)]
    pub(super) timeout_ms: Option<u64>,
}

/// The rows of an answer.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RowsAnswer {
    /// The names of the columns.
    pub(super) columns: Vec<String>,
    /// The rows, each with a value for each column: null, a number, a text, or bytes as hexadecimal digits.
    #[schema(value_type = Vec<Vec<serde_json::Value>>)]
    pub(super) rows: Vec<Vec<Cell>>,
    /// Up to where each view was brought when it was asked; null if it has no event yet.
    pub(super) cursors: BTreeMap<String, Option<String>>,
}
