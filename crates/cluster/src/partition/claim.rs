//! How a node becomes the owner: it reads to the end, writes a claim, and reads up to the claim.

use leftfold_fold::time::Time;
use leftfold_kafka::{Batch, KafkaError, ProducerId, ResponseError};

use super::copy::{Copy, CopyError};
use super::{Partition, Role};
use crate::broker::Broker;
use crate::ledger::Stamp;
use crate::record::Claimant;

/// The term of an owner, and the identity by which brokers know it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claimed {
    pub(super) term: u64,
    pub(super) producer: ProducerId,
    /// The sequence of the next record of the producer.
    pub(super) sequence: i32,
}

impl<B: Broker> Partition<B> {
    /// Claims the partition. Afterwards the copy has all records that count in earlier terms.
    pub(super) async fn claim(&self, copy: &mut Copy) -> Result<Claimed, CopyError> {
        self.note(Role::Claiming, copy);
        let producer = self.broker.take_over().await?;
        let end = self.broker.end().await?;
        copy.read_to(&self.broker, end).await?;
        let term = copy.term() + 1;
        let claimant = Claimant { time: Some(self.time.now()), ..self.names.owner.clone() };
        let claim = Stamp::claim(term, &claimant.to_json());
        let batch = Batch::of(millis(&*self.time), [claim]).from(producer, 0);
        let at = self.broker.append(batch.encode()).await?;
        copy.read_to(&self.broker, at + 1).await?;
        if copy.is_claimed_at(at, term) && copy.next() == at + 1 {
            return Ok(Claimed { term, producer, sequence: batch.next_sequence() });
        }
        // Another claim came first, or records behind this one were read with it.
        Err(KafkaError::Refused {
            request: "ProduceRequest",
            code: ResponseError::ProducerFenced,
            message: format!("the claim of term {term} was overtaken"),
        }
        .into())
    }
}

/// Returns the clock's time in milliseconds. Brokers expire producers by the timestamps of their batches.
pub(super) fn millis(time: &dyn Time) -> i64 {
    time.now().0 / 1_000
}
