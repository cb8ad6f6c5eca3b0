//! `kafka` exactly once, beside an idempotent producer, and beside Apache's `ProducerPerformance`.

mod apache;
mod broker;
mod producer;

use std::time::{Duration, Instant};

use bytes::Bytes;
use leftfold::{NewEvent, Recorded};
use leftfold_kafka::Record;

use self::broker::Broker;
use crate::row::{Bench, Measured, Plan, Row, Size, Way};
use crate::singles::{QUERY, STREAM, append, time_each};
use crate::world::{HISTORY, World};

/// The partitions of a topic for a history.
const PARTITIONS: u32 = 6;

/// The headers of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// None, as those of `ProducerPerformance`.
    Plain,
    /// Those of CloudEvents, which are the connector's default.
    CloudEvents,
}

/// A store, and a broker.
struct Kafka {
    world: World,
    broker: Broker,
    shape: Shape,
    size: Size,
}

/// Records without headers.
pub(crate) const PLAIN: Plan = Plan {
    name: "kafka",
    about: "exactly once to 6 partitions, records without headers; by hand an idempotent producer with 5 batches of at \
            most 1,000 records in flight for each partition; ProducerPerformance with acks=all and its defaults, from \
            memory and without keys; single events are timed from the begin of the append to the answer to a Fetch of \
            committed records",
    prepare: |bench| Box::pin(prepare(bench, Shape::Plain)),
};
/// Records with the headers of CloudEvents.
pub(crate) const CLOUD_EVENTS: Plan = Plan {
    name: "kafka-cloudevents",
    about: "as kafka, with the nine headers of CloudEvents, which are the default",
    prepare: |bench| Box::pin(prepare(bench, Shape::CloudEvents)),
};

async fn prepare(bench: &Bench, shape: Shape) -> anyhow::Result<Box<dyn Row>> {
    let world =
        World::filled(&bench.home.join(format!("kafka-{}", shape.name())), bench.size.events)?;
    Ok(Box::new(Kafka { world, broker: Broker::start()?, shape, size: bench.size }))
}

impl Shape {
    /// Returns its name in a definition.
    fn name(self) -> &'static str {
        match self {
            Shape::Plain => "plain",
            Shape::CloudEvents => "cloudevents",
        }
    }

    /// Returns the record of an event, as the connector makes it.
    fn record(self, event: &Recorded) -> Record {
        let mut record = Record::new(event.data());
        record.key = Some(Bytes::from(event.stream().to_owned()));
        match self {
            Shape::Plain => record,
            Shape::CloudEvents => record
                .header("ce_specversion", "1.0")
                .header("ce_id", event.id().to_string())
                .header("ce_type", event.event_type().to_owned())
                .header("ce_source", "leftfold")
                .header("ce_subject", event.stream().to_owned())
                .header("ce_time", event.event_time().to_string())
                .header("content-type", event.content_type().to_owned())
                .header("stream-version", event.version().to_string())
                .header("position", event.position().to_string()),
        }
    }
}

impl Row for Kafka {
    fn ways(&self) -> &'static [Way] {
        match self.shape {
            Shape::Plain => &[Way::Connector, Way::ByHand, Way::Apache],
            Shape::CloudEvents => &[Way::Connector, Way::ByHand],
        }
    }

    fn rate(&mut self, way: Way) -> Measured<'_, f64> {
        Box::pin(async move {
            let topic = self.broker.create_topic(PARTITIONS).await?;
            let events = self.size.events;
            let rate = match way {
                Way::Connector => {
                    let definition = self.definition(HISTORY, &topic);
                    self.world.rate(&definition, events).await?
                }
                Way::ByHand => self.produce_history(&topic).await?,
                Way::Apache => apache::rate(self.broker.bootstrap(), &topic, events).await?,
            };
            self.broker.check_records(&topic, PARTITIONS, events).await?;
            self.broker.delete_topic(&topic).await?;
            Ok(rate)
        })
    }

    fn latencies(&mut self, way: Way) -> Option<Measured<'_, Vec<Duration>>> {
        if self.shape != Shape::Plain {
            return None;
        }
        match way {
            Way::Connector => Some(Box::pin(self.time_connector())),
            Way::ByHand => Some(Box::pin(self.time_by_hand())),
            Way::Apache => None,
        }
    }
}

impl Kafka {
    fn definition(&self, query: &str, topic: &str) -> String {
        let (bootstrap, shape) = (self.broker.bootstrap(), self.shape.name());
        format!(
            "kind = \"kafka\"\nquery = \"{query}\"\n\
             [kafka]\nbootstrap = \"{bootstrap}\"\ntopic = \"{topic}\"\nshape = \"{shape}\"\n"
        )
    }

    /// Reads pages and produces them; returns the rate.
    async fn produce_history(&self, topic: &str) -> anyhow::Result<f64> {
        let mut producer = self.broker.producer(topic, PARTITIONS).await?;
        let started = Instant::now();
        let mut pages = self.world.pages()?;
        while let Some(page) = pages.next().await? {
            producer.send(page.iter().map(|event| self.shape.record(event))).await?;
        }
        producer.finish().await?;
        Ok(self.size.events as f64 / started.elapsed().as_secs_f64())
    }

    /// Times events from the begin of their append to the answer to a Fetch of committed records.
    async fn time_connector(&mut self) -> anyhow::Result<Vec<Duration>> {
        let topic = self.broker.create_topic(1).await?;
        let mut tail = self.broker.tail(&topic).await?;
        let (definition, store) = (self.definition(QUERY, &topic), self.world.store.clone());
        let singles = self.size.singles;
        let timing = async || {
            let send = async |event| append(&store, event).await;
            time_each(singles, None, send, async || tail.next().await).await
        };
        let times = self.world.run_from_now(&definition, timing).await?;
        self.broker.delete_topic(&topic).await?;
        Ok(times)
    }

    /// Times events that are appended, and then produced by the same program.
    async fn time_by_hand(&mut self) -> anyhow::Result<Vec<Duration>> {
        let topic = self.broker.create_topic(1).await?;
        let mut tail = self.broker.tail(&topic).await?;
        let mut producer = self.broker.producer(&topic, 1).await?;
        let send = async |event: NewEvent| {
            let mut record = Record::new(event.data.clone());
            record.key = Some(Bytes::from_static(STREAM.as_bytes()));
            append(&self.world.store, event).await?;
            producer.send([record]).await?;
            producer.finish().await
        };
        let times = time_each(self.size.singles, None, send, async || tail.next().await).await?;
        self.broker.delete_topic(&topic).await?;
        Ok(times)
    }
}
