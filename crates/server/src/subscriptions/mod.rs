//! Subscriptions of every protocol: the loop that serves one, and the registry of all that run.
//!
//! A protocol calls [`Feed::start`] and translates the [`Part`]s that it gets into its own messages.
//! It pulls them with [`Feed::next`], or takes them from the bounded channel of
//! [`Feed::into_channel`]. Open `feed.rs` first.

mod channel;
mod feed;
mod registry;

pub(crate) use channel::{Piece, Source, into_channel};
pub(crate) use feed::{End, Feed, FeedOptions, Part, SubscribeError};
pub use registry::{SubscriptionProgress, Subscriptions};
