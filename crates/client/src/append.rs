use leftfold_api::{
    Append, AppendError, Appended, CheckpointMove, Conflict, EventStore, Failure, Invalid, Limits,
    ReadError,
};
use leftfold_wire::{MAX_MESSAGE, encode, result};

use crate::backoff::Backoff;
use crate::call_error::{CallError, outcome_unknown};
use crate::client::Client;
use crate::pipeline::Outcome;

/// Bytes for the append's number and its length.
const ENVELOPE: usize = 32;

impl Client {
    /// Sends an append until the server has answered it.
    pub(crate) async fn append_until_answered(
        &self,
        mut append: Append,
    ) -> Result<Appended, AppendError> {
        let has_events = !append.events().is_empty();
        let has_ids = append.events().iter().all(|(_, event)| event.id.is_some());
        self.fill_ids(&mut append)?;
        let encoded = encode(&append);
        if encoded.len() + ENVELOPE > MAX_MESSAGE {
            return Err(too_large(encoded.len()).into());
        }
        let (deadline, mut backoff) = (self.calls.deadline(), Backoff::new());
        let mut is_uncertain = false;
        loop {
            let outcome = self.pipeline.send(encoded.clone(), has_events, deadline).await;
            let error = match outcome {
                Outcome::Answer(answer) => match result(answer) {
                    Err(AppendError::Conflict(conflict)) if is_uncertain => {
                        return self.resolve_moves(append.moves(), conflict).await;
                    }
                    Err(AppendError::Failure(failure)) => retryable(failure)?,
                    other => return other,
                },
                Outcome::Unknown(error) => error,
                Outcome::TimedOut { sent, error } => {
                    return Err(timed_out(sent, has_ids, error).into());
                }
                Outcome::Failed(error) => return Err(error.into()),
            };
            is_uncertain |= !has_events && error.is_outcome_unknown();
            match self.calls.pause(backoff, deadline).await {
                Some(next) => backoff = next,
                None => return Err(error.into()),
            }
        }
    }

    /// Gives each event an id if it has none, so that the server recognises a repeat.
    fn fill_ids(&self, append: &mut Append) -> Result<(), AppendError> {
        let mut failed = None;
        append.fill_ids(|| {
            self.ids.next().unwrap_or_else(|error| {
                failed = Some(error);
                uuid::Uuid::nil()
            })
        });
        let Some(error) = failed else { return Ok(()) };
        let message =
            format!("event ids need random bytes, and the system returned an error: {error}");
        Err(Failure::Remote { code: "disk_failed", message, can_retry: false }.into())
    }

    /// Decides a conflict of checkpoint moves that were sent twice. If all checkpoints are at their
    /// targets, the first attempt moved them.
    async fn resolve_moves(
        &self,
        moves: &[CheckpointMove],
        conflict: Conflict,
    ) -> Result<Appended, AppendError> {
        for to in moves {
            if self.checkpoint(&to.name).await? != Some(to.to.clone()) {
                return Err(conflict.into());
            }
        }
        let cursor = self.head().await?;
        Ok(Appended {
            cursor,
            positions: None,
            streams: Vec::new(),
            repeated: true,
            ordinals: Vec::new(),
        })
    }
}

/// Returns the error to retry after, if another attempt may succeed.
fn retryable(failure: Failure) -> Result<CallError, AppendError> {
    let error = ReadError::from(failure.clone());
    let error = CallError::Refused(Box::new((&error).into()));
    if error.can_retry_call(true) { Ok(error) } else { Err(failure.into()) }
}

fn timed_out(sent: bool, has_ids: bool, error: Option<CallError>) -> Failure {
    let cause = match &error {
        Some(CallError::ConnectionLost(cause) | CallError::NotSent(cause)) => format!(": {cause}"),
        Some(CallError::Refused(problem)) => format!(": {}", problem.message),
        _ => String::new(),
    };
    if sent {
        let reason = format!("no answer came in time{cause}; append again with the same ids");
        return outcome_unknown(&reason, has_ids);
    }
    let message =
        format!("the server could not be reached in time{cause}; nothing was sent; retry");
    Failure::Remote { code: "server_unreachable", message, can_retry: true }
}

fn too_large(bytes: usize) -> Invalid {
    let allowed = Limits::default().append_bytes;
    let message = format!("bytes in one append: {bytes}; at most {allowed} are allowed");
    Invalid::new("append_too_large", message)
}
