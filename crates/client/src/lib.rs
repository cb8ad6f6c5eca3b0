#![doc = include_str!("../README.md")]

mod admin;
mod append;
mod backoff;
mod blocking;
mod builder;
mod call_error;
mod calls;
mod client;
mod connector;
mod copies;
mod counts;
mod event_store;
mod ids;
mod pages;
mod pipeline;
mod runtime;
mod subscription;

pub use blocking::BlockingClient;
pub use builder::Builder;
pub use client::Client;
pub use copies::CopyStream;
pub use counts::ClientCounts;
pub use pages::Pages;
pub use subscription::RemoteSubscription;
