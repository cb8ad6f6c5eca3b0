//! Events in files.

mod files;
mod interruptions;
mod lake;
mod parquet;
mod rows;

pub(crate) use lake::*;
