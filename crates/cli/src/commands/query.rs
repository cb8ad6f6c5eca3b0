//! Asks views by SQL.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use leftfold::{Cursor, Embedded, EventStore};
use leftfold_views::{AskLimits, ViewPhase, Views};
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::args::{Ask, Location};
use crate::http::{self, Body, Request};
use crate::output::{hint, print_answer};
use crate::store::{check_directory, options};
use crate::views::{LONG, with_views};

/// The time of a query, and of a server's views to get to the cursor.
const TIME: Duration = Duration::from_secs(10);

pub(crate) fn run(location: &Location, args: &Ask) -> anyhow::Result<ExitCode> {
    let answer = match location.server {
        Some(_) => ask_server(location, args)?,
        None => ask_directory(location, args)?,
    };
    print_answer(&answer)?;
    Ok(ExitCode::SUCCESS)
}

fn ask_server(location: &Location, args: &Ask) -> anyhow::Result<Value> {
    let patience = args.timeout.unwrap_or(TIME);
    let millis = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
    let mut body = json!({"sql": args.sql, "timeout_ms": millis});
    if let Some(cursor) = &args.at_least {
        body["at_least"] = cursor.to_string().into();
    }
    let asked = Request::new(Method::POST, &["query"]);
    http::ask(location, Request { body: Body::Json(body), patience, ..asked })
}

fn ask_directory(location: &Location, args: &Ask) -> anyhow::Result<Value> {
    check_directory(&location.data)?;
    let store = Arc::new(Embedded::open_existing(&location.data, options(location))?);
    let limits = AskLimits { time: args.timeout.unwrap_or(TIME), ..AskLimits::default() };
    with_views(location, store.clone(), async |views| {
        let at_least = match &args.at_least {
            Some(cursor) => Some(cursor.clone()),
            None if is_paused(views, &args.sql).await? => None,
            None => Some(store.head().await?),
        };
        let at_least = at_least.map(|cursor: Cursor| (cursor, args.timeout.unwrap_or(LONG)));
        let answer = views.ask(&args.sql, at_least, limits).await?;
        let cursor = |cursor: &Option<Cursor>| cursor.as_ref().map(Cursor::to_string);
        let cursors = answer.cursors.iter().map(|(view, at)| (view.clone(), json!(cursor(at))));
        let cursors: Map<String, Value> = cursors.collect();
        Ok(json!({"columns": answer.columns, "rows": answer.rows, "cursors": cursors}))
    })
}

/// Whether one of the views is paused: waiting for it has no end.
async fn is_paused(views: &Views<Embedded>, sql: &str) -> anyhow::Result<bool> {
    let mut is_paused = false;
    for (name, _) in views.views_of(sql)? {
        // The log is no view.
        let Ok(status) = views.status(&name).await else { continue };
        if status.phase == ViewPhase::Paused {
            hint(format_args!(
                "{name} is paused: it lacks newer events until: leftfold view resume {name}"
            ));
            is_paused = true;
        }
    }
    Ok(is_paused)
}
