//! Servers of Java for tests, without containers: jars from Maven Central, fetched once into the user's cache, and
//! processes that end with the program that started them, however it ends.

mod directory;
mod error;
mod jars;
mod java;
mod process;

pub use directory::{Directory, entries};
pub use error::JavaError;
pub use jars::{Jars, tail};
pub use java::Java;
pub use process::{Lifetime, Process, kill_stale, note, running_in};
