use leftfold_api::{
    Append, AppendError, Appended, CheckpointMove, Conflict, EventStore, Failure, Invalid,
    ReadError,
};
use leftfold_wire::{MAX_MESSAGE, encode, result};

use crate::backoff::Backoff;
use crate::client::Client;
use crate::fault::{Fault, unknown};
use crate::pipeline::Outcome;

/// Room for the append's number and its length.
const ENVELOPE: usize = 32;

impl Client {
    /// Sends an append until its answer is known.
    pub(crate) async fn append_surely(&self, mut append: Append) -> Result<Appended, AppendError> {
        let has_events = !append.events().is_empty();
        let is_named = append.events().iter().all(|(_, event)| event.id.is_some());
        self.name(&mut append)?;
        let encoded = encode(&append);
        if encoded.len() + ENVELOPE > MAX_MESSAGE {
            return Err(too_large(encoded.len()).into());
        }
        let (deadline, mut backoff) = (self.calls.deadline(), Backoff::new());
        let mut in_doubt = false;
        loop {
            let outcome = self.pipeline.send(encoded.clone(), has_events, deadline).await;
            let fault = match outcome {
                Outcome::Answer(answer) => match result(answer) {
                    Err(AppendError::Conflict(conflict)) if in_doubt => {
                        return self.settle(append.moves(), conflict).await;
                    }
                    Err(AppendError::Failure(failure)) => again(failure)?,
                    other => return other,
                },
                Outcome::Doubt(fault) => fault,
                Outcome::Late { sent, fault } => return Err(late(sent, is_named, fault).into()),
                Outcome::Fault(fault) => return Err(fault.into()),
            };
            in_doubt |= !has_events && fault.leaves_doubt();
            match self.calls.pause(backoff, deadline).await {
                Some(next) => backoff = next,
                None => return Err(fault.into()),
            }
        }
    }

    /// Gives each event an id if it has none.
    fn name(&self, append: &mut Append) -> Result<(), AppendError> {
        let mut failed = None;
        append.fill_ids(|| {
            self.ids.next().unwrap_or_else(|error| {
                failed = Some(error);
                uuid::Uuid::nil()
            })
        });
        let Some(error) = failed else { return Ok(()) };
        let message = format!("the system gives no randomness for event ids: {error}");
        Err(Failure::Remote { code: "disk_failed", message, can_retry: false }.into())
    }

    /// Checkpoint moves without events were sent, and again, and now there is a conflict. If all of
    /// them stand where they were to go, they were moved.
    async fn settle(
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

/// Whether a failure that the server told may pass: then what was in the way.
fn again(failure: Failure) -> Result<Fault, AppendError> {
    let error = ReadError::from(failure.clone());
    let fault = Fault::Said(Box::new((&error).into()));
    if fault.may_pass(true) { Ok(fault) } else { Err(failure.into()) }
}

fn late(sent: bool, is_named: bool, fault: Option<Fault>) -> Failure {
    let words = match &fault {
        Some(Fault::Lost(words) | Fault::Unsent(words)) => format!(": {words}"),
        Some(Fault::Said(problem)) => format!(": {}", problem.message),
        _ => String::new(),
    };
    if sent {
        let words = format!("no answer has come in time{words}; append it again with the same ids");
        return unknown(&words, is_named);
    }
    let message = format!("the server could not be reached in time{words}; nothing was sent");
    Failure::Remote { code: "server_unreachable", message, can_retry: true }
}

fn too_large(bytes: usize) -> Invalid {
    let message = format!("bytes in one append: {bytes}; at most 67108864 are allowed");
    Invalid::new("append_too_large", message)
}
