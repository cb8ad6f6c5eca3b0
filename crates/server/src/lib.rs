#![doc = include_str!("../README.md")]

pub mod access;
pub mod codes;
mod config;
mod grpc;
mod http;
mod metrics;
mod server;
mod state;
mod subscriptions;

pub use config::{
    Bytes, Config, ConfigError, Effective, Given, LogFormat, Origin, Setting, Sources, Value,
    document,
};
pub use metrics::Metrics;
pub use server::{Beginning, Running, Server, StartError};
pub use state::{LongLived, State, Subscribed, Subscriptions};
