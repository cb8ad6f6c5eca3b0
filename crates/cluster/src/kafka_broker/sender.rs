//! The task that sends the appends of a partition, in order, again and again if need be.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;
use leftfold_kafka::{Address, Client, Connection, KafkaError, Partition, ProduceResult};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::options::{BackOff, KafkaBrokerOptions, superseded};
use super::queue::{Append, Queue};

/// The most batches without an answer: brokers recognise a repeat among the last five batches of a producer.
const MOST_IN_FLIGHT: usize = 5;
/// The time for an answer beyond the time that the broker itself may take.
const GRACE: Duration = Duration::from_secs(2);
/// The time without an answer after which the sender asks whether the partition has another leader. A leader that is
/// paused or cut off does not say so.
const LEADER_CHECK: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Sender {
    pub(super) client: Arc<Client>,
    pub(super) partition: Partition,
    pub(super) options: KafkaBrokerOptions,
    pub(super) queue: Arc<Queue>,
}

/// The sender's state in one round.
struct Flight {
    round: u64,
    unanswered: VecDeque<Unanswered>,
    leader: Option<Leader>,
    /// When to ask whether the partition has another leader.
    check_at: Instant,
    back_off: BackOff,
}

/// The leader to which batches are sent.
struct Leader {
    address: Address,
    connection: Connection,
}

/// A batch that is to be sent, or was sent and not answered.
struct Unanswered {
    append: Append,
    /// The answer to the last attempt; `None` if it must be sent.
    reply: Option<BoxFuture<'static, Result<ProduceResult, KafkaError>>>,
    /// Whether an earlier attempt may have been executed.
    may_have_landed: bool,
}

impl Sender {
    /// Sends appends until the task is aborted.
    pub(super) async fn run(self) {
        let mut flight = Flight::new(self.queue.round());
        loop {
            let round = self.queue.round();
            if round != flight.round {
                flight.fail(&superseded());
                flight = Flight::new(round);
            }
            while flight.unanswered.len() < MOST_IN_FLIGHT
                && let Some(append) = self.queue.pop(flight.round)
            {
                flight.unanswered.push_back(Unanswered::new(append));
            }
            if flight.unanswered.is_empty() {
                self.queue.changed.notified().await;
                flight.check_later();
            } else if let Err(error) = self.exchange(&mut flight).await {
                self.recover(&mut flight, error).await;
            }
        }
    }

    /// Sends what is not sent, and waits for an answer or for another append.
    async fn exchange(&self, flight: &mut Flight) -> Result<(), KafkaError> {
        let Some(front) = flight.unanswered.front() else { return Ok(()) };
        let deadline = front.append.since + self.options.delivery_time;
        let late = || KafkaError::Timeout {
            request: "ProduceRequest",
            waited: self.options.delivery_time,
        };
        timeout_at(deadline, self.send(flight)).await.map_err(|_| late())??;
        let Some(front) = flight.unanswered.front_mut() else { return Ok(()) };
        let Some(reply) = front.reply.as_mut() else { return Ok(()) };
        let answer = tokio::select! {
            biased;
            answer = reply => answer,
            () = sleep_until(deadline) => return Err(late()),
            () = self.queue.changed.notified() => return Ok(()),
            () = sleep_until(flight.check_at) => {
                flight.check_later();
                let known = flight.leader.as_ref().map(|leader| leader.address.clone());
                return timeout_at(deadline, self.check_leader(known)).await.map_err(|_| late())?;
            }
        };
        front.reply = None;
        let landed = answer.inspect_err(|error| {
            front.may_have_landed |= error.is_outcome_unknown();
        })?;
        if let Some(front) = flight.unanswered.pop_front() {
            _ = front.append.done.send(Ok(landed.base_offset));
        }
        flight.back_off.reset();
        flight.check_later();
        Ok(())
    }

    /// Sends all batches that have no attempt in flight, in order.
    async fn send(&self, flight: &mut Flight) -> Result<(), KafkaError> {
        if flight.unanswered.iter().all(|one| one.reply.is_some()) {
            return Ok(());
        }
        let leader = match flight.leader.take() {
            Some(leader) => leader,
            None => self.find_leader().await?,
        };
        let leader = &flight.leader.insert(leader).connection;
        let within = self.options.request_time;
        let mut in_flight = false;
        for one in &mut flight.unanswered {
            if one.reply.is_none() {
                let reply = match leader.produce(&self.partition, one.append.batch.clone(), within)
                {
                    // An answer makes room.
                    Err(KafkaError::Busy(_)) if in_flight => break,
                    reply => reply?,
                };
                one.reply = Some(Box::pin(reply.wait_for(within + GRACE)));
            }
            in_flight = true;
        }
        Ok(())
    }

    async fn find_leader(&self) -> Result<Leader, KafkaError> {
        let address = self.client.locate(&self.partition).await?.address;
        let connection = self.client.open(&address).await?;
        Ok(Leader { address, connection })
    }

    /// Returns an error if the cluster names another leader. Without an answer the sender waits on.
    async fn check_leader(&self, known: Option<Address>) -> Result<(), KafkaError> {
        let named = self.client.locate(&self.partition).await;
        match (known, named) {
            (Some(known), Ok(named)) if named.address != known => Err(KafkaError::Closed(known)),
            _ => Ok(()),
        }
    }

    /// Prepares to send all unanswered batches again, or fails them all.
    async fn recover(&self, flight: &mut Flight, error: KafkaError) {
        // What is in flight on the old connection may still be executed; brokers recognise the repeats.
        if let Some(leader) = flight.leader.take() {
            leader.connection.close();
        }
        for one in &mut flight.unanswered {
            one.may_have_landed |= one.reply.take().is_some();
        }
        let waited = flight.unanswered.front().map(|front| front.append.since.elapsed());
        let rest = self.options.delivery_time.saturating_sub(waited.unwrap_or_default());
        if error.is_retriable() && !rest.is_zero() {
            sleep(flight.back_off.next().min(rest)).await;
            flight.check_later();
        } else {
            self.queue.fail(flight.round, &error);
            flight.fail(&error);
        }
    }
}

impl Flight {
    fn new(round: u64) -> Self {
        let unanswered = VecDeque::with_capacity(MOST_IN_FLIGHT);
        let (check_at, back_off) = (Instant::now() + LEADER_CHECK, BackOff::default());
        Flight { round, unanswered, leader: None, check_at, back_off }
    }

    fn check_later(&mut self) {
        self.check_at = Instant::now() + LEADER_CHECK;
    }

    /// Fails all batches. This error is that of the first one.
    fn fail(&mut self, error: &KafkaError) {
        if let Some(leader) = self.leader.take() {
            leader.connection.close();
        }
        for (at, one) in self.unanswered.drain(..).enumerate() {
            let cause = || Box::new(error.clone());
            let may_have_landed = one.may_have_landed || one.reply.is_some();
            let failure = if at == 0 && may_have_landed == error.is_outcome_unknown() {
                error.clone()
            } else if may_have_landed {
                KafkaError::Unsettled(cause())
            } else {
                KafkaError::NotExecuted(cause())
            };
            _ = one.append.done.send(Err(failure));
        }
    }
}

impl Unanswered {
    fn new(append: Append) -> Self {
        Unanswered { append, reply: None, may_have_landed: false }
    }
}
