//! The only writer of a partition, as `docs/cluster-fencing.md` describes it.
//!
//! **The log decides.** Every record carries its *term* and its *number* in that term. A term begins
//! with a claim, the record of number 0. [`Ledger`] is the rule that every reader applies in the
//! order of the log. A claim counts if its term is greater than the last one. Any other record counts
//! if it is the next record of the current term. All other records are void for every reader.
//!
//! **The owner need not read its own records.** It has read the partition up to its claim. If a batch
//! lands at the next expected offset, no record came between, and the batch counts. Otherwise the
//! owner reads the records between before it acknowledges the batch. So an acknowledgement does not
//! depend on what a broker remembers of producers.
//!
//! **The broker fences too.** Batches carry a producer id and epoch, so a broker that remembers a
//! newer epoch refuses an old owner at once. This keeps void records rare and makes retries safe, but
//! the safety argument does not need it.

mod error;
mod log;
mod writer;

pub use error::OwnerError;
pub use leftfold_cluster::ledger::{Ledger, Stamp, Verdict, VoidReason};
pub use log::Follower;
pub use writer::{AppendOutcome, Identity, Owner, PendingAppend};
