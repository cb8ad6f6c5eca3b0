//! Checks, changes and lists the connectors of a server.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use leftfold_connect::connectors::ConnectorDefinition;
use reqwest::Method;
use serde_json::Value;

use crate::args::{ConnectorAction, Location, ViewFrom};
use crate::http::{Body, Request, ask};
use crate::output::{for_people, hint, print_table, printable, table, thousands};

pub(crate) fn run(location: &Location, action: &ConnectorAction) -> anyhow::Result<ExitCode> {
    if location.server.is_none() {
        bail!(
            "connectors are run by a server: name it with --server URL, or start one with leftfold serve"
        );
    }
    let answer = send(location, action)?;
    if let ConnectorAction::Test { .. } = action {
        return print_check(&answer);
    }
    print(action, &answer)?;
    Ok(ExitCode::SUCCESS)
}

/// Reads and checks a file.
fn read(path: &Path) -> anyhow::Result<ConnectorDefinition> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(|| file.clone())?;
    ConnectorDefinition::parse(&text).with_context(|| file)
}

fn send(location: &Location, action: &ConnectorAction) -> anyhow::Result<Value> {
    let send_with = |method, path: &[&str], parameters| {
        ask(location, Request { parameters, ..Request::new(method, path) })
    };
    let send = |method, path: &[&str]| send_with(method, path, Vec::new());
    let send_text = |method, path: &[&str], text: &str, parameters| {
        let body = Body::Text(text.to_owned());
        ask(location, Request { body, parameters, ..Request::new(method, path) })
    };
    match action {
        ConnectorAction::Test { file } => {
            let definition = read(file)?;
            send_text(Method::POST, &["connectors", "test"], definition.text(), Vec::new())
        }
        ConnectorAction::Add { file, from } => {
            let from = match from {
                ViewFrom::Start => "start".to_owned(),
                ViewFrom::Now => "now".to_owned(),
                ViewFrom::After(cursor) => cursor.to_string(),
            };
            let definition = read(file)?;
            send_text(Method::POST, &["connectors"], definition.text(), vec![("from", from)])
        }
        ConnectorAction::Replace { file } => {
            let definition = read(file)?;
            let path = ["connectors", definition.name()];
            send_text(Method::PUT, &path, definition.text(), Vec::new())
        }
        ConnectorAction::List => send(Method::GET, &["connectors"]),
        ConnectorAction::Show { name } => send(Method::GET, &["connectors", name]),
        ConnectorAction::Pause { name } => send(Method::POST, &["connectors", name, "pause"]),
        ConnectorAction::Resume { name } => send(Method::POST, &["connectors", name, "resume"]),
        ConnectorAction::Reset { name } => send(Method::POST, &["connectors", name, "reset"]),
        ConnectorAction::Remove { name } => send(Method::DELETE, &["connectors", name]),
        ConnectorAction::Parked { name, all } => {
            let parameters = vec![("all", all.to_string())];
            send_with(Method::GET, &["connectors", name, "parked"], parameters)
        }
        ConnectorAction::Retry { name, stream } => {
            let parameters = stream.iter().map(|stream| ("stream", stream.clone())).collect();
            send_with(Method::POST, &["connectors", name, "retry"], parameters)
        }
        ConnectorAction::Skip { name, stream, version } => {
            let parameters = vec![("stream", stream.clone()), ("version", version.to_string())];
            send_with(Method::POST, &["connectors", name, "skip"], parameters)
        }
    }
}

fn print_check(answer: &Value) -> anyhow::Result<ExitCode> {
    let findings = answer["findings"].as_array().into_iter().flatten();
    if for_people() {
        for finding in findings {
            let mark = if finding["ok"].as_bool() == Some(true) { "ok     " } else { "missing" };
            let text =
                |field: &str| printable(finding[field].as_str().unwrap_or_default()).to_string();
            say!("{mark}  {}: {}", text("what"), text("detail"));
        }
    } else {
        say!("{answer}");
    }
    Ok(if answer["ok"].as_bool() == Some(true) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(action: &ConnectorAction, answer: &Value) -> anyhow::Result<()> {
    let name = answer["connector"].as_str().unwrap_or_default();
    match action {
        ConnectorAction::List => print_list(answer)?,
        ConnectorAction::Parked { .. } => print_parked(answer)?,
        ConnectorAction::Show { .. } if for_people() => print_connector(answer)?,
        _ => {
            if !for_people() {
                say!("{answer}");
            }
            match action {
                ConnectorAction::Add { .. } => {
                    hint(format_args!("added {name}; see: leftfold connector show {name}"))
                }
                ConnectorAction::Replace { .. } => {
                    hint(format_args!("replaced {name}; see: leftfold connector show {name}"));
                }
                ConnectorAction::Retry { .. } => {
                    let events = answer["events"].as_u64().unwrap_or_default();
                    hint(format_args!(
                        "{} events are tried again; see: leftfold connector parked {name}",
                        thousands(events)
                    ));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn print_list(answer: &Value) -> std::io::Result<()> {
    let connectors = answer["connectors"].as_array().into_iter().flatten();
    if !for_people() {
        connectors.for_each(|connector| say!("{connector}"));
        return Ok(());
    }
    let mut rows = table(&["connector", "kind", "phase", "events", "held", "lag", "failure"]);
    for connector in connectors {
        let text = |field: &str| connector[field].as_str().unwrap_or_default().to_owned();
        let number = |field: &str| connector[field].as_u64().map(thousands).unwrap_or_default();
        let cells = [text("name"), text("kind"), text("phase"), number("events"), number("held")];
        rows.add_row(cells.into_iter().chain([lag(connector), text("failure")]));
    }
    print_table(&rows)
}

fn print_parked(answer: &Value) -> std::io::Result<()> {
    let events = answer["events"].as_array().into_iter().flatten();
    if !for_people() {
        events.for_each(|event| say!("{event}"));
        return Ok(());
    }
    let mut rows = table(&["stream", "version", "type", "attempts", "since", "next", "reason"]);
    for event in events {
        let text = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
        let next = match event["parked"].as_bool() {
            Some(true) => "parked".to_owned(),
            _ => text("next"),
        };
        rows.add_row([
            text("stream"),
            event["version"].to_string(),
            text("type"),
            event["attempts"].to_string(),
            text("since"),
            next,
            text("reason"),
        ]);
    }
    print_table(&rows)
}

fn print_connector(connector: &Value) -> std::io::Result<()> {
    let text = |field: &str| connector[field].as_str().unwrap_or_default();
    let mut rows = table(&["connector", text("name")]);
    for field in ["kind", "phase", "query"] {
        if connector[field].is_string() {
            rows.add_row([field, text(field)]);
        }
    }
    for field in ["events", "skipped", "held"] {
        if let Some(number) = connector[field].as_u64() {
            rows.add_row([field, &thousands(number)]);
        }
    }
    rows.add_row(["lag", &lag(connector)]);
    if connector["failure"].is_string() {
        rows.add_row(["failure", &format!("{} ({})", text("failure"), text("code"))]);
    }
    print_table(&rows)?;
    say!("");
    text("text").trim_end().lines().for_each(|line| say!("{}", printable(line)));
    Ok(())
}

/// Formats the lag of a connector; nothing if it is unknown.
fn lag(connector: &Value) -> String {
    match connector["lag_micros"].as_u64() {
        None => String::new(),
        Some(0) => "none".to_owned(),
        Some(micros) if micros < 1_000_000 => format!("{} ms", micros / 1_000),
        Some(micros) => format!("{} s", thousands(micros / 1_000_000)),
    }
}
