//! What the fuzzer begins with and what it found worth keeping, played without it.

use std::fs;
use std::path::Path;

/// One test after the other: the memory that a run takes is counted for the whole process.
#[test]
fn every_kept_input_is_taken_without_a_panic_or_too_much_memory() {
    for target in &leftfold_fuzzed::TARGETS {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target.name);
        let mut inputs = target.seeds();
        for entry in fs::read_dir(&dir).unwrap() {
            inputs.push(fs::read(entry.unwrap().path()).unwrap());
        }
        for (n, input) in inputs.iter().enumerate() {
            // The last line that is printed tells which input it was.
            println!("{} {n}: {} bytes", target.name, input.len());
            target.run(input);
        }
    }
}
