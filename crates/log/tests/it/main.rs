//! The log as its users see it.

mod backup;
mod log;
mod rewrite;
