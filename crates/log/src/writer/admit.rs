use crate::catalog::SegmentInfo;
use crate::error::WriteError;
use crate::frame_builder::{FrameBuilder, Slot};
use crate::head::Head;

/// Decides on the writer's thread what is written. Implemented by the store.
///
/// What `admit` sees or changes is not durable yet, and several batches of it may be in flight. An
/// answer that rests on it must wait for the [`Admit::confirmed`] that covers its ticket.
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

    /// Publishes the facts of all that was admitted with a ticket up to that of the head, and of
    /// nothing beyond. It is durable; readers see the head only after this returns, so here belongs
    /// what a reader of that head must know.
    fn confirmed(&mut self, head: Head);

    /// Starts what reads up to the head: readers see it now.
    fn published(&mut self, head: Head) {
        _ = head;
    }

    /// A new segment was opened; nothing is in it yet, and nothing is in flight.
    fn rolled(&mut self, opened: SegmentInfo);

    /// Waits while too many closed segments are not sealed yet; must be bounded by their sealing.
    /// Called on the writer's own thread only.
    fn before_roll(&mut self) {}
}

/// What became of a draft.
pub type Outcome<A> = Result<Result<<A as Admit>::Receipt, <A as Admit>::Refusal>, WriteError>;
