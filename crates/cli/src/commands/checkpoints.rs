use std::process::ExitCode;

use leftfold::EventStore;
use pollster::block_on;
use serde_json::json;

use crate::args::{CheckpointsAction, Location};
use crate::output::{for_people, print_table, table};
use crate::store::Store;

/// Checkpoints that are asked for at a time.
const PAGE: usize = 1_000;

pub(crate) fn run(
    location: &Location,
    action: Option<CheckpointsAction>,
) -> anyhow::Result<ExitCode> {
    let store = Store::existing(location)?;
    match action {
        Some(CheckpointsAction::Delete { name }) => block_on(store.delete_checkpoint(&name))?,
        None => list(&store)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn list(store: &Store) -> anyhow::Result<()> {
    let mut rows = table(&["checkpoint", "position", "cursor"]);
    let mut after = None;
    loop {
        let page = block_on(store.checkpoints(after.clone(), PAGE))?;
        let Some(last) = page.last() else { break };
        after = Some(last.name.clone());
        for found in page {
            let cursor = found.cursor.to_string();
            let position = found.cursor.position();
            if for_people() {
                let position = position.map_or_else(String::new, |position| position.to_string());
                rows.add_row([&found.name, &position, &cursor]);
            } else {
                let line =
                    json!({"checkpoint": found.name, "position": position, "cursor": cursor});
                say!("{line}");
            }
        }
    }
    if for_people() {
        print_table(&rows)?;
    }
    Ok(())
}
