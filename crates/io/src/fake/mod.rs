//! Fakes for tests: a disk, a clock that only the test moves, and random numbers from a seed.
//!
//! The disk loses, tears and reorders unsynced writes at a power cut. It can also fail, fill up,
//! corrupt bytes and stall.

mod clock;
mod content;
mod disk;
mod faults;
mod lock;
mod random;

pub use clock::ManualClock;
pub use disk::{Crash, FakeDisk};
pub use faults::{Counts, Gate};
pub use random::SeededRandom;
