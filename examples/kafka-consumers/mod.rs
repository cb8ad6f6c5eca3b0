#![doc = include_str!("README.md")]

mod consumers;
mod night;

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use leftfold::{Embedded, Options};
use leftfold_kafka::{Batch, Client, FetchOptions, KafkaError, Partition, Record, StoredRecord};
use leftfold_server::{Config, Server};

use self::consumers::{read_all, tell_consumers};
use crate::running::heading;

/// The topic: the events of all accounts.
const TOPIC: &str = "account";
/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs the example on a store in a directory, and writes the output that the README shows.
pub fn story(dir: &Path, out: &mut dyn Write) -> anyhow::Result<()> {
    let store = Arc::new(Embedded::open(dir, Options::default())?);
    heading(out, "the night of the demo")?;
    let entries = night::ingest_night(&store)?;
    writeln!(out, "{entries} entries of accounts are events")?;

    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut config = Config::default();
    config.listen.set_port(0);
    config.kafka_listen = Some(([127, 0, 0, 1], 0).into());
    let server = runtime.block_on(Server::start(config, store))?;
    let address = server.kafka_addr().context("the server has no listener for Kafka's clients")?;
    let told = runtime.block_on(async {
        let client = Client::new(&address.to_string(), PATIENCE)?;
        heading(out, "three consumers read the topic")?;
        let records = tell_consumers(&client, &address.to_string(), out).await?;
        heading(out, "two tellers have read the same account")?;
        tell_tellers(&client, &records, out).await
    });
    runtime.block_on(server.shutdown());
    told
}

/// Two tellers note something on an account, and both expect that it is as they have read it.
async fn tell_tellers(
    client: &Client,
    records: &[(Partition, StoredRecord)],
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let first = records.iter().filter(|(_, record)| record.record.key.is_some());
    let first = first.min_by_key(|(_, record)| record.record.key.clone());
    let (partition, first) = first.context("there are no records")?;
    let key = first.record.key.clone().unwrap_or_default();
    let of_account =
        records.iter().rev().find(|(_, record)| record.record.key == Some(key.clone()));
    let version = of_account.and_then(|(_, last)| last.record.find_header(b"stream-version"));
    let version = version.context("the record has no header stream-version")?;
    for teller in ["the first teller", "the second teller"] {
        match note(client, partition, &key, version).await {
            Ok(()) => writeln!(out, "{teller}: written")?,
            Err(KafkaError::Refused { code, message, .. }) => {
                writeln!(out, "{teller}: {code:?}: {message}")?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    let all = read_all(client).await?;
    let notes = all.iter().filter(|(_, record)| {
        record.record.find_header(b"ce_type").is_some_and(|name| name == "AccountNoted")
    });
    writeln!(out, "{} note is in the topic", notes.count())?;
    Ok(())
}

/// Produces one record, on the condition that its stream ends with this version.
async fn note(
    client: &Client,
    partition: &Partition,
    key: &Bytes,
    version: &Bytes,
) -> Result<(), KafkaError> {
    let record = Record { key: Some(key.clone()), ..Record::new(r#"{"note":"called"}"#) };
    let record = record.header("type", "AccountNoted").header("expected-version", version.clone());
    // The time of an event that says nothing of it.
    const NO_TIME: i64 = -1;
    let batch = Batch::of(NO_TIME, [record]).encode();
    let leader = client.leader(partition).await?;
    leader.produce(partition, batch, PATIENCE)?.wait().await.map(|_| ())
}

/// Returns the options of a Fetch that does not wait for further records.
fn at_once() -> FetchOptions {
    FetchOptions { least_bytes: 0, ..FetchOptions::default() }
}
