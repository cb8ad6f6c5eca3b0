//! Small traits for the services of the machine: a [`Disk`] of named files, a [`Clock`] and a
//! source of [`Random`] numbers.
//!
//! Every crate above uses the machine only through these traits. So a power cut, a full disk, a
//! flipped bit or a slow sync is a fast, ordinary test (see `fake`, behind the feature of that
//! name), and one seed replays a whole run.

mod clock;
mod disk;
#[cfg(feature = "fake")]
pub mod fake;
mod memory;
mod priority;
mod random;
mod real;
mod real_lock;

pub use clock::{Clock, SystemClock};
pub use disk::{
    Disk, File, FileStatus, Lock, OpenMode, read_all, read_exact_at, read_whole, write_atomically,
};
pub use memory::from_memory;
pub use priority::run_behind_others;
pub use random::{OsRandom, Random};
pub use real::RealDisk;
