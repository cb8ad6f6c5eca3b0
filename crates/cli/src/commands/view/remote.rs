//! Views of a server's store.

use reqwest::Method;
use serde_json::Value;

use super::file;
use crate::args::{Location, ViewAction, ViewFrom};
use crate::http::{Body, Request, ask};

pub(super) fn run(location: &Location, action: &ViewAction) -> anyhow::Result<Value> {
    let send = |method, path: &[&str]| ask(location, Request::new(method, path));
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
        ViewAction::Pause { name } => send(Method::POST, &["views", name, "pause"]),
        ViewAction::Resume { name } => send(Method::POST, &["views", name, "resume"]),
        ViewAction::Reset { name } => send(Method::POST, &["views", name, "reset"]),
        ViewAction::Remove { name } => send(Method::DELETE, &["views", name]),
        _ => send(Method::GET, &["views"]),
    }
}
