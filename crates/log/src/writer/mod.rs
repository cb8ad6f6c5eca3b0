//! The writing side: a bounded queue, one writer, and what the one above must bring.

mod builder;
mod queue;
mod sequencer;
mod tail;
mod turn;

pub use builder::FrameBuilder;
pub(crate) use builder::Place;
pub use sequencer::{Pump, Sequencer, Waiting};

use crate::error::WriteError;
use crate::head::Head;
use crate::log::SegmentInfo;

/// The place that an append would get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// The position of its first record.
    pub position: u64,
    /// The number of its frame since the log was opened.
    pub ticket: u64,
    /// When it is written, in microseconds since 1970.
    pub commit_time: i64,
}

/// Decides on the writer's thread what is written. Implemented by the store.
///
/// Whatever `admit` sees or changes is not durable yet: an answer that rests on it must wait for
/// [`Admit::synced`].
pub trait Admit: Send + 'static {
    /// What a caller hands in.
    type Draft: Send + 'static;
    /// What the caller gets when it is written.
    type Receipt: Send + 'static;
    /// What the caller gets when it is not.
    type Refusal: Send + 'static;

    /// Refuses the draft, or lays it into the frame. Called in the order of the log; must not block.
    fn admit(
        &mut self,
        draft: Self::Draft,
        slot: Slot,
        frame: &mut FrameBuilder<'_>,
    ) -> Result<Self::Receipt, Self::Refusal>;

    /// All that was admitted so far is durable; readers will see it as soon as this returns.
    fn synced(&mut self, head: Head);

    /// A new segment was opened, nothing is in it yet.
    fn rolled(&mut self, opened: SegmentInfo);

    /// Waits while too many closed segments are not sealed yet; must be bounded by their sealing.
    fn before_roll(&mut self) {}
}

/// What became of a draft.
pub type Outcome<A> = Result<Result<<A as Admit>::Receipt, <A as Admit>::Refusal>, WriteError>;
