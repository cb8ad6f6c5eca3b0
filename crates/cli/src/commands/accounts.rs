//! Users, groups, tokens and grants of a server, over HTTP.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::bail;
use leftfold::Embedded;
use leftfold_server::access::{ADMIN, Access, Secret};
use reqwest::Method;
use serde_json::{Value, json};

use crate::args::{
    Grant, GrantAction, Group, GroupAction, Location, Token, TokenAction, User, UserAction,
};
use crate::http::{self, Body, Request, secret};
use crate::output::{for_people, hint, print_table, table};

pub(crate) fn user(location: &Location, args: &User) -> anyhow::Result<ExitCode> {
    let ask = |method, path: &[&str], body| ask(location, method, path, body);
    match &args.action {
        UserAction::Add { user, no_password: true } => {
            ask(Method::POST, &["users"], json!({"user": user}))?;
        }
        UserAction::Add { user, no_password: false } => {
            let password = new_password(user)?;
            let body = json!({"user": user, "password": password.reveal()});
            ask(Method::POST, &["users"], body)?;
        }
        UserAction::Passwd { user } => {
            let body = json!({"password": new_password(user)?.reveal()});
            ask(Method::PUT, &["users", user, "password"], body)?;
        }
        UserAction::Remove { user } => {
            ask(Method::DELETE, &["users", user], Value::Null)?;
        }
        UserAction::List => {
            let answer = ask(Method::GET, &["users"], Value::Null)?;
            print(&answer["users"], &["user", "has_password", "groups"])?;
        }
        UserAction::Recover => recover(location)?,
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn group(location: &Location, args: &Group) -> anyhow::Result<ExitCode> {
    let ask = |method, path: &[&str], body| ask(location, method, path, body);
    match &args.action {
        GroupAction::Add { group, user: None } => {
            ask(Method::POST, &["groups"], json!({"group": group}))?;
        }
        GroupAction::Add { group, user: Some(user) } => {
            ask(Method::PUT, &["groups", group, "members", user], Value::Null)?;
        }
        GroupAction::Remove { group, user: None } => {
            ask(Method::DELETE, &["groups", group], Value::Null)?;
        }
        GroupAction::Remove { group, user: Some(user) } => {
            ask(Method::DELETE, &["groups", group, "members", user], Value::Null)?;
        }
        GroupAction::List => {
            let answer = ask(Method::GET, &["groups"], Value::Null)?;
            print(&answer["groups"], &["group", "members"])?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn token(location: &Location, args: &Token) -> anyhow::Result<ExitCode> {
    let ask = |method, path: &[&str], body| ask(location, method, path, body);
    match &args.action {
        TokenAction::Create { token, user, until } => {
            let mut body = json!({"token": token, "user": user});
            if let Some(until) = until {
                body["until"] = until.to_string().into();
            }
            let made = ask(Method::POST, &["tokens"], body)?;
            say!("{}", made["secret"].as_str().unwrap_or_default());
            hint("store it now: it is never shown again");
        }
        TokenAction::Revoke { token } => {
            ask(Method::DELETE, &["tokens", token], Value::Null)?;
        }
        TokenAction::List => {
            let answer = ask(Method::GET, &["tokens"], Value::Null)?;
            print(&answer["tokens"], &["token", "user", "last", "until", "expired"])?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn grant(location: &Location, args: &Grant) -> anyhow::Result<ExitCode> {
    let ask = |method, path: &[&str], body| ask(location, method, path, body);
    match &args.action {
        GrantAction::Add { user, group, action, scope } => {
            let mut body = json!({"action": action.name(), "scope": scope.to_string()});
            match (user, group) {
                (Some(user), _) => body["user"] = user.as_str().into(),
                (None, group) => body["group"] = group.as_deref().into(),
            }
            let made = ask(Method::POST, &["grants"], body)?;
            match for_people() {
                true => say!("granted, as number {}", made["grant"]),
                false => say!("{made}"),
            }
        }
        GrantAction::Remove { grant } => {
            ask(Method::DELETE, &["grants", &grant.to_string()], Value::Null)?;
        }
        GrantAction::List => {
            let answer = ask(Method::GET, &["grants"], Value::Null)?;
            print(&answer["grants"], &["grant", "user", "group", "action", "scope"])?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints rows as a table on a terminal, or as one JSON object a line.
fn print(rows: &Value, columns: &[&str]) -> std::io::Result<()> {
    let mut shown = table(columns);
    for row in rows.as_array().into_iter().flatten() {
        if !for_people() {
            say!("{row}");
            continue;
        }
        shown.add_row(columns.iter().map(|column| match &row[*column] {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            Value::Array(names) => {
                names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
            }
            other => other.to_string(),
        }));
    }
    if for_people() {
        print_table(&shown)?;
    }
    Ok(())
}

fn new_password(user: &str) -> anyhow::Result<Secret> {
    let first = secret(&format!("new password of {user}: "))?;
    if std::io::stdin().is_terminal() && secret("again: ")? != first {
        bail!("expected the same password twice, found two different ones");
    }
    Ok(first)
}

/// Sends a request to the server and returns its answer, or its problem as an error.
fn ask(location: &Location, method: Method, path: &[&str], body: Value) -> anyhow::Result<Value> {
    let body = if body.is_null() { Body::None } else { Body::Json(body) };
    http::ask(location, Request { body, ..Request::new(method, path) })
}

/// Resets the admin in the store's directory, without a server.
fn recover(location: &Location) -> anyhow::Result<()> {
    let store: Arc<Embedded> = Arc::new(super::open_files(location, "user recover")?);
    let password = new_password(ADMIN)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let access = Access::open(store.clone(), Arc::new(leftfold_io::SystemClock)).await?;
        access.recover(&password).await
    })?;
    drop(runtime);
    hint(format_args!("{ADMIN} now has this password and every permission"));
    Ok(())
}
