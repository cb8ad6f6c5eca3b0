use std::process::ExitCode;

use leftfold::{
    EventStore, IndexDefinition, IndexInfo, Invalid, Partitioner, Partitioning, ReadError,
};
use pollster::block_on;
use serde_json::{Value, json};

use crate::args::{IndexAction, Location};
use crate::output::{for_people, hint, print_table, table, thousands};
use crate::store::Store;

pub(crate) fn run(location: &Location, action: IndexAction) -> anyhow::Result<ExitCode> {
    let store = Store::existing(location)?;
    match action {
        IndexAction::Define { name, query, partitions, partition_by: key, partitioner } => {
            let partitioning = partitions.map(|count| Partitioning { count, key, partitioner });
            let read = match partitioning {
                Some(_) => format!("partition:{name}/0"),
                None => format!("index:{name}"),
            };
            block_on(store.define_index(IndexDefinition { name, query, partitioning }))?;
            hint(format_args!("defined; read it with: leftfold read {read}"));
        }
        IndexAction::Show { name } => {
            let info = block_on(store.index(&name))?.ok_or_else(|| unknown(&name))?;
            show(&info)?;
        }
        IndexAction::Drop { name } => block_on(store.drop_index(&name))?,
        IndexAction::List => list(&block_on(store.indexes())?)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn unknown(name: &str) -> ReadError {
    let message = format!("there is no index {name}; see: leftfold index list");
    Invalid::new("index_unknown", message).into()
}

fn show(info: &IndexInfo) -> std::io::Result<()> {
    if !for_people() {
        say!("{}", to_json(info));
        return Ok(());
    }
    let mut rows = table(&["index", &info.name]);
    rows.add_row(["query", &info.query.to_string()]);
    rows.add_row(["events", &thousands(info.events)]);
    rows.add_row(["ready", &info.ready.to_string()]);
    if let Some(Partitioning { count, key, partitioner }) = &info.partitioning {
        rows.add_row(["partitions", &count.to_string()]);
        rows.add_row(["partition by", &key.to_string()]);
        rows.add_row(["partitioner", &partitioner.to_string()]);
    }
    print_table(&rows)
}

fn list(indexes: &[IndexInfo]) -> std::io::Result<()> {
    if !for_people() {
        indexes.iter().for_each(|info| say!("{}", to_json(info)));
        return Ok(());
    }
    let mut rows = table(&["index", "events", "ready", "partitions", "query"]);
    for IndexInfo { name, query, partitioning, ready, events } in indexes {
        let partitions = partitioning.as_ref().map(print_partitioning).unwrap_or_default();
        let (events, ready) = (thousands(*events), ready.to_string());
        rows.add_row([name, &events, &ready, &partitions, &query.to_string()]);
    }
    print_table(&rows)
}

/// Prints partitions in a few words; the default partitioner goes without saying.
fn print_partitioning(Partitioning { count, key, partitioner }: &Partitioning) -> String {
    match partitioner {
        Partitioner::Murmur2 => format!("{count} by {key}"),
        other => format!("{count} by {key}, {other}"),
    }
}

fn to_json(info: &IndexInfo) -> Value {
    let IndexInfo { name, query, partitioning, ready, events } = info;
    let query = query.to_string();
    let mut line = json!({"index": name, "events": events, "ready": ready, "query": query});
    if let Some(Partitioning { count, key, partitioner }) = partitioning {
        let (by, partitioner) = (key.to_string(), partitioner.to_string());
        line["partitions"] = json!({"count": count, "by": by, "partitioner": partitioner});
    }
    line
}
