//! A store that another node owns: it applies what the owner has committed, at the owner's positions.

mod committed;

use std::sync::Arc;

use leftfold_api::{AppendError, Failure, Invalid};

pub(crate) use committed::CommittedDraft;
use committed::Run;

use super::Embedded;
use super::admit::{Receipt, Refusal, Task};
use crate::committed::CommittedAppend;

/// The writer begins with this many appends while the caller's thread prepares the next ones.
const CHUNK: usize = 512;

/// The last position that a log can have.
const LAST_POSITION: u64 = i64::MAX as u64 - 1;

impl Embedded {
    /// Writes appends that the owner has committed, at exactly their positions, and returns when readers
    /// see all of them. Positions between them hold no event. Prepares the appends on the caller's thread.
    ///
    /// Nothing is written if any of them does not continue this copy. After a failure of the disk a part of
    /// them may be written: [`Embedded::last_position`] says up to where.
    ///
    /// # Errors
    /// `replica_diverged` if the store is no replica, if a position is taken, if a version is not the next
    /// of its stream, or if a commit time is earlier than the last; the errors of an append for input that
    /// no owner writes; failures of the disk.
    pub async fn apply(&self, appends: Vec<CommittedAppend>) -> Result<(), AppendError> {
        let _applying = self.applying.lock().await;
        let mut after = self.core.last_known();
        let keys = self.core.check_committed(&appends, after)?;
        let run = Arc::new(Run::default());
        let (mut appends, mut keys, mut last) = (appends.into_iter(), keys.into_iter(), None);
        loop {
            let chunk = appends.by_ref().take(CHUNK);
            let tasks: Vec<_> = chunk
                .map(|append| {
                    let next = append.first + append.positions();
                    let own_keys = keys.by_ref().take(append.events.len());
                    let committed = self.core.committed_draft(append, own_keys, after, run.clone());
                    after = next - 1;
                    let bytes = committed.draft.bytes();
                    (Task::Apply(committed), bytes)
                })
                .collect();
            match self.sequencer.submit_all(tasks).await? {
                Some(waiting) => last = Some(waiting),
                None => break,
            }
            run.free_used();
        }
        // What follows a refused append is refused too, so the last one answers for all.
        if let Some(waiting) = last {
            finish(waiting.outcome().await?)?;
        }
        self.core.wait_for_admitted().await?;
        Ok(())
    }

    /// Notes that the positions up to and including this one hold no further event, and returns when
    /// readers see that. The file of the log need not say so: after reopening, the head may be behind.
    ///
    /// # Errors
    /// `replica_diverged` if the position is too far from the last; failures of the disk.
    pub async fn skip_to(&self, position: u64) -> Result<(), AppendError> {
        if position > LAST_POSITION {
            return Err(beyond_last(position).into());
        }
        finish(self.sequencer.submit(Task::PassOver(position), 0).await?.outcome().await?)?;
        if self.core.log.is_relaxed() {
            self.core.log.sync_soon();
        }
        Ok(self.core.wait_for_write(|head| head.position >= position).await?)
    }

    /// Writes nothing, and returns when that is confirmed like an append: then no other node has become the owner before
    /// this was called, and a read shows all that was acknowledged by then.
    ///
    /// # Errors
    /// `not_owner`; the failure by which the writer has stopped.
    pub async fn barrier(&self) -> Result<(), AppendError> {
        finish(self.sequencer.submit(Task::Barrier, 0).await?.outcome().await?)
    }

    /// Makes the store a replica, which refuses all appends but [`Embedded::apply`] with `not_owner`, or the
    /// owner, which accepts them. Once this returns, no append that was submitted before slips through;
    /// those that were admitted may still be in flight: see [`Embedded::settled`].
    ///
    /// # Errors
    /// The failure by which the writer has stopped.
    pub async fn set_replica(&self, is_replica: bool) -> Result<(), Failure> {
        let (done, told) = oneshot::channel();
        self.sequencer.submit(Task::SetReplica(is_replica, done), 0).await?;
        told.await.map_err(|_| self.failure().unwrap_or(Failure::Closed))
    }

    /// Whether another node owns the store.
    pub fn is_replica(&self) -> bool {
        self.core.require_owner().is_err()
    }

    /// Waits until nothing that was admitted so far is in flight.
    ///
    /// # Errors
    /// The failure by which the writer has stopped, or for which it waits.
    pub async fn settled(&self) -> Result<(), Failure> {
        self.core.wait_for_all_admitted().await
    }

    /// Returns the last position that the store has written or passed over, visible to readers or not.
    pub fn last_position(&self) -> u64 {
        self.core.last_known()
    }
}

fn finish(outcome: Result<Receipt, Refusal>) -> Result<(), AppendError> {
    match outcome {
        Ok(_) => Ok(()),
        Err(Refusal::Diverged(message)) => Err(Failure::Diverged { message }.into()),
        Err(Refusal::NotOwner) => Err(Failure::NotOwner.into()),
        Err(Refusal::Stale(_)) => Err(Failure::Closed.into()),
    }
}

fn beyond_last(position: u64) -> Invalid {
    let message = format!("position {position} is beyond the last of a log, {LAST_POSITION}");
    Invalid::new("cursor_invalid", message)
}
