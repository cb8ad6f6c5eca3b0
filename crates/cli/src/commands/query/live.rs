//! Follows the answer to a query.

use std::process::ExitCode;

use leftfold_views::{AskLimits, DEFAULT_PERIOD, LiveUpdate};

use super::{LONG, newest, open};
use crate::args::{Ask, Location};
use crate::http;
use crate::output::{LiveRows, for_people, hint};
use crate::sse;
use crate::views::with_views;

/// Prints the rows of a query and then their changes, until it is interrupted or fails.
pub(super) fn run(location: &Location, args: &Ask) -> anyhow::Result<ExitCode> {
    match location.server {
        Some(_) => follow_server(location, args)?,
        None => follow_directory(location, args)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn follow_server(location: &Location, args: &Ask) -> anyhow::Result<()> {
    let mut parameters = vec![("sql", args.sql.clone())];
    if !args.key.is_empty() {
        parameters.push(("key", args.key.join(",")));
    }
    let asked = http::Request { parameters, ..http::Request::get(&["query", "live"]) };
    let mut rows = LiveRows::default();
    sse::follow(location, &asked, |kind, update| rows.print(kind, update))
}

/// While this process has the store, no other one appends: what changes is what the views had not read yet.
fn follow_directory(location: &Location, args: &Ask) -> anyhow::Result<()> {
    let store = open(location)?;
    with_views(location, store.clone(), async |views| {
        let limits = AskLimits::default();
        let mut live = views.watch(&args.sql, limits, DEFAULT_PERIOD)?.key(args.key.clone());
        if let Some(newest) = newest(views, &store, &args.sql).await? {
            views.ask(&args.sql, Some((newest, LONG)), limits).await?;
        }
        if for_people() {
            hint("only this process can append to the store now; to see changes, ask a server");
        }
        let mut rows = LiveRows::default();
        loop {
            match live.next().await? {
                LiveUpdate::Rows(answer) => rows.print("rows", &serde_json::to_value(&answer)?)?,
                LiveUpdate::Changes(changes) => {
                    rows.print("changes", &serde_json::to_value(&changes)?)?;
                }
                _ => {}
            }
        }
    })
}
