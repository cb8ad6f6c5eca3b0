//! What every protocol needs of the network: accepting within limits, TLS, threads and shutdown.
//!
//! A [`Protocol`] gets a [`Connection`]: a stream of plain bytes, and what goes with it. HTTP is one
//! (`http/connection/`); one that is not HTTP implements the same trait and gets a listener of its
//! own. Open `accept.rs` first.

mod accept;
mod descriptors;
mod listener;
mod protocol;
mod shutdown;
mod stall;
mod stream;
mod thread_choice;
mod threads;
mod tls;

pub(crate) use accept::{Acceptor, ConnectionLimits};
pub use descriptors::Descriptors;
pub(crate) use listener::{Listener, UnixSocket};
pub(crate) use protocol::{Connection, Protocol};
pub(crate) use shutdown::Shutdown;
pub(crate) use stream::ByteStream;
pub(crate) use thread_choice::ThreadChoice;
pub(crate) use threads::{ReadTurn, Threads, WorkItem};
pub(crate) use tls::Certificate;
pub use tls::TlsError;

#[cfg(test)]
mod tests;
