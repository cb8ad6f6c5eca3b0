use std::process::ExitCode;

use leftfold::EventStore;
use pollster::block_on;
use serde_json::json;

use crate::args::{IndexAction, Place};
use crate::output::{for_people, table, thousands};
use crate::store::Store;

pub(crate) fn run(place: &Place, action: IndexAction) -> anyhow::Result<ExitCode> {
    let store = Store::existing(place)?;
    match action {
        IndexAction::Define { name, query } => {
            block_on(store.define_index(leftfold::IndexDefinition::new(&name, query)))?;
            eprintln!("defined; read it with: leftfold read index:{name}");
        }
        IndexAction::Drop { name } => block_on(store.drop_index(&name))?,
        IndexAction::List => {
            let mut rows = table(&["index", "events", "ready", "query"]);
            for index in block_on(store.indexes())? {
                let (query, ready) = (index.query.to_string(), index.ready);
                if for_people() {
                    let events = thousands(index.events);
                    rows.add_row([index.name, events, ready.to_string(), query]);
                } else {
                    let (name, events) = (index.name, index.events);
                    println!(
                        "{}",
                        json!({"index": name, "events": events, "ready": ready, "query": query})
                    );
                }
            }
            if for_people() {
                println!("{rows}");
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
