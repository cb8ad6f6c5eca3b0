#![doc = include_str!("../README.md")]

mod active;
mod error;
mod expr;
mod failure;
mod file;
mod key;
mod list;
mod seal;
mod set;
mod walk;
mod walker;

pub use active::{ActivePart, PostingWriter};
pub use error::IndexError;
pub use expr::Expr;
pub use file::{FileHead, IndexCache, IndexEntry, IndexFile, Source, Target, encode, merge};
pub use key::{Fingerprint, IdentityHasher, Key, KeyHasher, KeyMap, Kind};
pub use list::List;
pub use set::{IndexSet, Part, Posting};
pub use walk::{Matches, Order};
