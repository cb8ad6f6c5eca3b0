//! Writes the stores that must open for ever: one for each version of the format, and one with the
//! later additions. Run by `cargo xtask fixture`.

use std::path::Path;

use anyhow::bail;
use leftfold::{
    Append, CheckpointMove, Compression, Cursor, Embedded, Expected, NewEvent, Options, Query,
    Retention, RetentionRule, Timestamp,
};

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["v1", dir] => write_v1(Path::new(dir)),
        ["generations", dir] => write_generations(Path::new(dir)),
        _ => bail!("usage: fixture (v1 | generations) DIRECTORY"),
    }
}

fn write_v1(dir: &Path) -> anyhow::Result<()> {
    refuse_if_there(dir)?;
    let mut options = Options::default();
    options.log.segment_bytes = 4_000;
    options.log.preallocate = 512;
    let store = Embedded::open(dir, options)?;
    for n in 0..60u32 {
        let event = NewEvent::json("Counted", format!(r#"{{"n":{n}}}"#))
            .id(uuid::Uuid::from_u128(u128::from(n) + 1))
            .tag("third", (n % 3).to_string())
            .event_time(Timestamp(1_000_000 * i64::from(n)));
        let mut append = Append::new().event(format!("order-{}", n % 7), event);
        if n == 5 {
            let to =
                CheckpointMove { name: "reader".to_owned(), expected: None, to: Cursor::START };
            append = append.checkpoint(to);
        }
        store.blocking().append(append)?;
        if n == 30 {
            store
                .blocking()
                .define_index(leftfold::IndexDefinition::new("thirds", Query::tag("third", "1")))?;
        }
        if n == 40 {
            store.blocking().define_index(leftfold::IndexDefinition::new("gone", Query::All))?;
            store.blocking().drop_index("gone")?;
        }
    }
    // All maintenance is done.
    while store.stat()?.sealed + 1 < store.stat()?.segments {
        std::thread::yield_now();
    }
    store.close();
    Ok(())
}

fn refuse_if_there(dir: &Path) -> anyhow::Result<()> {
    if dir.exists() {
        bail!("{} is there: a released format never changes", dir.display());
    }
    Ok(())
}

/// Writes segments compressed fast and small, scavenged ones, merged index files, and all kinds of
/// retention.
fn write_generations(dir: &Path) -> anyhow::Result<()> {
    refuse_if_there(dir)?;
    for (round, compression) in (0..).zip([Compression::Small, Compression::Fast, Compression::Off])
    {
        let mut options = Options { compression, ..Options::default() };
        options.log.segment_bytes = 3_000;
        options.log.preallocate = 512;
        let store = Embedded::open(dir, options)?;
        if round == 1 {
            store.blocking().delete_stream("order-2", Expected::Any)?;
            store.blocking().tombstone_stream("order-3", Expected::Any)?;
            store.blocking().set_retention("order-4", Retention::default().max_count(3))?;
            let rule = RetentionRule {
                name: "temporary".to_owned(),
                query: Query::tag("third", "1"),
                retention: Retention::default().max_age(std::time::Duration::ZERO),
            };
            store.blocking().set_retention_rule(rule)?;
        }
        for n in round * 60..(round + 1) * 60u32 {
            if round > 0 && n % 7 == 3 {
                continue;
            }
            let event =
                NewEvent::json("Counted", format!(r#"{{"n":{n},"text":"{}"}}"#, "so ".repeat(9)))
                    .id(uuid::Uuid::from_u128(u128::from(n) + 1))
                    .tag("third", (n % 3).to_string());
            store.blocking().append(Append::new().event(format!("order-{}", n % 7), event))?;
        }
        store.settle()?;
        if round == 1 {
            store.scavenge(|_, _| {})?;
        }
        store.close();
    }
    Ok(())
}
