//! Fakes for tests: a disk, a clock that only the test moves, and random numbers from a seed.
//!
//! The disk loses, tears and reorders unsynced writes and names at a power cut. It can also fail, fill up,
//! corrupt bytes, stall, and answer syncs without keeping anything.

mod clock;
mod content;
mod disk;
mod faults;
mod lock;
mod names;
mod random;
#[cfg(test)]
mod tests;

pub use clock::ManualClock;
pub use disk::{Crash, FakeDisk};
pub use faults::{Counts, Gate, Syncs};
pub use random::SeededRandom;
