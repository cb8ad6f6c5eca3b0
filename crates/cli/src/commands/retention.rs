use std::process::ExitCode;
use std::time::Duration;

use leftfold::{EventStore, Retention, RetentionRule};
use pollster::block_on;
use serde_json::json;

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
        RetentionAction::List => list(&block_on(store.retention_rules())?)?,
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

/// Formats an age in the largest unit that divides it.
fn format_age(age: Duration) -> String {
    let seconds = age.as_secs();
    let units = [(86_400, "d"), (3_600, "h"), (60, "m")];
    let whole = units.iter().find(|(unit, _)| seconds > 0 && seconds.is_multiple_of(*unit));
    whole.map_or(format!("{seconds}s"), |(unit, name)| format!("{}{name}", seconds / unit))
}
