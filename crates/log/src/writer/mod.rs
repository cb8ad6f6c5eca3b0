//! The writing side: a bounded queue, one writer, and what the caller of this crate supplies.
//!
//! Drafts wait in the queue until the writer takes them; [`Admit`] refuses each, or lays it into a
//! frame at a predicted position. At the end of a turn all new frames are written to the tail of the
//! open segment and submitted, as one batch, to the [`Commit`], which confirms batches in their order:
//! at once where a sync is all it takes, else later and from any thread. Only a confirmation moves
//! something: the bytes, facts and head of that batch become visible, then its callers are answered.

mod admit;
mod commit;
mod fsync;
mod in_flight;
mod queue;
mod sequencer;
mod tail;
mod turn;

pub use admit::{Admit, Outcome};
pub use commit::{Batch, Commit, Confirmation, Progress};
pub use fsync::FsyncCommit;
pub use sequencer::{PendingOutcome, Pump, Sequencer};
pub use tail::Tail;
