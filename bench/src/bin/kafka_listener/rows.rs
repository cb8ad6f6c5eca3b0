//! What is measured of a system.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use leftfold_bench::process::processor_time;

use crate::consumer::Consumer;
use crate::java::Java;
use crate::producer::{Producer, VALUE};
use crate::systems::System;

/// Partitions of the topics, but for a row that says otherwise.
const PARTITIONS: i32 = 8;
/// Records of a batch: with 256 bytes each they fill the 16 KiB of Java's producer.
const BATCH: usize = 60;
/// Batches in flight of a producer, as of Java's.
const IN_FLIGHT: usize = 5;
/// The least seconds of Java's producers: they connect meanwhile, and are compiled.
const LEAST_OF_JAVA: f64 = 1.0;
/// The share of each time before the measurement starts.
const WARM_UP: f64 = 0.25;

/// One line of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Row {
    /// Producers that send all they can, to this number of partitions.
    Produce { producers: usize, partitions: i32 },
    /// One producer that sends one record, and waits.
    One,
    /// Reads a topic from its beginning.
    Consume,
    /// From sending a record until a waiting consumer has it.
    EndToEnd,
    /// Producers of Java, with their own defaults.
    JavaProduce { producers: usize },
    /// Java's consumer reads a topic from its beginning.
    JavaConsume,
}

/// The result of a row in one round.
pub(crate) struct Measurement {
    /// Records a second.
    pub(crate) rate: Option<f64>,
    /// Latencies in milliseconds: the median, and the 99th percentile.
    pub(crate) latency: Option<[f64; 2]>,
    /// Processor time for each record in microseconds: of the client, and of the server. Java's producers send what they
    /// have queued after the measurement too, so it says nothing of them.
    pub(crate) cpu: Option<[f64; 2]>,
}

/// How much is done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) time: Duration,
    pub(crate) consumed: u64,
    pub(crate) deliveries: usize,
}

impl Row {
    pub(crate) const ALL: [Row; 9] = [
        Row::One,
        Row::Produce { producers: 1, partitions: 1 },
        Row::Produce { producers: 1, partitions: PARTITIONS },
        Row::Produce { producers: 16, partitions: PARTITIONS },
        Row::Consume,
        Row::EndToEnd,
        Row::JavaProduce { producers: 1 },
        Row::JavaProduce { producers: 16 },
        Row::JavaConsume,
    ];

    pub(crate) fn name(self) -> String {
        match self {
            Row::Produce { producers, partitions } => {
                let (s, of) = (plural(producers), plural(partitions.unsigned_abs() as usize));
                format!("produce: {producers} producer{s}, {partitions} partition{of}")
            }
            Row::One => "produce: one record in flight".to_owned(),
            Row::Consume => "consume".to_owned(),
            Row::EndToEnd => "end to end".to_owned(),
            Row::JavaProduce { producers } => {
                let s = plural(producers);
                format!("Java produce: {producers} producer{s}, {PARTITIONS} partitions")
            }
            Row::JavaConsume => "Java consume".to_owned(),
        }
    }

    /// Whether it needs Java's client.
    pub(crate) fn is_by_java(self) -> bool {
        matches!(self, Row::JavaProduce { .. } | Row::JavaConsume)
    }

    /// Creates and fills its topic.
    pub(crate) async fn prepare(self, system: &System, size: Size) -> anyhow::Result<()> {
        let partitions = match self {
            Row::Produce { partitions, .. } => partitions,
            _ => PARTITIONS,
        };
        system.create_topic(&self.topic(), partitions).await?;
        if matches!(self, Row::Consume | Row::JavaConsume) {
            let mut producer =
                Producer::new(system, &self.topic(), partitions, BATCH, IN_FLIGHT).await?;
            producer.fill(size.consumed).await?;
        }
        Ok(())
    }

    /// Measures a system.
    pub(crate) async fn measure(
        self,
        system: &System,
        java: &mut Option<Java>,
        size: Size,
    ) -> anyhow::Result<Measurement> {
        let topic = self.topic();
        let seconds = size.time.as_secs_f64();
        match self {
            Row::Produce { producers, partitions } => {
                let shape = (partitions, BATCH, IN_FLIGHT);
                produce(system, &topic, producers, shape, size.time).await
            }
            Row::One => produce(system, &topic, 1, (PARTITIONS, 1, 1), size.time).await,
            Row::Consume => consume(system, &topic, size.consumed).await,
            Row::EndToEnd => end_to_end(system, &topic, size.deliveries).await,
            Row::JavaProduce { producers } => {
                let seconds = seconds.max(LEAST_OF_JAVA);
                let words = format!("{topic} {producers} {seconds} {VALUE}");
                let (produced, _) = by_java(system, java, "produce", &words)?;
                Ok(Measurement { cpu: None, ..produced })
            }
            Row::JavaConsume => {
                let words = format!("{topic} {}", size.consumed);
                let (consumed, seconds) = by_java(system, java, "consume", &words)?;
                let cpu = seconds.map(|seconds| seconds * 1e6 / size.consumed as f64);
                Ok(Measurement { cpu: Some(cpu), ..consumed })
            }
        }
    }

    fn topic(self) -> String {
        let name = self.name();
        let words = name.split(|letter: char| !letter.is_ascii_alphanumeric());
        words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join("_")
    }
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

async fn produce(
    system: &System,
    topic: &str,
    producers: usize,
    (partitions, records, in_flight): (i32, usize, usize),
    time: Duration,
) -> anyhow::Result<Measurement> {
    let mut all = Vec::new();
    for _ in 0..producers {
        all.push(Producer::new(system, topic, partitions, records, in_flight).await?);
    }
    let warm = Instant::now() + time.mul_f64(WARM_UP);
    let all = run_all(all, warm).await?.into_iter().map(|(producer, _)| producer).collect();
    let (before, started) = (cpu(system)?, Instant::now());
    let done = run_all(all, started + time).await?;
    let took = started.elapsed().as_secs_f64();
    let latencies: Vec<Duration> = done.into_iter().flat_map(|(_, latencies)| latencies).collect();
    ensure!(!latencies.is_empty(), "no batch was answered in time");
    let count = (latencies.len() * records) as f64;
    let rate = Some(count / took);
    Ok(Measurement {
        rate,
        latency: percentiles(latencies),
        cpu: Some(since(system, before, count)?),
    })
}

async fn run_all(
    producers: Vec<Producer>,
    until: Instant,
) -> anyhow::Result<Vec<(Producer, Vec<Duration>)>> {
    let run = |mut producer: Producer| {
        tokio::spawn(async move {
            let latencies = producer.run(until).await?;
            anyhow::Ok((producer, latencies))
        })
    };
    let running: Vec<_> = producers.into_iter().map(run).collect();
    let mut done = Vec::new();
    for one in running {
        done.push(one.await??);
    }
    Ok(done)
}

async fn consume(system: &System, topic: &str, records: u64) -> anyhow::Result<Measurement> {
    let mut consumer = Consumer::new(system, topic, PARTITIONS as usize).await?;
    let (before, started, mut count) = (cpu(system)?, Instant::now(), 0);
    while count < records {
        count += consumer.next().await?.0;
    }
    let rate = Some(count as f64 / started.elapsed().as_secs_f64());
    Ok(Measurement { rate, latency: None, cpu: Some(since(system, before, count as f64)?) })
}

async fn end_to_end(system: &System, topic: &str, times: usize) -> anyhow::Result<Measurement> {
    let mut producer = Producer::new(system, topic, PARTITIONS, 1, 2).await?;
    let mut consumer = Consumer::new(system, topic, PARTITIONS as usize).await?;
    let warm = (times as f64 * WARM_UP) as usize;
    // What the rounds before have left.
    while consumer.next().await?.0 > 0 {}
    let (mut before, mut latencies) = (cpu(system)?, Vec::new());
    for number in 0..warm + times {
        if number == warm {
            before = cpu(system)?;
        }
        let at = Instant::now();
        producer.send().await?;
        while consumer.next().await?.0 == 0 {}
        if number >= warm {
            latencies.push(at.elapsed());
        }
        producer.answered().await?;
    }
    let cpu = Some(since(system, before, times as f64)?);
    Ok(Measurement { rate: None, latency: percentiles(latencies), cpu })
}

/// Lets Java produce or consume. Returns its rate, and the processor time in seconds: its own, and the server's.
fn by_java(
    system: &System,
    java: &mut Option<Java>,
    what: &str,
    words: &str,
) -> anyhow::Result<(Measurement, [f64; 2])> {
    let java = java.as_mut().context("Java is not running")?;
    let before = [java.processor_time(), system.processor_time()?];
    let found = java.run(&format!("{what} {} {words}", system.bootstrap()))?;
    let after = [java.processor_time(), system.processor_time()?];
    let rate = Some(*found.first().context("Java gives no rate")?);
    let latency = found.get(1).zip(found.get(2)).map(|(p50, p99)| [*p50, *p99]);
    let took = [after[0] - before[0], after[1] - before[1]];
    Ok((Measurement { rate, latency, cpu: None }, took))
}

fn cpu(system: &System) -> anyhow::Result<[f64; 2]> {
    Ok([processor_time("self"), system.processor_time()?])
}

/// Returns the microseconds for each record since an earlier time.
fn since(system: &System, before: [f64; 2], records: f64) -> anyhow::Result<[f64; 2]> {
    let now = cpu(system)?;
    Ok([0, 1].map(|of: usize| (now[of] - before[of]) * 1e6 / records))
}

fn percentiles(mut latencies: Vec<Duration>) -> Option<[f64; 2]> {
    latencies.sort();
    let at = |share: f64| {
        let latency = latencies.get((latencies.len() as f64 * share) as usize);
        latency.map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e3)
    };
    Some([at(0.5), at(0.99)])
}
