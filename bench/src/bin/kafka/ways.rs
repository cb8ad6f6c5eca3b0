//! The three ways to write, with one interface.

use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use leftfold_kafka_testing::owner::{Identity, Owner, PendingAppend};
use leftfold_kafka_testing::wire::{
    Batch, Client, Connection, End, EndVersion, KafkaError, Partition, ProduceReply, ProducerId,
    Record, ResponseError,
};

const PAYLOAD: usize = 256;
const WITHIN: Duration = Duration::from_secs(10);
/// The back-off while the coordinator still writes the markers of the last transaction.
const BACK_OFF: Duration = Duration::from_millis(1);

#[derive(Clone, Copy)]
pub(crate) enum Way {
    Plain,
    Transactions,
    Claims,
}

impl Way {
    pub(crate) const ALL: [Way; 3] = [Way::Plain, Way::Transactions, Way::Claims];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Way::Plain => "plain",
            Way::Transactions => "transactions",
            Way::Claims => "claims",
        }
    }
}

/// A writer and its appends in flight.
pub(crate) struct ActiveWriter {
    writer: Writer,
    /// When each append was queued.
    waiting: VecDeque<Instant>,
}

enum Writer {
    Plain { leader: Connection, partition: Partition, sent: VecDeque<ProduceReply> },
    Transactions(Transactions),
    Claims { owner: Box<Owner>, sent: VecDeque<PendingAppend> },
}

struct Transactions {
    leader: Connection,
    coordinator: Connection,
    partition: Partition,
    id: String,
    producer: ProducerId,
}

impl ActiveWriter {
    pub(crate) fn start(client: &Client, partition: &Partition, way: Way) -> anyhow::Result<Self> {
        let leader = client.leader(partition)?;
        let (partition, id) = (partition.clone(), partition.topic.to_string());
        let writer = match way {
            Way::Plain => Writer::Plain { leader, partition, sent: VecDeque::new() },
            Way::Transactions => {
                let (coordinator, producer) = take_over(client, &id)?;
                Writer::Transactions(Transactions { leader, coordinator, partition, id, producer })
            }
            Way::Claims => {
                let (_, producer) = take_over(client, &id)?;
                let (owner, _) =
                    Owner::claim(&leader, &partition, Identity { name: id, producer })?;
                Writer::Claims { owner: Box::new(owner), sent: VecDeque::new() }
            }
        };
        Ok(ActiveWriter { writer, waiting: VecDeque::new() })
    }

    /// Keeps `count` appends in flight, each in its own batch or all grouped, and waits for the
    /// oldest. Returns the latency of each append that is done.
    pub(crate) fn step(&mut self, count: usize, grouped: bool) -> anyhow::Result<Vec<Duration>> {
        let together = if grouped { count } else { 1 };
        while self.waiting.len() < count {
            self.waiting.extend(std::iter::repeat_n(Instant::now(), together));
            self.writer.send(together)?;
        }
        self.writer.confirm(together)?;
        let done = self.waiting.drain(..together);
        Ok(done.map(|since| since.elapsed()).collect())
    }
}

impl Writer {
    fn send(&mut self, count: usize) -> anyhow::Result<()> {
        match self {
            Writer::Plain { leader, partition, sent } => {
                let batch = Batch::of(now(), records(count)).encode();
                sent.push_back(leader.produce(partition, batch, WITHIN)?);
            }
            // One after the other, because a transaction begins when the previous one has ended.
            Writer::Transactions(_) => {}
            Writer::Claims { owner, sent } => sent.push_back(owner.send(records(count))?),
        }
        Ok(())
    }

    fn confirm(&mut self, count: usize) -> anyhow::Result<()> {
        const NOTHING: &str = "nothing is on its way";
        match self {
            Writer::Plain { sent, .. } => _ = sent.pop_front().context(NOTHING)?.wait()?,
            Writer::Transactions(transactions) => transactions.commit(count)?,
            Writer::Claims { owner, sent } => {
                owner.confirm(sent.pop_front().context(NOTHING)?)?;
            }
        }
        Ok(())
    }
}

impl Transactions {
    fn commit(&mut self, count: usize) -> Result<(), KafkaError> {
        let batch = Batch::of(now(), records(count)).from(self.producer, 0).in_transaction();
        let bytes = batch.encode();
        while_busy(|| {
            let sent = self.leader.produce_in(&self.id, &self.partition, bytes.clone(), WITHIN)?;
            sent.wait()
        })?;
        self.producer = while_busy(|| {
            let Transactions { coordinator, id, producer, .. } = &*self;
            coordinator.end_transaction(id, *producer, End::Commit, EndVersion::New)?.wait()
        })?;
        Ok(())
    }
}

fn take_over(client: &Client, id: &str) -> Result<(Connection, ProducerId), KafkaError> {
    while_busy(|| {
        let coordinator = client.coordinator(id)?;
        let producer = coordinator.take_over(id, Duration::from_secs(60))?;
        Ok((coordinator, producer))
    })
}

/// Retries while the coordinator is not ready.
fn while_busy<T>(mut ask: impl FnMut() -> Result<T, KafkaError>) -> Result<T, KafkaError> {
    use ResponseError::*;
    let busy = [
        ConcurrentTransactions,
        CoordinatorLoadInProgress,
        CoordinatorNotAvailable,
        NotCoordinator,
    ];
    let started = Instant::now();
    loop {
        match ask() {
            Err(error)
                if error.code().is_some_and(|code| busy.contains(&code))
                    && started.elapsed() < WITHIN =>
            {
                std::thread::sleep(BACK_OFF);
            }
            answer => return answer,
        }
    }
}

fn records(count: usize) -> Vec<Record> {
    (0..count).map(|_| Record::new(vec![b'x'; PAYLOAD])).collect()
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}
