//! Writes the first inputs of a target: `seeds TARGET DIRECTORY`.
#![expect(clippy::unwrap_used, reason = "it is run by hand")]

use std::fs;
use std::path::Path;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [target, dir] = args.as_slice() else { return println!("seeds TARGET DIRECTORY") };
    let target = leftfold_fuzzed::target(target).unwrap();
    fs::create_dir_all(dir).unwrap();
    for (n, seed) in target.seeds().iter().enumerate() {
        fs::write(Path::new(dir).join(format!("seed-{n}")), seed).unwrap();
    }
}
