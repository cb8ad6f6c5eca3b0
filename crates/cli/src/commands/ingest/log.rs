//! The ledger of ingests.

use std::process::ExitCode;

use leftfold::{EventStore, Read};
use leftfold_connect::LedgerEntry;
use pollster::block_on;
use serde_json::json;

use crate::args::Location;
use crate::output::{for_people, print_table, table, thousands};
use crate::store::Store;

/// Digits of a digest in a table; the rest is for programs.
const DIGITS: usize = 12;

pub(super) fn run(location: &Location, mapping: Option<&str>) -> anyhow::Result<ExitCode> {
    let store = Store::existing(location)?;
    let columns = [
        "ended", "file", "mapping", "ingested", "repeated", "rejected", "warnings", "balances",
        "sha256",
    ];
    let mut rows = table(&columns);
    let query = LedgerEntry::query(mapping);
    let mut read = Read::forward(query.clone());
    loop {
        let page = block_on(store.read(read))?;
        for event in &page.events {
            let Some(entry) = LedgerEntry::of_recorded(event) else { continue };
            let ended = event.commit_time().to_string();
            if !for_people() {
                let mut line = json!(entry);
                line["ended"] = ended.into();
                say!("{line}");
                continue;
            }
            let balances = match entry.balances_mismatched {
                0 => format!("{} hold", thousands(entry.balances_held)),
                wrong => format!("{} WRONG", thousands(wrong)),
            };
            let file =
                if entry.complete { entry.file.clone() } else { entry.file.clone() + " (cut)" };
            let [ingested, repeated, rejected, warnings] =
                [entry.ingested, entry.repeated, entry.rejected, entry.warnings].map(thousands);
            let mapping = match entry.mapping_version {
                1 => entry.mapping,
                version => format!("{} (version {version})", entry.mapping),
            };
            let sha256: String = entry.sha256.chars().take(DIGITS).collect();
            rows.add_row([
                ended, file, mapping, ingested, repeated, rejected, warnings, balances, sha256,
            ]);
        }
        if !page.more {
            break;
        }
        read = Read::forward(query.clone()).after(page.cursor);
    }
    if for_people() {
        print_table(&rows)?;
    }
    Ok(ExitCode::SUCCESS)
}
