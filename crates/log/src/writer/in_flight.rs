use std::collections::VecDeque;

use super::commit::Confirmation;
use crate::head::Head;

/// The batches that are submitted and not confirmed, oldest first, with their answers.
pub(super) struct InFlight<T> {
    batches: VecDeque<SubmittedBatch>,
    /// The answers of all batches in flight, oldest first, then those of the batch to come.
    answers: VecDeque<T>,
    /// How many of the answers belong to batches in flight.
    submitted: usize,
    /// Whether the oldest batch stands for all that were acknowledged early; it has no answers.
    acknowledged: bool,
    /// The number of the last batch that was confirmed.
    confirmed: u64,
}

#[derive(Debug, Clone, Copy)]
struct SubmittedBatch {
    number: u64,
    answers: usize,
    /// Its last position, as the writer predicts it.
    last: u64,
    confirmed: Confirmed,
}

/// What a confirmation makes visible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Confirmed {
    /// The head of the log up to the batch, with the positions that were passed over behind it.
    pub(super) head: Head,
    /// Where its frames end in the file of the open segment.
    pub(super) end: u64,
}

/// What is wrong with a confirmation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mismatch {
    /// No such batch was submitted.
    Batch,
    /// The batch was predicted to end at this position.
    Position(u64),
}

impl<T> InFlight<T> {
    pub(super) fn new() -> Self {
        let (batches, answers) = (VecDeque::new(), VecDeque::new());
        InFlight { batches, answers, submitted: 0, acknowledged: false, confirmed: 0 }
    }

    /// Adds an answer to the batch to come.
    pub(super) fn push_answer(&mut self, answer: T) {
        self.answers.push_back(answer);
    }

    /// Notes that a batch was submitted; all answers that belong to no batch are its own.
    pub(super) fn push_batch(&mut self, number: u64, last: u64, confirmed: Confirmed) {
        let answers = self.answers.len() - self.submitted;
        self.submitted = self.answers.len();
        self.batches.push_back(SubmittedBatch { number, answers, last, confirmed });
    }

    /// Sets the head that the newest batch makes visible; returns whether there is one.
    pub(super) fn extend_newest(&mut self, head: Head) -> bool {
        self.batches.back_mut().map(|newest| newest.confirmed.head = head).is_some()
    }

    /// Gives answers that belong to no batch to the newest batch in flight; returns them if there is
    /// none, since then they wait for nothing.
    pub(super) fn settle_strays(&mut self) -> impl Iterator<Item = T> {
        let waits = self.count() > 0;
        if waits && let Some(newest) = self.batches.back_mut() {
            newest.answers += self.answers.len() - self.submitted;
            self.submitted = self.answers.len();
        }
        self.take_strays()
    }

    /// Returns the answers that belong to no batch.
    pub(super) fn take_strays(&mut self) -> impl Iterator<Item = T> {
        self.answers.drain(self.submitted..)
    }

    /// How many batches are neither acknowledged nor confirmed.
    pub(super) fn count(&self) -> usize {
        self.batches.len() - usize::from(self.acknowledged)
    }

    /// Whether no batch waits for its confirmation, acknowledged or not.
    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Merges all batches into one that is acknowledged; returns their answers.
    pub(super) fn acknowledge(&mut self) -> impl Iterator<Item = T> {
        if let Some(newest) = self.batches.pop_back() {
            self.batches.clear();
            self.batches.push_back(SubmittedBatch { answers: 0, ..newest });
            self.acknowledged = true;
        }
        self.answers.drain(..std::mem::take(&mut self.submitted))
    }

    /// Removes the batches that are confirmed. Returns what is visible now and the number of answers
    /// that are due, or `None` if nothing new is confirmed.
    pub(super) fn confirm(
        &mut self,
        confirmation: Confirmation,
    ) -> Result<Option<(Confirmed, usize)>, Mismatch> {
        let Confirmation { batch, position } = confirmation;
        if batch <= self.confirmed {
            return Ok(None);
        }
        let at = self.batches.iter().position(|submitted| submitted.number >= batch);
        let at = at.ok_or(Mismatch::Batch)?;
        let found = self.batches.get(at).copied().ok_or(Mismatch::Batch)?;
        if found.number > batch {
            // It is part of what was acknowledged early, and that is confirmed as one.
            return Ok(None);
        }
        if found.last != position {
            return Err(Mismatch::Position(found.last));
        }
        let answers = self.batches.drain(..=at).map(|batch| batch.answers).sum();
        (self.confirmed, self.acknowledged) = (batch, false);
        Ok(Some((found.confirmed, answers)))
    }

    /// Returns the oldest answers, of batches that are confirmed.
    pub(super) fn take_answers(&mut self, count: usize) -> impl Iterator<Item = T> {
        self.submitted -= count;
        self.answers.drain(..count)
    }

    /// Forgets all batches; returns all answers.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = T> {
        self.batches.clear();
        (self.submitted, self.acknowledged) = (0, false);
        self.answers.drain(..)
    }
}
