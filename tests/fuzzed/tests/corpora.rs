//! Runs the first inputs and the corpus without the fuzzer.

use std::fs;
use std::path::Path;

/// All inputs run in one test, because memory is counted for the whole process.
#[test]
fn every_corpus_input_runs_without_a_panic_or_too_much_memory() {
    for target in &leftfold_fuzzed::TARGETS {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target.name);
        let mut inputs = target.seeds();
        for entry in fs::read_dir(&dir).unwrap() {
            inputs.push(fs::read(entry.unwrap().path()).unwrap());
        }
        for (n, input) in inputs.iter().enumerate() {
            // The last printed line names the input that failed.
            println!("{} {n}: {} bytes", target.name, input.len());
            target.run(input);
        }
    }
}
