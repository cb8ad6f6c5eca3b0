//! One writer of one partition, in the way that `docs/cluster-fencing.md` chooses.
//!
//! **The log decides.** Every record says in which *term* it was written and which *number* it has in
//! that term. A term begins with a claim, the record of number 0. [`Ledger`] is the rule by which
//! every reader, in the order of the log, finds out what counts: a claim of a greater term than the
//! last counts; any other record counts if it is the next one of the present term. Whatever else is
//! in the partition is void, for every reader alike and for ever.
//!
//! **The owner knows without reading.** It has read the partition up to its own claim. If each batch
//! lands exactly behind what it knows, then nothing came between, and the batch counts. If not, it
//! reads what came between before it acknowledges anything. So an acknowledgement never depends on a
//! broker remembering who may write.
//!
//! **The broker fences too**: batches carry a producer id and epoch, so an old owner is refused at
//! once as long as the broker remembers the newer epoch. That keeps void records rare and makes
//! retries safe; it is not what the argument rests on.

mod error;
mod ledger;
mod log;
mod writer;

pub use error::OwnerError;
pub use ledger::{Ledger, Stamp, Verdict, Why};
pub use log::Follower;
pub use writer::{Appending, Fate, Identity, Owner};
