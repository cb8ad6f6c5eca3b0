//! The service: routes, handlers, and the statuses of refusals.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use leftfold::runtime::{RuntimeStatus, StatusHandle};
use leftfold::time::{SystemTime, Time, later};
use leftfold::view::{RowStore, ViewRunner};
use leftfold::web::{Problem, Refusal};
use leftfold::{Command, CommandContext, Embedded, Execute};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bank::{Deposit, Open, Refused, Withdraw};
use crate::web::{Balance, Balances, balance_of};

/// How long an answer waits for the view.
const VIEW_TIME: Duration = Duration::from_secs(5);

/// What the handlers share.
#[derive(Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct App {
    pub store: Arc<Embedded>,
    pub balances: Arc<ViewRunner<Balances, Embedded>>,
    pub status: StatusHandle,
}

/// A command that is about one account.
pub trait OfAccount: Command<Error = Refused> + Serialize + DeserializeOwned + 'static {
    /// Returns the account.
    fn account(&self) -> &str;
}

/// Returns the routes of the service.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/accounts", post(execute::<Open>))
        .route("/deposits", post(execute::<Deposit>))
        .route("/withdrawals", post(execute::<Withdraw>))
        .route("/accounts/{account}", get(show))
        .route("/status", get(status))
        .with_state(app)
}

/// Executes a command; the answer includes its events.
async fn execute<C: OfAccount>(
    State(app): State<App>,
    context: CommandContext,
    Json(command): Json<C>,
) -> Result<Json<Balance>, Problem> {
    let account = command.account().to_owned();
    let executed = app.store.execute_as(context, command).await?;
    let deadline = later(SystemTime.now(), VIEW_TIME);
    let rows = app.balances.at_least_until(executed.cursor, deadline).await?;
    found(&*rows, &account)
}

async fn show(
    State(app): State<App>,
    Path(account): Path<String>,
) -> Result<Json<Balance>, Problem> {
    found(&*app.balances.rows(), &account)
}

async fn status(State(app): State<App>) -> Json<RuntimeStatus> {
    Json(app.status.with_lag().await)
}

fn found(rows: &dyn RowStore, account: &str) -> Result<Json<Balance>, Problem> {
    let missing = || Problem::new(StatusCode::NOT_FOUND, "account_unknown", "no such account");
    Ok(Json(balance_of(rows, account)?.ok_or_else(missing)?))
}

impl Refusal for Refused {
    fn status(&self) -> StatusCode {
        match self {
            Refused::NoAccount => StatusCode::NOT_FOUND,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Refused::NoAccount => "account_unknown",
            Refused::Insufficient { .. } => "balance_insufficient",
            Refused::TooMany => "too_many_accounts",
        }
    }
}

impl OfAccount for Open {
    fn account(&self) -> &str {
        &self.account
    }
}

impl OfAccount for Deposit {
    fn account(&self) -> &str {
        &self.account
    }
}

impl OfAccount for Withdraw {
    fn account(&self) -> &str {
        &self.account
    }
}
