//! The service: routes, handlers, and the statuses of refusals.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{MethodRouter, get, post};
use axum::{Json, Router};
use leftfold::runtime::{RuntimeStatus, StatusHandle};
use leftfold::time::{SystemTime, Time};
use leftfold::view::ViewRunner;
use leftfold::web::{Problem, Refusal};
use leftfold::{Command, CommandContext, Embedded, Execute};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bank::{Deposit, Open, Refused, Withdraw};
use crate::web::{Balance, Balances};

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

/// Returns the routes of the service.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/accounts", execute(|open: &Open| &open.account))
        .route("/deposits", execute(|deposit: &Deposit| &deposit.account))
        .route("/withdrawals", execute(|withdraw: &Withdraw| &withdraw.account))
        .route("/accounts/{account}", get(show))
        .route("/status", get(status))
        .with_state(app)
}

/// Makes the handler of a command about an account. The answer includes the command's events.
fn execute<C>(account_of: fn(&C) -> &str) -> MethodRouter<App>
where
    C: Command<Error = Refused> + Serialize + DeserializeOwned + 'static,
{
    post(async move |State(app): State<App>, context: CommandContext, Json(command): Json<C>| {
        let account = account_of(&command).to_owned();
        let executed = app.store.execute_as(context, command).await?;
        app.balances.at_least_until(executed.cursor, SystemTime.now() + VIEW_TIME).await?;
        balance_of(&app, account)
    })
}

async fn show(
    State(app): State<App>,
    Path(account): Path<String>,
) -> Result<Json<Balance>, Problem> {
    balance_of(&app, account)
}

async fn status(State(app): State<App>) -> Json<RuntimeStatus> {
    Json(app.status.get())
}

fn balance_of(app: &App, account: String) -> Result<Json<Balance>, Problem> {
    let missing = || Problem::new(StatusCode::NOT_FOUND, "account_unknown", "no such account");
    Ok(Json(app.balances.table().get(&account)?.ok_or_else(missing)?))
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
