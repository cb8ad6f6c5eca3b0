//! Views of the store in the directory.

use std::sync::Arc;

use leftfold::{Appended, Embedded, EventStore};
use leftfold_views::{ListParked, ViewPhase, ViewStart, Views, ViewsError};
use serde_json::{Value, json};

use super::file;
use crate::args::{Location, ViewAction, ViewFrom};
use crate::store::{check_directory, options};
use crate::views::{LONG, with_views};

pub(super) fn run(location: &Location, action: &ViewAction) -> anyhow::Result<Value> {
    let definition = match action {
        ViewAction::Add { file, .. } | ViewAction::Replace { file } | ViewAction::Plan { file } => {
            Some(file::read(file)?)
        }
        _ => None,
    };
    check_directory(&location.data)?;
    let store = match action {
        // As the first append, the first view makes the store.
        ViewAction::Add { .. } => Embedded::open(&location.data, options(location))?,
        _ => Embedded::open_existing(&location.data, options(location))?,
    };
    let store = Arc::new(store);
    with_views(location, store.clone(), async |views| {
        if let ViewAction::Wait { name, at_least, timeout } = action {
            let cursor = match at_least {
                Some(cursor) => cursor.clone(),
                None => store.head().await?,
            };
            views.wait_for_cursor(name, &cursor, timeout.unwrap_or(LONG)).await?;
        }
        let Some(definition) = definition else { return act(views, &store, action).await };
        let name = definition.name();
        Ok(match action {
            ViewAction::Add { from, .. } => {
                let start = match from {
                    ViewFrom::Start => ViewStart::Beginning,
                    ViewFrom::Now => ViewStart::now(&*store).await?,
                    ViewFrom::After(cursor) => ViewStart::After(cursor.to_string()),
                };
                changed(name, &views.add(&definition, start).await?)
            }
            ViewAction::Replace { .. } => changed(name, &views.replace(&definition).await?),
            _ => serde_json::to_value(views.plan(&definition).await?)?,
        })
    })
}

/// Does what needs no file.
async fn act(
    views: &Views<Embedded>,
    store: &Embedded,
    action: &ViewAction,
) -> anyhow::Result<Value> {
    Ok(match action {
        ViewAction::Show { name } | ViewAction::Wait { name, .. } => {
            let status = views.status(name).await?;
            let mut answer = serde_json::to_value(&status)?;
            answer["text"] = status.text.into();
            answer
        }
        ViewAction::Pause { name } => changed(name, &views.pause(name).await?),
        ViewAction::Resume { name } => changed(name, &views.resume(name).await?),
        ViewAction::Reset { name } => changed(name, &views.reset(name).await?),
        ViewAction::Remove { name } => changed(name, &views.remove(name).await?),
        ViewAction::Parked { name, all } => list_parked(views, store, name, *all).await?,
        ViewAction::Retry { name, stream } => {
            changed(name, &views.retry(name, stream.as_deref()).await?)
        }
        ViewAction::Skip { name, position, stream } => {
            changed(name, &views.skip(name, *position, stream.as_deref()).await?)
        }
        _ => json!({"views": serde_json::to_value(views.list().await)?}),
    })
}

/// Lists parked events, once the view has all events. A view that is paused or has failed does not come that far.
async fn list_parked(
    views: &Views<Embedded>,
    store: &Embedded,
    name: &str,
    all: bool,
) -> anyhow::Result<Value> {
    let at_least = match views.status(name).await?.phase {
        ViewPhase::Paused | ViewPhase::Failed => None,
        _ => Some((store.head().await?, LONG)),
    };
    let list = ListParked { view: name, all, at_least };
    let events = views.list_parked(list, |_, _| Ok::<_, ViewsError>(())).await?;
    Ok(json!({"events": events}))
}

fn changed(name: &str, appended: &Appended) -> Value {
    json!({"view": name, "cursor": appended.cursor.to_string()})
}
