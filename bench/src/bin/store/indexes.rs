//! The cost of named indexes for an append: processor time with 0, 10, 100 and 1,000 of them.

use std::path::Path;
use std::time::Duration;

use leftfold::{Append, Durability, Embedded, IndexDefinition, Options};
use leftfold_bench::{cpu_seconds, wait_for_idle};

use super::{event, rounds};

const COUNTS: [usize; 4] = [0, 10, 100, 1_000];
const APPENDS: usize = 5_000;

/// Makes the text of a query from a number.
type QueryText = fn(usize) -> String;

/// A kind of index, and its query by number.
const KINDS: [(&str, QueryText); 3] = [
    ("by category, one of them lists the event", |n| format!("category:c{n}")),
    ("by a tag that no event has", |n| format!("type:Measured tag:k={n}")),
    ("negative: each is held against each event", |n| format!("not type:Measured tag:n={n}*")),
];

pub(super) fn run(dir: &Path) -> anyhow::Result<()> {
    println!("named indexes: microseconds of processor time for an append, relaxed durability");
    for (kind, query) in KINDS {
        let mut row = vec![Vec::new(); COUNTS.len()];
        for round in 0..rounds() {
            for (at, count) in COUNTS.into_iter().enumerate() {
                let dir = dir.join(format!("indexes-{count}-{round}"));
                row[at].push(measure(&dir, count, query)?);
                std::fs::remove_dir_all(&dir)?;
            }
        }
        let cells = COUNTS.iter().zip(&mut row).map(|(count, micros)| {
            micros.sort_by(f64::total_cmp);
            let (least, greatest) = (micros[0], micros[micros.len() - 1]);
            format!("{count}: {:.2} ({least:.2} to {greatest:.2})", micros[micros.len() / 2])
        });
        println!("  {kind}: {}", cells.collect::<Vec<_>>().join(", "));
    }
    println!();
    Ok(())
}

fn measure(dir: &Path, count: usize, query: QueryText) -> anyhow::Result<f64> {
    let mut options = Options::default();
    options.log.durability = Durability::Relaxed(Duration::from_millis(100));
    let store = Embedded::open(dir, options)?;
    for n in 0..count {
        let definition = IndexDefinition::new(format!("i{n}"), query(n).parse()?);
        store.blocking().define_index(definition)?;
    }
    wait_for_idle();
    let before = cpu_seconds();
    for n in 0..APPENDS {
        let stream = format!("c{}-{}", n % 10, n % 1_000);
        store.blocking().append(Append::new().event(stream, event()))?;
    }
    Ok((cpu_seconds() - before) * 1e6 / APPENDS as f64)
}
