#![doc = include_str!("../README.md")]

#[cfg(test)]
extern crate self as leftfold;

mod command;
pub mod commands;
mod emit;
mod entity;
mod event;
mod execute;
mod given;
pub mod golden;
pub mod message;
mod one;
pub mod process;
pub mod reactor;
mod reads;
mod snapshot;
mod state;
#[cfg(feature = "testing")]
pub mod testing;
mod text;
pub mod time;
pub mod timer;
mod upcast;
pub mod view;

#[doc(hidden)]
pub mod __private;

pub use command::{Command, Wait};
pub use commands::{Commands, Outcome, Recordable};
pub use emit::{Emit, Fact};
pub use entity::Entities;
pub use event::{Event, Kind, Reason, Undecodable, Unencodable, WrongShape, decode};
pub use execute::{
    COMMAND_TAG, Decider, Done, Execute, ExecuteError, Executed, FoldError, Issued, Overtaken,
    event_id,
};
pub use given::{Given, given};
pub use leftfold_fold_derive::Event;
pub use reads::{By, Over, Reads, Source, Unknown};
pub use snapshot::{MemorySnapshots, RedbSnapshots, SnapshotError, Snapshots};
pub use state::{Every, Kept, State};
#[doc(hidden)]
pub use {one::One, reads::Stored};
