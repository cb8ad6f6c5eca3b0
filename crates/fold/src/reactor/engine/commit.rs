use std::sync::Arc;

use leftfold_api::{
    Append, AppendError, Appended, Coded, Conflict, EventStore, Overlap, Retention,
};
use uuid::Uuid;

use super::Engine;
use crate::reactor::ReactorError;
use crate::reactor::cause::is_derived;
use crate::reactor::core::{Batch, Core};
use crate::reactor::handler::Handler;
use crate::reactor::journal::{JOURNAL, stream_of};

/// A store that is busy is asked so often.
const ATTEMPTS: u32 = 8;

/// An append of the reactor, and the store's answer.
pub(crate) struct Written {
    batch: Batch,
    answer: Result<Appended, AppendError>,
    /// Whether the results by themselves are in the store.
    known: bool,
}

/// What an answer means.
pub(crate) enum Verdict {
    /// It is durable.
    Committed(Batch),
    /// One of several was not taken.
    Split(Batch),
    /// The one did not find what it rests on.
    Conflicted(Batch, String),
    /// The one will never be taken.
    Refused(Batch, String),
    /// The results of the one are in the store already.
    Recognised(Batch),
}

impl<S: EventStore + 'static, H: Handler> Engine<S, H> {
    /// Writes results and progress.
    pub(super) fn write(&self, batch: Batch) -> impl Future<Output = Written> + Send + use<S, H> {
        let append = self.core.append_of(&batch, self.checkpoint.clone());
        let journal = stream_of(JOURNAL, self.core.reactor());
        let next_version = self.core.journal().next_version();
        let store = self.store.clone();
        async move {
            let (answer, mut known) = (patiently(&store, append).await, false);
            if let Err(AppendError::Overlap(overlap)) = &answer
                && let [done] = &batch.done[..]
                && stream_in(overlap) != Some(&journal)
            {
                // Its own results, or somebody's ids? By themselves they tell.
                known = patiently(&store, done.results.add_to(Append::new())).await.is_ok();
            }
            if answer.is_ok() && batch.is_whole() {
                // What the full account makes superfluous. Should it fail, the next one does it.
                let kept = Retention::default().truncate_before(next_version);
                _ = store.set_retention(&journal, kept).await;
            }
            Written { batch, answer, known }
        }
    }
}

async fn patiently<S: EventStore>(store: &Arc<S>, append: Append) -> Result<Appended, AppendError> {
    let mut attempt = 1;
    loop {
        match store.append(append.clone()).await {
            Err(error) if error.can_retry() && attempt < ATTEMPTS => attempt += 1,
            answer => return answer,
        }
    }
}

impl Written {
    pub(crate) fn judge(self, core: &Core) -> Result<Verdict, ReactorError> {
        let Written { batch, answer, known } = self;
        let Err(error) = answer else { return Ok(Verdict::Committed(batch)) };
        let reactor = core.reactor();
        let journal = stream_of(JOURNAL, reactor);
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

/// Whether what is known is what this cause has made before: then it is written, since all that a
/// cause makes is written together.
fn is_own(key: Uuid, overlap: &Overlap) -> bool {
    match overlap {
        Overlap::Partial { id, .. } | Overlap::Content { id, .. } => is_derived(key, *id),
        _ => false,
    }
}

fn stream_in(overlap: &Overlap) -> Option<&String> {
    match overlap {
        Overlap::Partial { stream, .. } | Overlap::Content { stream, .. } => Some(stream),
        _ => None,
    }
}
