//! The log as its users see it.

mod backup;
mod commit;
mod log;
mod ownership;
mod read_only;
mod rewrite;
mod times;
mod turns;
