use leftfold_api::{
    Append, AppendError, Appended, Coded, Conflict, EventStore, Overlap, Retention,
};
use uuid::Uuid;

use super::Engine;
use crate::react::ReactorError;
use crate::react::cause::is_derived;
use crate::react::core::{Batch, Core};
use crate::react::handler::Handler;
use crate::react::journal::{JOURNAL, stream_of};

/// The maximum number of attempts at an append while the store is busy.
const ATTEMPTS: u32 = 8;

/// A batch that was sent, and the store's answer.
pub(crate) struct WriteResult {
    batch: Batch,
    answer: Result<Appended, AppendError>,
    /// Whether the results by themselves are in the store.
    known: bool,
}

/// What the answer means for the batch.
pub(crate) enum Verdict {
    /// It is durable.
    Committed(Batch),
    /// One of several results failed.
    Split(Batch),
    /// A condition of the single result does not hold.
    Conflicted(Batch, String),
    /// The store will never accept the single result.
    Refused(Batch, String),
    /// The single result is already in the store.
    Recognised(Batch),
}

impl<S: EventStore + 'static, H: Handler> Engine<S, H> {
    /// Appends a batch.
    pub(super) fn write(
        &self,
        batch: Batch,
    ) -> impl Future<Output = WriteResult> + Send + use<S, H> {
        let append = self.core.build_append(&batch, self.checkpoint.clone());
        let journal = stream_of(JOURNAL, &self.core.journal_name());
        let next_version = self.core.journal().next_version();
        let store = self.store.clone();
        async move {
            let (answer, mut known) = (append_with_retries(&*store, append).await, false);
            if let Err(AppendError::Overlap(overlap)) = &answer
                && let [done] = &batch.done[..]
                && stream_in(overlap) != Some(&journal)
            {
                // Are these its own results, or foreign events with the same ids? An append of the
                // results alone tells.
                known =
                    append_with_retries(&*store, done.results.add_to(Append::new())).await.is_ok();
            }
            if answer.is_ok() && batch.has_full_state() {
                // Delete the facts before the full state. If this fails, the next full state does
                // it.
                let kept = Retention::default().truncate_before(next_version);
                _ = store.set_retention(&journal, kept).await;
            }
            WriteResult { batch, answer, known }
        }
    }
}

pub(in crate::react) async fn append_with_retries<S: EventStore + ?Sized>(
    store: &S,
    append: Append,
) -> Result<Appended, AppendError> {
    let mut attempt = 1;
    loop {
        match store.append(append.clone()).await {
            Err(error) if error.can_retry() && attempt < ATTEMPTS => attempt += 1,
            answer => return answer,
        }
    }
}

impl WriteResult {
    pub(crate) fn judge(self, core: &Core) -> Result<Verdict, ReactorError> {
        let WriteResult { batch, answer, known } = self;
        let Err(error) = answer else { return Ok(Verdict::Committed(batch)) };
        let reactor = core.reactor();
        let journal = stream_of(JOURNAL, &core.journal_name());
        let overtaken = || ReactorError::Overtaken { reactor: reactor.to_owned() };
        match &error {
            AppendError::Conflict(Conflict::Checkpoint { .. }) => return Err(overtaken()),
            AppendError::Conflict(
                Conflict::Version { stream, .. } | Conflict::Tombstoned { stream },
            ) if *stream == journal => return Err(overtaken()),
            AppendError::Overlap(overlap) if stream_in(overlap) == Some(&journal) => {
                return Err(overtaken());
            }
            AppendError::Failure(_) => return Err(error.into()),
            _ => {}
        }
        let reason = format!("{}: {error}", error.code());
        Ok(match (&batch.done[..], &error) {
            // Facts have come since the journal was found to have none.
            ([], AppendError::Conflict(Conflict::Query { .. })) => return Err(overtaken()),
            ([], _) => return Err(error.into()),
            ([_, _, ..], _) => Verdict::Split(batch),
            ([_], AppendError::Conflict(_)) => Verdict::Conflicted(batch, reason),
            ([done], AppendError::Overlap(overlap)) if known || is_own(done.cause.key, overlap) => {
                Verdict::Recognised(batch)
            }
            _ => Verdict::Refused(batch, reason),
        })
    }
}

/// Returns whether the overlapping id derives from this cause. Then all results of the cause are
/// written, because they are appended together.
pub(in crate::react) fn is_own(key: Uuid, overlap: &Overlap) -> bool {
    match overlap {
        Overlap::Partial { id, .. } | Overlap::Content { id, .. } => is_derived(key, *id),
        _ => false,
    }
}

pub(in crate::react) fn stream_in(overlap: &Overlap) -> Option<&String> {
    match overlap {
        Overlap::Partial { stream, .. } | Overlap::Content { stream, .. } => Some(stream),
        _ => None,
    }
}
