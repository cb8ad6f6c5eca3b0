//! The records of a topic become events; the offset behind them moves in the same append.

mod event;
mod feed;
mod intake;
mod offset;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use futures_util::stream::{FuturesUnordered, TryStreamExt};
use leftfold_api::{BoxFuture, EventStore};
use leftfold_kafka::{Client, Partition, TopicDescription};
use serde::Deserialize;
use uuid::Uuid;

use self::event::{EventMaker, check_stream};
use self::feed::Feed;
use self::intake::{Intake, IntakeCounts};
use self::offset::OffsetStream;
use super::failure::describe;
use super::record::check_topic;
use super::security::{SecuritySettings, check_bootstrap, connect};
use crate::connectors::kind::{Check, Run};
use crate::connectors::{ConnectorError, Secrets};

const USUAL_STREAM: &str = "{topic}-{key}";
/// The most partitions of a topic: each has a connection.
const MOST_PARTITIONS: i32 = 500;
/// How often it looks for new partitions.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// The namespace of all ids made here.
const NAMESPACE: Uuid = Uuid::from_u128(0x6c65_6674_666f_6c64_5f6b_6166_6b61_0001);

/// The table `[kafka-source]` of a definition.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KafkaSourceSettings {
    bootstrap: String,
    topic: String,
    /// The name of a record's stream, with `{topic}`, `{key}` and `{partition}`.
    stream: Option<String>,
    /// The type of all events, instead of those that the records name.
    r#type: Option<String>,
    #[serde(default)]
    security: SecuritySettings,
}

impl KafkaSourceSettings {
    /// Checks what can be checked without a connection.
    pub(crate) fn check(&self) -> Result<(), String> {
        check_bootstrap(&self.bootstrap)?;
        self.security.check()?;
        check_topic(&self.topic).map_err(|why| format!("topic: {why}"))?;
        check_stream(self.stream())?;
        match &self.r#type {
            Some(name) => leftfold_api::names::check_new("type", name).map_err(|why| why.message),
            None => Ok(()),
        }
    }

    fn stream(&self) -> &str {
        self.stream.as_deref().unwrap_or(USUAL_STREAM)
    }

    async fn find_topic(&self, client: &Client) -> Result<TopicDescription, ConnectorError> {
        let topic = &self.topic;
        let found = client.describe_topic(topic).await;
        let found = found.map_err(|error| describe(&format!("the topic {topic}"), &error))?;
        match found {
            None => {
                Err(ConnectorError::unavailable(format!("there is no topic {topic}: create it")))
            }
            Some(found) if found.partitions > MOST_PARTITIONS => {
                Err(ConnectorError::unusable(format!(
                    "the topic {topic} has {} partitions, at most {MOST_PARTITIONS} are read",
                    found.partitions
                )))
            }
            Some(found) => Ok(found),
        }
    }
}

/// Runs a connector until an error, or until it is to stop.
pub(crate) async fn run<S: EventStore + 'static>(
    settings: &KafkaSourceSettings,
    run: Run<S>,
) -> Result<(), ConnectorError> {
    let stop = run.stop.clone();
    match select(pin!(read(settings, run)), pin!(stop.wait())).await {
        Either::Left((ended, _)) => ended,
        Either::Right(_) => Ok(()),
    }
}

/// Reads all partitions until an error, or until the topic has more of them.
async fn read<S: EventStore + 'static>(
    settings: &KafkaSourceSettings,
    run: Run<S>,
) -> Result<(), ConnectorError> {
    let client = Arc::new(connect(&settings.bootstrap, &settings.security, &run.secrets)?);
    let topic = settings.find_topic(&client).await?;
    let counts = IntakeCounts::default();
    counts.show(&run.gauges);
    let head = run.store.head().await?;
    let store_partitions = u32::try_from(head.positions().len()).unwrap_or(u32::MAX);
    let maker = EventMaker {
        topic: settings.topic.clone(),
        stream: settings.stream().to_owned(),
        fixed_type: settings.r#type.clone(),
        namespace: Uuid::new_v5(&NAMESPACE, topic.id.as_bytes()),
    };
    let maker = Arc::new(maker);
    let mut feeds = FuturesUnordered::<BoxFuture<'static, Result<(), ConnectorError>>>::new();
    for number in 0..topic.partitions {
        let partition = Partition::new(&settings.topic, number);
        let intake = Intake {
            store: run.store.clone(),
            store_partitions,
            connector: run.definition.name.clone(),
            maker: maker.clone(),
            on_error: run.definition.on_error,
            counts: counts.clone(),
            offset: OffsetStream::load(&*run.store, &run.progress, &partition, topic.id).await?,
        };
        feeds.push(Box::pin(Feed { client: client.clone(), partition, intake }.run()));
    }
    let reading = pin!(async { feeds.try_next().await.map(drop) });
    let grown = pin!(async {
        loop {
            run.time.after(LOOK_EVERY).await;
            let now = settings.find_topic(&client).await?;
            if (now.id, now.partitions) != (topic.id, topic.partitions) {
                return Ok::<(), ConnectorError>(());
            }
        }
    });
    select(reading, grown).await.factor_first().0
}

/// Connects with the brokers and looks at the topic.
pub(crate) async fn check(settings: &KafkaSourceSettings, secrets: &Secrets) -> Check {
    let mut check = Check::default();
    let client = match connect(&settings.bootstrap, &settings.security, secrets) {
        Ok(client) => client,
        Err(error) => {
            check.note("settings and secrets", Err::<String, _>(error));
            return check;
        }
    };
    check.note("settings and secrets", Ok::<_, String>("are as they must be"));
    let reached = client.any().await.map(|broker| format!("{} answers", broker.address()));
    let is_reached = reached.is_ok();
    check.note(format!("the brokers {}", settings.bootstrap), reached);
    if is_reached {
        let found = settings.find_topic(&client).await;
        let found = found.map(|topic| format!("has {} partitions", topic.partitions));
        check.note(format!("the topic {}", settings.topic), found);
    }
    check
}
