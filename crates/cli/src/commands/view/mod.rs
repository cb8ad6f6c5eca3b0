//! Checks, changes and lists views.

mod check;
mod file;
mod local;
mod remote;

use std::process::ExitCode;

pub(crate) use file::FileError;
use serde_json::Value;

use crate::args::{Location, ViewAction};
use crate::output::{for_people, hint, print_table, printable, table, thousands};

pub(crate) fn run(location: &Location, action: &ViewAction) -> anyhow::Result<ExitCode> {
    match action {
        ViewAction::Check { files, database } => return check::run(files, database),
        ViewAction::Test { dir, database } => return check::run_all(dir, database),
        _ => {}
    }
    let answer = match location.server {
        Some(_) => remote::run(location, action)?,
        None => local::run(location, action)?,
    };
    print(action, &answer)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the answer of a server or of the store in the directory; both give the same.
fn print(action: &ViewAction, answer: &Value) -> anyhow::Result<()> {
    let text = |field: &str| answer[field].as_str().unwrap_or_default();
    match action {
        ViewAction::List => print_list(answer)?,
        ViewAction::Parked { .. } => print_parked(answer)?,
        ViewAction::Show { .. } | ViewAction::Plan { .. } if !for_people() => say!("{answer}"),
        ViewAction::Show { .. } => print_view(answer)?,
        ViewAction::Plan { .. } => say!("{}", plan(answer)),
        ViewAction::Add { .. } | ViewAction::Replace { .. } => {
            if !for_people() {
                say!("{answer}");
            }
            let done = if matches!(action, ViewAction::Add { .. }) { "added" } else { "replaced" };
            hint(format_args!("{done} {}; see: leftfold view show {0}", text("view")));
        }
        ViewAction::Retry { name, .. } | ViewAction::Skip { name, .. } => {
            if !for_people() {
                say!("{answer}");
            }
            hint(format_args!("requested; see: leftfold view parked {name}"));
        }
        _ if !for_people() && !answer.is_null() => say!("{answer}"),
        _ => {}
    }
    Ok(())
}

/// Says what a plan would do.
fn plan(plan: &Value) -> String {
    let name = plan["view"].as_str().unwrap_or_default();
    let more = if plan["more"].as_bool() == Some(true) { "more than " } else { "" };
    let events = format!("{more}{} events", thousands(plan["events"].as_u64().unwrap_or_default()));
    match plan["change"].as_str().unwrap_or_default() {
        "add" => format!("{name} is new: its tables are filled from {events}"),
        "keep" => format!("{name} keeps its tables: the definition makes the same rows"),
        _ => format!(
            "{name} is rebuilt from {events}; the old tables answer until the new ones have caught up"
        ),
    }
}

fn print_list(answer: &Value) -> std::io::Result<()> {
    let views = answer["views"].as_array().into_iter().flatten();
    if !for_people() {
        views.for_each(|view| say!("{view}"));
        return Ok(());
    }
    let mut rows = table(&["view", "phase", "lag", "waiting", "query", "failure"]);
    for view in views {
        let text = |field: &str| view[field].as_str().unwrap_or_default().to_owned();
        let (query, failure) = (text("query"), text("failure"));
        rows.add_row([text("name"), phase(view), lag(view), waiting(view), query, failure]);
    }
    print_table(&rows)
}

fn print_parked(answer: &Value) -> std::io::Result<()> {
    let events = answer["events"].as_array().into_iter().flatten();
    if !for_people() {
        events.for_each(|event| say!("{event}"));
        return Ok(());
    }
    let mut rows = table(&["stream", "version", "position", "type", "reason"]);
    for event in events {
        let text = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
        let number = |field: &str| event[field].to_string();
        let (stream, event_type, reason) = (text("stream"), text("type"), text("reason"));
        rows.add_row([stream, number("version"), number("position"), event_type, reason]);
    }
    print_table(&rows)
}

fn print_view(view: &Value) -> std::io::Result<()> {
    let text = |field: &str| view[field].as_str().unwrap_or_default();
    let mut rows = table(&["view", text("name")]);
    rows.add_row(["phase", &phase(view)]);
    rows.add_row(["lag", &lag(view)]);
    rows.add_row(["waiting", &waiting(view)]);
    if let Some(late) = view["late"].as_u64() {
        rows.add_row(["late", &thousands(late)]);
    }
    rows.add_row(["query", text("query")]);
    if view["failure"].is_string() {
        rows.add_row(["failure", &format!("{} ({})", text("failure"), text("code"))]);
    }
    print_table(&rows)?;
    say!("");
    text("text").trim_end().lines().for_each(|line| say!("{}", printable(line)));
    Ok(())
}

fn phase(view: &Value) -> String {
    let phase = view["phase"].as_str().unwrap_or_default();
    match view["replacing"].as_bool() == Some(true) && phase != "building" {
        true => format!("{phase}, replacing"),
        false => phase.to_owned(),
    }
}

/// Formats how many events of a view are parked, or wait behind parked ones.
fn waiting(view: &Value) -> String {
    thousands(view["waiting"].as_u64().unwrap_or_default())
}

/// Formats the lag of a view; nothing if it is unknown.
fn lag(view: &Value) -> String {
    match view["lag_micros"].as_u64() {
        None => String::new(),
        Some(0) => "none".to_owned(),
        Some(micros) if micros < 1_000_000 => format!("{} ms", micros / 1_000),
        Some(micros) => format!("{} s", thousands(micros / 1_000_000)),
    }
}
