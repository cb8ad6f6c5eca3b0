//! How fast camt.053 is read, without storing anything:
//! `cargo run --release -p leftfold-connect --example parse_rate [megabytes]`.
//!
//! The generated file is kept in memory so that only the parser is measured.

use leftfold_connect::{Item, Mapping, read, sample};
use std::convert::Infallible;
use std::error::Error;
use std::time::Instant;

/// Repeated, and the best taken: what else runs on the machine only ever makes it slower.
const ROUNDS: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let megabytes: u64 = match std::env::args().nth(1) {
        Some(argument) => argument.parse()?,
        None => 128,
    };
    let mapping = Mapping::builtin("camt.053").ok_or("camt.053 is built in")?;
    let mut file = Vec::new();
    let written = sample::write_camt(&mut file, megabytes * 1_000_000, 1)?;
    println!("{} bytes, {} entries, {} events", written.bytes, written.entries, written.events);
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let (mut kept, start) = (0_usize, Instant::now());
        let summary = read(&mapping, file.as_slice(), &mut |item| {
            if let Item::Record(draft) = item {
                kept += draft.data.len();
            }
            Ok::<(), Infallible>(())
        })?;
        let seconds = start.elapsed().as_secs_f64();
        best = best.min(seconds);
        assert_eq!((summary.records, summary.rejects), (written.events, 0));
        println!(
            "{:7.1} MB/s {:9.0} records/s {kept:11} bytes of JSON",
            written.bytes as f64 / 1e6 / seconds,
            summary.records as f64 / seconds,
        );
    }
    println!("best: {:.1} MB/s", written.bytes as f64 / 1e6 / best);
    Ok(())
}
