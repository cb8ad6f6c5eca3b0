//! Asks views by SQL.

mod live;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use leftfold::{Cursor, Embedded, EventStore};
use leftfold_views::{AskLimits, ViewPhase, Views};
use reqwest::Method;
use serde_json::{Value, json};

use crate::args::{Ask, Location};
use crate::http::{self, Body, Request};
use crate::output::{hint, print_answer};
use crate::store::{check_directory, options, warn_of_modes};
use crate::views::{LONG, with_views};

/// The time of a query, and of a server's views to get to the cursor.
pub(super) const TIME: Duration = Duration::from_secs(10);

pub(crate) fn run(location: &Location, args: &Ask) -> anyhow::Result<ExitCode> {
    if args.live {
        return live::run(location, args);
    }
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
    if let Some(moment) = &args.as_of {
        body["as_of"] = moment.to_string().into();
    }
    let asked = Request::new(Method::POST, &["query"]);
    http::ask(location, Request { body: Body::Json(body), patience, ..asked })
}

fn ask_directory(location: &Location, args: &Ask) -> anyhow::Result<Value> {
    let store = open(location)?;
    let limits = AskLimits { time: args.timeout.unwrap_or(TIME), ..AskLimits::default() };
    with_views(location, store.clone(), async |views| {
        let answer = match args.as_of {
            Some(moment) => {
                let newest = newest(views, &store, &args.sql).await?;
                // A paused view may have come to the moment before, and comes no further.
                let patience = if newest.is_none() { TIME } else { LONG };
                let patience = args.timeout.unwrap_or(patience);
                views.ask_as_of(&args.sql, moment, patience, limits).await?
            }
            None => {
                let at_least = match &args.at_least {
                    Some(cursor) => Some(cursor.clone()),
                    None => newest(views, &store, &args.sql).await?,
                };
                let at_least = at_least.map(|cursor| (cursor, args.timeout.unwrap_or(LONG)));
                views.ask(&args.sql, at_least, limits).await?
            }
        };
        Ok(serde_json::to_value(&answer)?)
    })
}

/// Opens the store in the directory.
fn open(location: &Location) -> anyhow::Result<Arc<Embedded>> {
    check_directory(&location.data)?;
    Ok(Arc::new(warn_of_modes(Embedded::open_existing(&location.data, options(location))?)))
}

/// Returns the cursor of all events, or `None` if one of the views is paused: waiting for it has no end.
async fn newest(
    views: &Views<Embedded>,
    store: &Embedded,
    sql: &str,
) -> anyhow::Result<Option<Cursor>> {
    match is_paused(views, sql).await? {
        true => Ok(None),
        false => Ok(Some(store.head().await?)),
    }
}

/// Whether one of the views is paused, and says so.
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
