//! Fakes for tests: a disk that forgets, tears and reorders what was not synced, and can fail,
//! fill up, rot and stall; a clock that stands still until told; random numbers from a seed.

mod clock;
mod content;
mod disk;
mod faults;
mod random;

pub use clock::ManualClock;
pub use disk::{Crash, FakeDisk};
pub use faults::{Counts, Gate};
pub use random::SeededRandom;
