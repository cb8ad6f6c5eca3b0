//! The log as its users see it.

mod backup;
mod commit;
mod log;
mod rewrite;
mod times;
mod turns;
