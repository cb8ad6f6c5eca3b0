#![doc = include_str!("../README.md")]

pub mod access;
mod administration;
mod certificate;
pub mod codes;
mod config;
mod connectors;
mod grpc;
mod http;
mod kafka;
mod limits;
mod logs;
mod metrics;
mod net;
mod peers;
mod server;
mod state;
mod subscriptions;
mod views;

pub use certificate::{CertificateError, MadeCertificate, make_certificate};
pub use config::{
    Bytes, Config, ConfigError, Effective, EngineKind, Given, LogFormat, MemoryTerm, Origin,
    Setting, Sources, Value, document,
};
pub use logs::init_logs;
pub use metrics::Metrics;
pub use net::{Descriptors, TlsError};
pub use server::{RunningServer, Server, StartError, StartOptions};
pub use state::{LongLived, State, SubscriptionProgress, Subscriptions};
