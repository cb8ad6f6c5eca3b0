//! What decides when a store's batches are durable, for stores whose log is elsewhere.

pub use leftfold_log::{Batch, Commit, Confirmation, FsyncCommit, Progress, Tail, WriteError};
