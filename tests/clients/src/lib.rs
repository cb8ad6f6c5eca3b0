//! Real Kafka clients as test programs.
//!
//! [`Tool`] installs what a client needs below `target/clients/`, at pinned versions. [`Client::start`]
//! runs one [`Command`] with it against a [`Broker`] and gives a [`Program`], whose lines are [`Event`]s.
//! [`paths`] holds the tests: functions that take a client and a broker, so that the same tests run
//! against Apache Kafka, which proves the programs, and against Leftfold.
//!
//! The programs in Python, JavaScript and Go have one command line and one form of output;
//! `kcat` and Kafka's own tools are brought to it in [`Client`].

mod apache;
mod broker;
mod checks;
mod client;
mod command;
mod event;
mod murmur2;
pub mod paths;
mod program;
pub mod suites;
mod tools;

pub use apache::{Apache, MECHANISMS, SecuredApache};
pub use broker::{Broker, Endpoint, Login};
pub use client::Client;
pub use command::{Command, Conflict, Consume, Group, Membership, Origin, Produce};
pub use event::{Event, Record};
pub use leftfold_kafka_tools::{Tool, directory};
pub use program::Program;
pub use tools::java::{JavaTool, run as run_java};
