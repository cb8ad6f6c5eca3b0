//! The systems that are compared: each a process that answers Kafka's protocol.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use leftfold_bench::process::{ServerProcess, memory, processor_time};
use leftfold_kafka::{Client, Connection, Isolation, NewTopic, OffsetSpec, Partition};
use leftfold_kafka_broker::{Cluster, Options, Tuning};

/// The most time for an answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// The time between two looks at a new topic.
const POLL: Duration = Duration::from_millis(10);
/// The number of the only broker.
const BROKER: &str = "node-1";

/// Which system, and how durable it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Apache Kafka as it comes: the kernel writes to the disk when it likes.
    Kafka,
    /// Apache Kafka that syncs after each batch.
    KafkaFlushed,
    /// Leftfold, which syncs before it answers.
    Leftfold,
}

/// A running system.
pub(crate) struct System {
    pub(crate) kind: Kind,
    process: Process,
    bootstrap: String,
}

/// A process, for as long as it is to run.
enum Process {
    Kafka(Box<Cluster>),
    Leftfold(Box<ServerProcess>),
}

impl Kind {
    pub(crate) const ALL: [Kind; 3] = [Kind::Kafka, Kind::KafkaFlushed, Kind::Leftfold];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Kafka => "Kafka",
            Kind::KafkaFlushed => "Kafka, log.flush.interval.messages=1",
            Kind::Leftfold => "Leftfold",
        }
    }
}

impl System {
    /// Starts a system with its data below a directory. Returns also how long it took from the start of the process to the
    /// first answer.
    pub(crate) async fn start(kind: Kind, directory: &Path) -> anyhow::Result<(Self, Duration)> {
        match kind {
            Kind::Kafka => start_kafka(kind, Options::default()),
            Kind::KafkaFlushed => {
                start_kafka(kind, Options::default().set("log.flush.interval.messages", "1"))
            }
            Kind::Leftfold => start_leftfold(directory).await,
        }
    }

    /// Returns its address for clients.
    pub(crate) fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Returns a client with connections of its own.
    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        Ok(Client::new(&self.bootstrap, PATIENCE)?)
    }

    /// Opens a connection.
    pub(crate) async fn connect(&self) -> anyhow::Result<Connection> {
        Ok(Connection::open(&self.bootstrap.parse()?, PATIENCE).await?)
    }

    /// Creates a topic, and waits until it can be used.
    pub(crate) async fn create_topic(&self, name: &str, partitions: i32) -> anyhow::Result<()> {
        let client = self.client()?;
        let topic =
            NewTopic { name: name.to_owned(), partitions, replication: None, settings: Vec::new() };
        client.create_topic(&topic, PATIENCE).await?;
        while !client.describe_topic(name).await?.is_some_and(|topic| topic.has_leaders) {
            tokio::time::sleep(POLL).await;
        }
        // A broker may be named as the leader before it knows that it is.
        let connection = self.connect().await?;
        for number in 0..partitions {
            let partition = Partition::new(name, number);
            while let Err(error) =
                connection.offset(&partition, OffsetSpec::Latest, Isolation::Uncommitted).await
            {
                ensure!(error.is_retriable(), error);
                tokio::time::sleep(POLL).await;
            }
        }
        Ok(())
    }

    /// Returns the resident memory, in bytes.
    pub(crate) fn memory(&self) -> anyhow::Result<u64> {
        Ok(memory(&self.number()?))
    }

    /// Returns the processor time so far, in seconds.
    pub(crate) fn processor_time(&self) -> anyhow::Result<f64> {
        Ok(processor_time(&self.number()?))
    }

    fn number(&self) -> anyhow::Result<String> {
        match &self.process {
            Process::Kafka(cluster) => {
                let file = cluster.directory().join(BROKER).join("pid");
                let number = fs::read_to_string(&file);
                Ok(number.with_context(|| format!("reading {}", file.display()))?.trim().to_owned())
            }
            Process::Leftfold(server) => Ok(server.number().to_string()),
        }
    }
}

fn start_kafka(kind: Kind, options: Options) -> anyhow::Result<(System, Duration)> {
    let cluster = Cluster::start(&Options { tuning: Tuning::Speed, ..options })?;
    let (took, bootstrap) = (cluster.timings().ready, cluster.bootstrap());
    Ok((System { kind, process: Process::Kafka(Box::new(cluster)), bootstrap }, took))
}

async fn start_leftfold(directory: &Path) -> anyhow::Result<(System, Duration)> {
    let started = Instant::now();
    let server = ServerProcess::start_with(directory, &["--kafka", "127.0.0.1:0"])?;
    let bootstrap = server.kafka().context("the server listens for no Kafka clients")?.to_owned();
    let process = Process::Leftfold(Box::new(server));
    let system = System { kind: Kind::Leftfold, process, bootstrap };
    // It asks for the versions, as all clients do first, and then what there is.
    system.connect().await?;
    system.client()?.describe_topic("none").await?;
    Ok((system, started.elapsed()))
}
