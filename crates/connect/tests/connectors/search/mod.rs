//! Search engines: a real OpenSearch, and one that misbehaves.

mod documents;
mod engine;
mod fake;
mod findings;
mod hostile;
mod kills;
mod partitions;
mod refusals;
