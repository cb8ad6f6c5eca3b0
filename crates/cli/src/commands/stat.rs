use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use crate::output::{for_people, table, thousands};

pub(crate) fn run(data: &Path) -> anyhow::Result<ExitCode> {
    let stat = super::existing(data)?.stat()?;
    let numbers = [
        ("events", stat.events),
        ("streams", stat.streams),
        ("checkpoints", stat.checkpoints),
        ("indexes", stat.indexes),
        ("segments", stat.segments),
        ("sealed segments", stat.sealed),
        ("log bytes", stat.log_bytes),
        ("index bytes", stat.index_bytes),
    ];
    let (id, created) = (format!("{:032x}", stat.store_id), stat.created.to_string());
    if for_people() {
        let mut rows = table(&["store", &id]);
        rows.add_row(["created", &created]);
        for (name, n) in numbers {
            rows.add_row([name, &thousands(n)]);
        }
        println!("{rows}");
    } else {
        let mut line = json!({"store": id, "created": created});
        for (name, n) in numbers {
            line[name.replace(' ', "_")] = n.into();
        }
        println!("{line}");
    }
    if let Some(failure) = stat.upkeep_failure {
        eprintln!("warning: work in the background failed: {failure}");
    }
    Ok(ExitCode::SUCCESS)
}
