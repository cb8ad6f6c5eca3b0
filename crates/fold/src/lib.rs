#![doc = include_str!("../README.md")]

#[cfg(test)]
extern crate self as leftfold;

mod command;
mod emit;
mod event;
mod given;
mod one;
pub mod reactor;
mod reads;
mod state;
mod text;
pub mod time;
mod upcast;

#[doc(hidden)]
pub mod __private;

pub use command::{Command, Wait};
pub use emit::{Emit, Fact};
pub use event::{Event, Kind, Reason, Undecodable, Unencodable, WrongShape, decode};
pub use given::{Given, given};
pub use leftfold_fold_derive::Event;
pub use reads::{By, Over, Reads, Source, Unknown};
pub use state::{Every, Kept, State};
#[doc(hidden)]
pub use {one::One, reads::Stored};
