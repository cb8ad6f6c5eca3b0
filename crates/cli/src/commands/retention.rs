use std::process::ExitCode;
use std::time::Duration;

use leftfold::{EventStore, Retention, RetentionRule, Streams, names};
use pollster::block_on;
use serde_json::json;

use super::streams::kept;
use crate::args::{Delete, Location, Retained, RetentionAction};
use crate::output::{for_people, hint, print_table, table, thousands};
use crate::store::Store;

pub(crate) fn run(location: &Location, action: RetentionAction) -> anyhow::Result<ExitCode> {
    let store = Store::existing(location)?;
    match action {
        RetentionAction::Set { stream, retained, truncate_before } => {
            let retention = Retention { truncate_before, ..retention(&retained) };
            block_on(store.set_retention(&stream, retention))?;
        }
        RetentionAction::Rule { name, query, retained } => {
            let retention = retention(&retained);
            block_on(store.set_retention_rule(RetentionRule { name, query, retention }))?;
        }
        RetentionAction::Drop { name } => block_on(store.drop_retention_rule(&name))?,
        RetentionAction::List { streams: false } => list(&block_on(store.retention_rules())?)?,
        RetentionAction::List { streams: true } => list_streams(&store)?,
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn delete(location: &Location, args: &Delete) -> anyhow::Result<ExitCode> {
    let store = Store::existing(location)?;
    match args.tombstone {
        true => block_on(store.tombstone_stream(&args.stream, args.expect))?,
        false => block_on(store.delete_stream(&args.stream, args.expect))?,
    }
    hint("deleted; free the space with: leftfold scavenge");
    Ok(ExitCode::SUCCESS)
}

fn retention(retained: &Retained) -> Retention {
    let Retained { max_count, max_age } = *retained;
    Retention { max_count, max_age, ..Retention::default() }
}

fn list(rules: &[RetentionRule]) -> std::io::Result<()> {
    let mut rows = table(&["rule", "max count", "max age", "query"]);
    for RetentionRule { name, query, retention } in rules {
        let (count, age) = (retention.max_count, retention.max_age.map(|age| age.as_secs()));
        if for_people() {
            let count = count.map_or(String::new(), thousands);
            let age = retention.max_age.map_or(String::new(), format_age);
            rows.add_row([name.clone(), count, age, query.to_string()]);
        } else {
            let query = query.to_string();
            let line =
                json!({"rule": name, "max_count": count, "max_age_seconds": age, "query": query});
            say!("{line}");
        }
    }
    if for_people() {
        print_table(&rows)?;
    }
    Ok(())
}

/// Lists the streams for which something was set: each has a settings stream in the store.
fn list_streams(store: &Store) -> anyhow::Result<()> {
    let mut rows = table(&["stream", "kept"]);
    let category = Some(names::STREAM_SETTINGS.to_owned());
    let mut wanted = Streams { category, limit: 1_000, ..Streams::default() };
    loop {
        let page = block_on(store.streams(wanted.clone()))?;
        for settings in &page.streams {
            let Some((_, name)) = settings.name.split_once('-') else { continue };
            let info = block_on(store.stream(name))?;
            let kept = info.as_ref().map_or_else(|| "no events".to_owned(), kept);
            if for_people() {
                rows.add_row([name, &kept]);
            } else {
                let tombstoned = info.as_ref().map(|info| info.tombstoned);
                say!("{}", json!({"stream": name, "kept": kept, "tombstoned": tombstoned}));
            }
        }
        if !page.more {
            break;
        }
        wanted.after = Some(page.cursor);
    }
    if for_people() {
        print_table(&rows)?;
    }
    Ok(())
}

/// Formats an age in the largest unit that divides it.
fn format_age(age: Duration) -> String {
    let seconds = age.as_secs();
    let units = [(86_400, "d"), (3_600, "h"), (60, "m")];
    let whole = units.iter().find(|(unit, _)| seconds > 0 && seconds.is_multiple_of(*unit));
    whole.map_or(format!("{seconds}s"), |(unit, name)| format!("{}{name}", seconds / unit))
}
