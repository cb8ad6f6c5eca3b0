use std::process::ExitCode;

use leftfold::{checkpoints_warning, clock_warning};
use serde_json::json;

use crate::args::Location;
use crate::output::{for_people, print_table, table, thousands};
use crate::store::Store;

pub(crate) fn run(location: &Location) -> anyhow::Result<ExitCode> {
    let (stat, reclaimable) = match Store::existing(location)? {
        Store::Embedded(store) => (store.stat()?, store.reclaimable()?),
        Store::Remote(client) => {
            let (stat, reclaimable) = pollster::block_on(client.stat(true))?;
            (stat, reclaimable.unwrap_or_default())
        }
    };
    let numbers = [
        ("events", stat.events),
        ("streams", stat.streams),
        ("bookkeeping events", stat.bookkeeping_events),
        ("last position", stat.last_position),
        ("checkpoints", stat.checkpoints),
        ("indexes", stat.indexes),
        ("segments", stat.segments),
        ("sealed segments", stat.sealed),
        ("packed segments", stat.compressed),
        ("log bytes", stat.log_bytes),
        ("index bytes", stat.index_bytes),
        ("index files", stat.index_files),
        ("scavengeable events", reclaimable.events),
        ("scavengeable bytes", reclaimable.payload_bytes),
    ];
    let (id, created) = (format!("{:032x}", stat.store_id), stat.created.to_string());
    if for_people() {
        let mut rows = table(&["store", &id]);
        rows.add_row(["created", &created]);
        for (name, n) in numbers {
            rows.add_row([name, &thousands(n)]);
        }
        print_table(&rows)?;
    } else {
        let mut line = json!({"store": id, "created": created});
        for (name, n) in numbers {
            line[name.replace(' ', "_")] = n.into();
        }
        say!("{line}");
    }
    if let Some(failure) = stat.maintenance_failure {
        eprintln!("warning: maintenance in the background failed: {failure}");
    }
    let checkpoints = checkpoints_warning(stat.checkpoints, stat.checkpoints_allowed);
    for warning in clock_warning(stat.clock_behind_micros).into_iter().chain(checkpoints) {
        eprintln!("warning: {warning}");
    }
    Ok(ExitCode::SUCCESS)
}
