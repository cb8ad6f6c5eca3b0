use std::io::Write;
use std::process::ExitCode;

use leftfold::{EventStore, StreamInfo, Streams};
use pollster::block_on;
use serde_json::json;

use crate::args::{self, Location};
use crate::output::{for_people, print_table, table};
use crate::store::Store;

pub(crate) fn run(location: &Location, args: &args::Streams) -> anyhow::Result<ExitCode> {
    let store = Store::existing(location)?;
    let mut left =
        args.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let mut wanted = Streams {
        category: args.category.clone(),
        system: args.system,
        after: None,
        limit: left.min(1_000),
    };
    while left > 0 {
        let page = block_on(store.streams(wanted.clone()))?;
        show(&page.streams)?;
        left -= page.streams.len().min(left);
        if !page.more {
            break;
        }
        wanted.after = Some(page.cursor);
        wanted.limit = left.min(1_000);
    }
    Ok(ExitCode::SUCCESS)
}

fn show(streams: &[StreamInfo]) -> std::io::Result<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    if for_people() {
        let columns = ["stream", "last version", "first position", "last position", "kept"];
        let mut table = table(&columns);
        for stream in streams {
            let numbers = [stream.version, stream.first_position, stream.last_position];
            let numbers = numbers.map(|n| n.to_string());
            table.add_row([&stream.name].into_iter().chain(&numbers).chain([&kept(stream)]));
        }
        print_table(&table)?;
    } else {
        for stream in streams {
            let line = json!({
                "stream": stream.name,
                "version": stream.version,
                "first_position": stream.first_position,
                "last_position": stream.last_position,
                "tombstoned": stream.tombstoned,
                "deleted": stream.is_deleted(),
                "max_count": stream.retention.max_count,
                "max_age_seconds": stream.retention.max_age.map(|age| age.as_secs()),
                "truncate_before": stream.retention.truncate_before,
            });
            writeln!(out, "{line}")?;
        }
    }
    out.flush()
}

/// Says what of a stream is kept.
pub(super) fn kept(stream: &StreamInfo) -> String {
    if stream.tombstoned {
        return "nothing: tombstone".to_owned();
    }
    if stream.is_deleted() {
        return "nothing: deleted".to_owned();
    }
    let retention = &stream.retention;
    let parts = [
        retention.max_count.map(|count| format!("the last {count}")),
        retention.max_age.map(|age| format!("{} s", age.as_secs())),
        retention.truncate_before.map(|version| format!("from version {version}")),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "all".to_owned() } else { parts.join(", ") }
}
