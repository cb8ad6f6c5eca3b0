//! The simulated Kafka does what the experiments on live brokers saw.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use leftfold_api::{BoxFuture, Timestamp};
use leftfold_cluster::broker::Broker;
use leftfold_fold::time::{FakeTime, Time};
use leftfold_io::fake::SeededRandom;
use leftfold_kafka::{Batch, KafkaError, ProducerId, Record, ResponseError};

use super::{FakeBroker, FakeKafka, Faults};

/// A simulated Kafka, and the time that moves it.
struct World {
    time: FakeTime,
    random: Arc<SeededRandom>,
    kafka: FakeKafka,
}

impl World {
    fn new(seed: u64, faults: Faults) -> Self {
        let (time, random) = (FakeTime::at(Timestamp(0)), Arc::new(SeededRandom::new(seed)));
        let kafka = FakeKafka::new(time.clone(), random.clone(), faults);
        World { time, random, kafka }
    }

    /// Moves the time until a future is ready.
    fn wait<T>(&self, mut future: BoxFuture<'_, T>) -> T {
        loop {
            if let Poll::Ready(ready) =
                future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
            {
                return ready;
            }
            self.step();
        }
    }

    fn step(&self) {
        self.time.set(Timestamp(self.kafka.next_event().unwrap()));
        self.kafka.run_due();
    }

    fn append(
        &self,
        broker: &FakeBroker,
        producer: ProducerId,
        sequence: i32,
    ) -> Result<i64, ResponseError> {
        let appended = self.wait(broker.append(batch(producer, sequence)));
        appended.map_err(|error| error.code().unwrap_or(ResponseError::RequestTimedOut))
    }

    fn values(&self) -> Vec<String> {
        let log = self.kafka.log();
        let records = log.iter().flat_map(|batch| &batch.records);
        let text = |value: &bytes::Bytes| String::from_utf8(value.to_vec()).unwrap();
        records.map(|stored| stored.record.value.as_ref().map_or(String::new(), text)).collect()
    }
}

/// Returns a batch of one record that names its sequence.
fn batch(producer: ProducerId, sequence: i32) -> bytes::Bytes {
    Batch::of(0, [Record::new(sequence.to_string())]).from(producer, sequence).encode()
}

fn epoch(epoch: i16) -> ProducerId {
    ProducerId { id: 1_001, epoch }
}

#[test]
fn a_takeover_fences_the_old_owner_only_after_the_claim_is_written() {
    let world = World::new(1, Faults::NONE);
    let [old, new] = [world.kafka.connect(), world.kafka.connect()];
    assert_eq!(world.wait(old.take_over()).unwrap(), epoch(0));
    assert_eq!(world.append(&old, epoch(0), 0), Ok(0));
    assert_eq!(world.wait(new.take_over()).unwrap(), epoch(1));
    assert_eq!(world.append(&old, epoch(0), 1), Ok(1), "the claim is the barrier");
    assert_eq!(world.append(&new, epoch(1), 0), Ok(2));
    assert_eq!(world.append(&old, epoch(0), 2), Err(ResponseError::InvalidProducerEpoch));
    let after = world.append(&old, epoch(0), 3);
    assert_eq!(after, Err(ResponseError::RequestTimedOut), "later appends fail without being sent");
    assert_eq!(world.values(), ["0", "1", "0"]);
}

#[test]
fn a_leader_knows_a_repeat_of_the_last_five_batches() {
    let world = World::new(1, Faults::NONE);
    let broker = world.kafka.connect();
    for sequence in 0..7 {
        assert_eq!(world.append(&broker, epoch(0), sequence), Ok(sequence.into()));
    }
    for sequence in 2..7 {
        assert_eq!(world.append(&broker, epoch(0), sequence), Ok(sequence.into()), "a repeat");
    }
    assert_eq!(world.append(&broker, epoch(0), 1), Err(ResponseError::OutOfOrderSequenceNumber));
    assert_eq!(world.values().len(), 7);
}

#[test]
fn a_leader_that_forgot_accepts_an_old_epoch_and_then_refuses_the_new_one() {
    let world = World::new(1, Faults::NONE);
    let [old, new] = [world.kafka.connect(), world.kafka.connect()];
    assert_eq!(world.append(&old, epoch(0), 0), Ok(0));
    assert_eq!(world.append(&new, epoch(1), 0), Ok(1));
    world.kafka.forget_producers();
    assert_eq!(world.append(&old, epoch(0), 9), Ok(2), "at any sequence");
    assert_eq!(world.append(&new, epoch(1), 1), Err(ResponseError::OutOfOrderSequenceNumber));
}

#[test]
fn a_coordinator_that_forgot_gives_another_producer_which_fences_nobody() {
    let world = World::new(1, Faults::NONE);
    let [old, new] = [world.kafka.connect(), world.kafka.connect()];
    let first = world.wait(old.take_over()).unwrap();
    assert_eq!(world.append(&old, first, 0), Ok(0));
    world.kafka.forget_transactional_id();
    let second = world.wait(new.take_over()).unwrap();
    assert_ne!(first.id, second.id);
    assert_eq!(world.append(&new, second, 0), Ok(1));
    assert_eq!(world.append(&old, first, 1), Ok(2));
}

#[test]
fn a_deposed_leader_answers_with_its_old_end_and_acknowledges_nothing() {
    let world = World::new(1, Faults::NONE);
    let [old, new] = [world.kafka.connect(), world.kafka.connect()];
    assert_eq!(world.append(&old, epoch(0), 0), Ok(0));
    world.kafka.depose_leader_of(&old, 60_000_000);
    assert_eq!(world.append(&new, epoch(1), 0), Ok(1));
    assert_eq!((world.wait(old.end()).unwrap(), world.wait(new.end()).unwrap()), (1, 2));
    let fetched = world.wait(old.fetch(0, Duration::ZERO)).unwrap();
    assert_eq!((fetched.end, fetched.batches.len()), (1, 1));
    assert!(world.wait(old.fetch(2, Duration::ZERO)).is_err(), "it does not have that offset");
    assert_eq!(world.append(&old, epoch(0), 1), Err(ResponseError::RequestTimedOut));
}

#[test]
fn a_fetch_waits_for_records() {
    let world = World::new(1, Faults::NONE);
    let [reader, writer] = [world.kafka.connect(), world.kafka.connect()];
    let nothing = world.wait(reader.fetch(0, Duration::from_millis(300))).unwrap();
    assert!(nothing.batches.is_empty() && world.time.now() >= Timestamp(300_000));
    let fetch = reader.fetch(0, Duration::from_secs(3_600));
    assert_eq!(world.append(&writer, epoch(0), 0), Ok(0));
    assert_eq!(world.wait(fetch).unwrap().batches.len(), 1);
    assert!(world.time.now() < Timestamp(1_000_000));
}

/// Sends a batch, and nineteen at once behind it, and returns the offsets of those that were acknowledged. The first is
/// alone, because a leader accepts any sequence of a producer that it does not know.
fn pipeline(world: &World, broker: &FakeBroker) -> Vec<i64> {
    if world.append(broker, epoch(0), 0).is_err() {
        return Vec::new();
    }
    let sent: Vec<_> = (1..20).map(|sequence| broker.append(batch(epoch(0), sequence))).collect();
    let answers: Vec<Result<i64, KafkaError>> =
        sent.into_iter().map(|answer| world.wait(answer)).collect();
    let offsets: Vec<_> =
        answers.iter().map_while(|answer| answer.as_ref().ok().copied()).collect();
    assert!(answers[offsets.len()..].iter().all(Result::is_err), "an append behind a failed one");
    [vec![0], offsets].concat()
}

#[test]
fn batches_are_acknowledged_in_order_and_stored_once_while_the_leader_remembers() {
    let (mut all, mut some) = (0, 0);
    for seed in 0..300 {
        let faults = Faults::choose(&SeededRandom::new(seed));
        let world = World::new(seed, faults);
        let broker = world.kafka.connect();
        let offsets = pipeline(&world, &broker);
        let values = world.values();
        let expected: Vec<_> = (0..values.len()).map(|value| value.to_string()).collect();
        assert_eq!(values, expected, "seed {seed}");
        assert_eq!(offsets, (0..offsets.len() as i64).collect::<Vec<_>>(), "seed {seed}");
        if offsets.len() == 20 { all += 1 } else { some += 1 }
    }
    assert!(all > 50 && some > 0, "{all} {some}");
}

#[test]
fn a_leader_that_forgets_on_the_way_may_store_a_batch_twice() {
    let twice = (0..300).find(|seed| {
        let world = World::new(*seed, Faults { lost_answers: 3, ..Faults::NONE });
        let broker = world.kafka.connect();
        let _sent: Vec<_> =
            (0..5).map(|sequence| broker.append(batch(epoch(0), sequence))).collect();
        while world.kafka.next_event().is_some() {
            world.step();
            if world.random.one_in(3) {
                world.kafka.forget_producers();
            }
        }
        let values = world.values();
        values.len() > 5 && values.iter().filter(|value| *value == "0").count() > 1
    });
    assert!(twice.is_some());
}
