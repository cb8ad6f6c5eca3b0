//! Views of a server's store.

use reqwest::Method;
use serde_json::Value;

use super::file;
use crate::args::{Location, ViewAction, ViewFrom};
use crate::commands::query::TIME;
use crate::http::{Body, Request, ask};

pub(super) fn run(location: &Location, action: &ViewAction) -> anyhow::Result<Value> {
    let send_with = |method, path: &[&str], parameters| {
        ask(location, Request { parameters, ..Request::new(method, path) })
    };
    let send = |method, path: &[&str]| send_with(method, path, Vec::new());
    let send_text = |method, path: &[&str], text: &str, parameters| {
        let body = Body::Text(text.to_owned());
        ask(location, Request { body, parameters, ..Request::new(method, path) })
    };
    match action {
        ViewAction::Add { file, from } => {
            let from = match from {
                ViewFrom::Start => "start".to_owned(),
                ViewFrom::Now => "now".to_owned(),
                ViewFrom::After(cursor) => cursor.to_string(),
            };
            let view = file::read(file)?;
            send_text(Method::POST, &["views"], view.text(), vec![("from", from)])
        }
        ViewAction::Replace { file } => {
            let view = file::read(file)?;
            send_text(Method::PUT, &["views", view.name()], view.text(), Vec::new())
        }
        ViewAction::Plan { file } => {
            let view = file::read(file)?;
            send_text(Method::POST, &["views", "plan"], view.text(), Vec::new())
        }
        ViewAction::Show { name } => send(Method::GET, &["views", name]),
        ViewAction::Wait { name, at_least, timeout } => {
            let Some(cursor) = at_least else {
                anyhow::bail!("name the cursor to wait for with --at-least CURSOR");
            };
            let patience = timeout.unwrap_or(TIME);
            let millis = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
            let parameters =
                vec![("at_least", cursor.to_string()), ("timeout_ms", millis.to_string())];
            let path = ["views", name];
            let request = Request { parameters, patience, ..Request::new(Method::GET, &path) };
            ask(location, request)
        }
        ViewAction::Pause { name } => send(Method::POST, &["views", name, "pause"]),
        ViewAction::Resume { name } => send(Method::POST, &["views", name, "resume"]),
        ViewAction::Reset { name } => send(Method::POST, &["views", name, "reset"]),
        ViewAction::Remove { name } => send(Method::DELETE, &["views", name]),
        ViewAction::Parked { name, all } => {
            let parameters = vec![("all", all.to_string())];
            send_with(Method::GET, &["views", name, "parked"], parameters)
        }
        ViewAction::Retry { name, stream } => {
            let parameters = stream.iter().map(|stream| ("stream", stream.clone())).collect();
            send_with(Method::POST, &["views", name, "retry"], parameters)
        }
        ViewAction::Skip { name, position, stream } => {
            let stream = stream.iter().map(|stream| ("stream", stream.clone()));
            let position = ("position", position.to_string());
            let parameters = [position].into_iter().chain(stream).collect();
            send_with(Method::POST, &["views", name, "skip"], parameters)
        }
        _ => send(Method::GET, &["views"]),
    }
}
