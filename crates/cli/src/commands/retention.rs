use std::process::ExitCode;
use std::time::Duration;

use leftfold::{EventStore, Retention, RetentionRule};
use pollster::block_on;
use serde_json::json;

use crate::args::{Delete, Kept, Place, RetentionAction};
use crate::output::{for_people, table, thousands};
use crate::store::Store;

pub(crate) fn run(place: &Place, action: RetentionAction) -> anyhow::Result<ExitCode> {
    let store = Store::existing(place)?;
    match action {
        RetentionAction::Set { stream, kept, truncate_before } => {
            let retention = Retention { truncate_before, ..retention(&kept) };
            block_on(store.set_retention(&stream, retention))?;
        }
        RetentionAction::Rule { name, query, kept } => {
            let retention = retention(&kept);
            block_on(store.set_retention_rule(RetentionRule { name, query, retention }))?;
        }
        RetentionAction::Drop { name } => block_on(store.drop_retention_rule(&name))?,
        RetentionAction::List => list(&block_on(store.retention_rules())?),
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn delete(place: &Place, args: &Delete) -> anyhow::Result<ExitCode> {
    let store = Store::existing(place)?;
    match args.tombstone {
        true => block_on(store.tombstone_stream(&args.stream, args.expect))?,
        false => block_on(store.delete_stream(&args.stream, args.expect))?,
    }
    eprintln!("deleted; free the space with: leftfold scavenge");
    Ok(ExitCode::SUCCESS)
}

fn retention(kept: &Kept) -> Retention {
    let Kept { max_count, max_age } = *kept;
    Retention { max_count, max_age, ..Retention::default() }
}

fn list(rules: &[RetentionRule]) {
    let mut rows = table(&["rule", "max count", "max age", "query"]);
    for RetentionRule { name, query, retention } in rules {
        let (count, age) = (retention.max_count, retention.max_age.map(|age| age.as_secs()));
        if for_people() {
            let count = count.map_or(String::new(), thousands);
            let age = retention.max_age.map_or(String::new(), in_words);
            rows.add_row([name.clone(), count, age, query.to_string()]);
        } else {
            let query = query.to_string();
            let line =
                json!({"rule": name, "max_count": count, "max_age_seconds": age, "query": query});
            println!("{line}");
        }
    }
    if for_people() {
        println!("{rows}");
    }
}

/// In the largest unit that is whole.
fn in_words(age: Duration) -> String {
    let seconds = age.as_secs();
    let units = [(86_400, "d"), (3_600, "h"), (60, "m")];
    let whole = units.iter().find(|(unit, _)| seconds > 0 && seconds.is_multiple_of(*unit));
    whole.map_or(format!("{seconds}s"), |(unit, name)| format!("{}{name}", seconds / unit))
}
