//! What the fuzzer runs.
//!
//! Each target takes any bytes, makes of them what the store reads from a disk or a user (frames,
//! an index file, a manifest, a damaged directory, a query's text) and has the store read it. It
//! fails by a panic where a promise does not hold, and may take no more memory than the input's
//! size explains. Checksums would keep the fuzzer from all that lies behind them: so the targets
//! set them right again after the fuzzer has changed bytes ([`seal`]).
//!
//! `fuzz/` runs the targets under libFuzzer (`cargo xtask fuzz`); `tests/corpora.rs` plays what it
//! found worth keeping as an ordinary test.
#![expect(clippy::unwrap_used, reason = "a case fails by panicking")]

mod directory;
mod disk;
mod frames;
mod http;
mod index_file;
mod manifest;
mod query;
pub mod seal;
mod small_store;

use std::alloc::System;
use std::sync::Once;

use cap::Cap;

/// Counts what is allocated, so that a run can be held to a limit: going beyond ends the process.
#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// What opening and reading a store takes, whatever is in it.
const FIXED_BYTES: usize = 8 << 20;
/// What is read may take so many bytes for each of the input's: a record of no bytes has 16 on
/// disk, and a few times as much in memory.
const TIMES_INPUT: usize = 64;

/// A function that is fuzzed, and what the fuzzer begins with.
pub struct Target {
    /// Its name.
    pub name: &'static str,
    run: fn(&[u8]),
    seeds: fn() -> Vec<Vec<u8>>,
}

/// All targets.
pub const TARGETS: [Target; 6] = [
    Target { name: "frames", run: frames::run, seeds: frames::seeds },
    Target { name: "index_file", run: index_file::run, seeds: index_file::seeds },
    Target { name: "manifest", run: manifest::run, seeds: manifest::seeds },
    Target { name: "directory", run: directory::run, seeds: directory::seeds },
    Target { name: "query", run: query::run, seeds: query::seeds },
    Target { name: "http", run: http::run, seeds: http::seeds },
];

/// The target of a name, if there is one.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

impl Target {
    /// Runs it on an input, with no more memory than that explains.
    pub fn run(&self, input: &[u8]) {
        lift_the_limit_in_a_panic();
        let limit = ALLOCATOR.allocated() + FIXED_BYTES + TIMES_INPUT * input.len();
        ALLOCATOR.set_limit(limit).unwrap();
        (self.run)(input);
        ALLOCATOR.set_limit(usize::MAX).unwrap();
    }

    /// Inputs that are as they should be.
    pub fn seeds(&self) -> Vec<Vec<u8>> {
        (self.seeds)()
    }
}

/// A panic's report takes memory of its own.
fn lift_the_limit_in_a_panic() {
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
