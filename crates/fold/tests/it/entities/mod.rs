//! Entities: commands in order, batched appends, states in memory, and only durable answers.

mod batches;
mod memory;
mod panics;
mod queries;
