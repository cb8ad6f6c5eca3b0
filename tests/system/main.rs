//! The binary as a user meets it: real processes, real files, kill -9.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod appends;
mod binary;
mod cluster;
mod cluster_nodes;
mod commands;
mod connectors;
mod descriptors;
mod documents;
mod exports;
mod fixtures;
mod formats;
mod help;
mod ingest;
mod inputs;
mod killed;
mod parked;
mod receiver;
mod refusals;
mod remote;
mod scenarios;
mod served;
mod views;
mod views_killed;
mod views_live;
mod views_model;
mod views_remote;
