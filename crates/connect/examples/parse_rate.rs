//! Measures how fast camt.053 is read, without a store:
//! `cargo run --release -p leftfold-connect --example parse_rate [megabytes | night]`.
//!
//! With a number, a dense file of that size is generated (900 bytes an event); with `night`, the
//! files of the sample night are read, the first of which is indented. All of it is kept in memory
//! so that only the parser is measured.

use leftfold_connect::{Item, Mapping, read, sample};
use std::convert::Infallible;
use std::error::Error;
use std::path::Path;
use std::time::Instant;

/// Repetitions; the best counts, because other load only makes a run slower.
const ROUNDS: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let mapping = Mapping::builtin("camt.053").ok_or("camt.053 is built in")?;
    match std::env::args().nth(1).as_deref() {
        Some("night") => {
            let dir = std::env::temp_dir().join("leftfold-parse-rate");
            std::fs::create_dir_all(&dir)?;
            let night = measure_night(&mapping, &dir);
            std::fs::remove_dir_all(&dir)?;
            night
        }
        argument => {
            let megabytes: u64 = argument.unwrap_or("128").parse()?;
            let mut file = Vec::new();
            sample::write_camt(&mut file, megabytes * 1_000_000, 1)?;
            measure("generated", &mapping, &file)
        }
    }
}

fn measure_night(mapping: &Mapping, dir: &Path) -> Result<(), Box<dyn Error>> {
    let night = sample::write_night(dir, &sample::NightOptions::default())?;
    for path in &night.files {
        measure(
            &path.file_name().unwrap_or_default().to_string_lossy(),
            mapping,
            &std::fs::read(path)?,
        )?;
    }
    Ok(())
}

/// Prints the best of several readings of `file`.
fn measure(name: &str, mapping: &Mapping, file: &[u8]) -> Result<(), Box<dyn Error>> {
    let (mut best, mut records) = (f64::MAX, 0);
    for _ in 0..ROUNDS {
        let (mut kept, start) = (0_usize, Instant::now());
        let summary = read(mapping, file, &mut |item| {
            if let Item::Record(draft) = item {
                kept += draft.data.len();
            }
            Ok::<(), Infallible>(())
        })?;
        best = best.min(start.elapsed().as_secs_f64());
        records = summary.records;
        assert!(summary.complete && kept > 0);
    }
    let (rate, per_second) = (file.len() as f64 / 1e6 / best, records as f64 / best);
    println!(
        "{name}: {} bytes, {records} records, {rate:.1} MB/s, {per_second:.0} records/s",
        file.len()
    );
    Ok(())
}
