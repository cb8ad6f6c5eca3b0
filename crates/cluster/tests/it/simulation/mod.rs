//! A simulation of nodes that share a partition: one thread, virtual time, and a seed that decides a whole run.
//!
//! A run starts nodes on the simulated Kafka of [`crate::fake`]. Clients append to any of them. The seed delays
//! requests, loses answers, deposes leaders, forgets producers, kills and pauses nodes, lets disks open no file for a
//! while, and tells several nodes at a time that they own the partition. Then everything comes to rest, and the checker compares what clients know with the
//! log and with the nodes' copies.
//!
//! [`machine::SimNode`] is the seam: a function starts a node, and the simulation does the rest. `LEFTFOLD_SEED=n`
//! replays a run; `LEFTFOLD_SEEDS=n` does n runs.

mod assignment;
mod checker;
mod clients;
mod clock;
mod executor;
mod history;
mod machine;
mod partition_node;
mod reference;
mod run;
mod seeds;
mod stored;
mod tally;
mod tests;
