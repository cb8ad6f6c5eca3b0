#![doc = include_str!("../README.md")]

#[cfg(test)]
extern crate self as leftfold;

mod command;
pub mod commands;
pub mod decide;
mod emit;
mod entity;
mod event;
mod event_query;
mod execute;
mod given;
pub mod golden;
pub mod message;
mod one;
mod panic;
mod payload;
pub mod prelude;
pub mod process;
pub mod react;
mod reads;
pub mod runtime;
mod snapshot;
mod state;
#[cfg(feature = "testing")]
pub mod testing;
mod text;
pub mod time;
pub mod timer;
mod unstored;
mod upcast;
pub mod view;
#[cfg(feature = "axum")]
pub mod web;

#[doc(hidden)]
pub mod __private;

pub use command::{Command, Wait};
pub use commands::{Commands, Outcome, Recordable};
pub use decide::*;
pub use emit::{Emit, Fact};
pub use event::{Event, Kind, Reason, Undecodable, Unencodable, WrongShape, decode};
pub use event_query::EventQuery;
pub use given::{Given, given};
pub use leftfold_fold_derive::Event;
pub use payload::Payload;
pub use state::State;
#[doc(hidden)]
pub use {one::One, reads::Stored};
