//! The fuzz targets.
//!
//! Each target takes any bytes and makes input of them that the store reads from a disk or a user:
//! frames, an index file, a manifest, a damaged directory, the text of a query, a request. It fails
//! with a panic if a promise does not hold, and it may use no more memory than the size of the input
//! explains. Checksums would stop the fuzzer early, so the targets recompute them after the
//! fuzzer's changes ([`seal`]).
//!
//! `fuzz/` runs the targets under libFuzzer (`cargo xtask fuzz`); `tests/corpora.rs` runs the
//! inputs of the corpus as an ordinary test.
#![expect(clippy::unwrap_used, reason = "a case fails by panicking")]

mod directory;
mod disk;
mod frames;
mod http;
mod index_file;
mod kafka_requests;
mod manifest;
mod message;
mod query;
pub mod seal;
mod small_store;

use std::alloc::System;
use std::sync::Once;

use cap::Cap;

/// Counts allocations, so that a run can be limited: exceeding the limit ends the process.
#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// The memory for opening and reading a store, whatever its content.
const FIXED_BYTES: usize = 8 << 20;
/// The memory per byte of input: a record without data has 16 bytes on disk, and several times that
/// in memory.
const TIMES_INPUT: usize = 64;

/// A fuzzed function and its first inputs.
pub struct Target {
    /// The name.
    pub name: &'static str,
    run: fn(&[u8]),
    seeds: fn() -> Vec<Vec<u8>>,
}

/// All targets.
pub const TARGETS: [Target; 8] = [
    Target { name: "frames", run: frames::run, seeds: frames::seeds },
    Target { name: "index_file", run: index_file::run, seeds: index_file::seeds },
    Target { name: "manifest", run: manifest::run, seeds: manifest::seeds },
    Target { name: "directory", run: directory::run, seeds: directory::seeds },
    Target { name: "query", run: query::run, seeds: query::seeds },
    Target { name: "http", run: http::run, seeds: http::seeds },
    Target { name: "message", run: message::run, seeds: message::seeds },
    Target { name: "kafka_requests", run: kafka_requests::run, seeds: kafka_requests::seeds },
];

/// Returns the target of a name, or `None`.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

impl Target {
    /// Runs the target on an input, within the memory limit for it.
    pub fn run(&self, input: &[u8]) {
        lift_limit_on_panic();
        let limit = ALLOCATOR.allocated() + FIXED_BYTES + TIMES_INPUT * input.len();
        ALLOCATOR.set_limit(limit).unwrap();
        (self.run)(input);
        ALLOCATOR.set_limit(usize::MAX).unwrap();
    }

    /// Returns valid inputs.
    pub fn seeds(&self) -> Vec<Vec<u8>> {
        (self.seeds)()
    }
}

/// Removes the limit during a panic, because its report takes memory of its own.
fn lift_limit_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            _ = ALLOCATOR.set_limit(usize::MAX);
            report(panic);
        }));
    });
}

/// Runs a target by its name; for the fuzzer.
pub fn run(name: &str, input: &[u8]) {
    target(name).unwrap().run(input);
}
