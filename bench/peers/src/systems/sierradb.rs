//! SierraDB's server, twice: with its defaults, and with a sync per append and without compression.

use std::marker::PhantomData;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;
use rustix::process::Signal;
use sierradb_client::{
    AsyncTypedCommands, EAppendOptions, EMAppendEvent, ExpectedVersion, stream_partition_key,
};
use uuid::Uuid;

use crate::get;
use crate::process;
use crate::server::{Server, free_port};
use crate::system::{
    DataSetEvent, Directories, Disk, Event, Mark, Purpose, ReadResult, Session, System, refused,
};
use crate::work::{HUNDRED, Work};

/// The number of partitions of a new store.
const PARTITIONS: u16 = 32;
/// The number of events per request in a replay.
const PAGE: u64 = 1_000;
/// The setting for a sync per append; all others are defaults.
pub(crate) const EACH: &str = "[sync]\nmax_batch_size = 1\nmin_bytes = 1\n";
/// The setting that saves processor time: compression gains nothing on random letters.
pub(crate) const PLAIN: &str = "[segment]\ncompression = false\n";
const TYPE: &str = "Measured";
/// The client's timeout; its default of half a second is too short for an append with default
/// settings.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The settings of a variant.
pub(crate) trait Settings: Send + Sync + 'static {
    const SYNC: &'static str;
    const SEGMENT: &'static str;
}

/// The defaults.
pub(crate) struct Defaults;
/// A sync per append, without compression.
pub(crate) struct Tuned;

impl Settings for Defaults {
    const SYNC: &'static str = "";
    const SEGMENT: &'static str = "";
}

impl Settings for Tuned {
    const SYNC: &'static str = EACH;
    const SEGMENT: &'static str = PLAIN;
}

/// The server.
pub(crate) struct SierraDb<S> {
    server: Server,
    client: redis::Client,
    settings: PhantomData<S>,
}

/// A connection.
pub(crate) struct Connection(MultiplexedConnection);

impl<S: Settings> System for SierraDb<S> {
    type Session = Connection;

    fn cannot(work: Work) -> Option<&'static str> {
        match work {
            Work::Tag | Work::OnTags(_) => Some("SierraDB has no tags"),
            Work::Category => Some("SierraDB has no categories"),
            _ => None,
        }
    }

    async fn open(place: &Directories) -> anyhow::Result<Self> {
        let program = get::sierradb(&place.cache)?;
        std::fs::create_dir_all(&place.data)?;
        let config = place.data.with_extension("toml");
        // Loading waits for syncs too; one sync per batch is the fastest.
        let sync = if place.purpose == Purpose::Load { EACH } else { S::SYNC };
        std::fs::write(&config, format!("{sync}{}", S::SEGMENT))?;
        let port = free_port()?;
        let mut command = Command::new(program);
        command.args(["--cluster-address", "/ip4/127.0.0.1/tcp/0", "--log", "warn"]);
        command.arg("--client-address").arg(format!("127.0.0.1:{port}"));
        command.arg("--dir").arg(&place.data).arg("--config").arg(config);
        let mut server = Server::start(command, &place.data, Signal::TERM)?;
        let client = redis::Client::open(format!("redis://127.0.0.1:{port}/?protocol=resp3"))?;
        let look = async || {
            let mut connection = client.get_multiplexed_async_connection().await.ok()?;
            connection.ping().await.ok()
        };
        server.ready(look).await?;
        Ok(SierraDb { server, client, settings: PhantomData })
    }

    async fn session(&self) -> anyhow::Result<Connection> {
        let patient = AsyncConnectionConfig::new().set_response_timeout(Some(TIMEOUT));
        let connection = self.client.get_multiplexed_async_connection_with_config(&patient);
        Ok(Connection(connection.await?))
    }

    fn server(&self) -> Option<u32> {
        Some(self.server.id())
    }

    /// Its segments have their full size from the first event on.
    fn disk_bytes(place: &Directories) -> anyhow::Result<Disk> {
        let (used, all) = (process::used(&place.data)?, process::allocated(&place.data)?);
        Ok(Disk { data: used, reserve: all.saturating_sub(used) })
    }

    async fn close(self) -> anyhow::Result<()> {
        self.server.close().await
    }
}

/// Returns the partition key. Streams whose names differ only in the last part share a partition,
/// because an append to several streams must stay in one.
fn partition_key(stream: &str) -> Uuid {
    stream_partition_key(stream.rsplit_once('-').map_or(stream, |(first, _)| first))
}

/// Returns an id with 16 bits of the partition key, which SierraDB requires.
fn id_for(key: Uuid, id: Uuid) -> Uuid {
    const BITS: u128 = 0xffff << 46;
    Uuid::from_u128(id.as_u128() & !BITS | key.as_u128() & BITS)
}

fn version(expected: Mark) -> ExpectedVersion {
    expected.map_or(ExpectedVersion::Empty, ExpectedVersion::Exact)
}

impl Session for Connection {
    async fn append_single(
        &mut self,
        stream: &str,
        expected: Mark,
        event: Event,
    ) -> anyhow::Result<Mark> {
        let key = partition_key(stream);
        let options = EAppendOptions::new()
            .event_id(id_for(key, event.id))
            .partition_key(key)
            .expected_version(version(expected))
            .payload(event.data.as_ref());
        Ok(Some(self.0.eappend(stream, TYPE, options).await?.stream_version))
    }

    async fn append_batch(
        &mut self,
        stream: &str,
        expected: Mark,
        events: Vec<Event>,
    ) -> anyhow::Result<Mark> {
        let key = partition_key(stream);
        let next = expected.map_or(0, |version| version + 1);
        let of = |(event, at): (&Event, u64)| {
            EMAppendEvent::new(stream.to_owned(), TYPE)
                .event_id(id_for(key, event.id))
                .expected_version(ExpectedVersion::from_next_version(at))
                .payload(event.data.to_vec())
        };
        let all: Vec<EMAppendEvent<'_>> = events.iter().zip(next..).map(of).collect();
        let done = self.0.emappend(key, &all).await?;
        Ok(Some(done.events.last().context("a batch without events")?.stream_version))
    }

    async fn append_on_tags(&mut self, _: [&str; 2], _: Mark, _: Event) -> anyhow::Result<Mark> {
        refused()
    }

    async fn read_stream(&mut self, stream: &str) -> anyhow::Result<ReadResult> {
        let key = partition_key(stream);
        let hundred = Some(HUNDRED as u64);
        let batch = self.0.escan_with_partition_key(stream, key, 0, None, hundred).await?;
        let mut seen = ReadResult::default();
        batch.events.iter().for_each(|event| seen.add(event.payload.len()));
        Ok(seen)
    }

    async fn query_category(&mut self, _: &str) -> anyhow::Result<ReadResult> {
        refused()
    }

    async fn query_tags(&mut self, _: &str) -> anyhow::Result<ReadResult> {
        refused()
    }

    async fn replay(&mut self, limit: u64) -> anyhow::Result<ReadResult> {
        let mut seen = ReadResult::default();
        for partition in 0..PARTITIONS {
            let mut next = 0;
            loop {
                let batch = self.0.epscan_by_id(partition, next, None, Some(PAGE)).await?;
                batch.events.iter().for_each(|event| seen.add(event.payload.len()));
                let Some(last) = batch.events.last().filter(|_| batch.has_more) else { break };
                next = last.partition_sequence + 1;
            }
            if seen.events >= limit {
                break;
            }
        }
        Ok(seen)
    }

    async fn load(&mut self, chunk: Vec<DataSetEvent>) -> anyhow::Result<()> {
        let key = partition_key(&chunk.first().context("an empty chunk")?.stream);
        let of = |one: &DataSetEvent| {
            EMAppendEvent::new(one.stream.clone(), TYPE)
                .event_id(id_for(key, one.event.id))
                .expected_version(ExpectedVersion::from_next_version(one.version))
                .payload(one.event.data.to_vec())
        };
        let all: Vec<EMAppendEvent<'_>> = chunk.iter().map(of).collect();
        self.0.emappend(key, &all).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_carries_the_bits_of_its_partition() {
        let (key, id) = (partition_key("c1-2"), Uuid::from_u128(u128::MAX));
        let made = id_for(key, id).as_u128();
        assert_eq!(made >> 46 & 0xffff, key.as_u128() >> 46 & 0xffff);
        assert_eq!(made | 0xffff << 46, u128::MAX);
        assert_eq!(key, partition_key("c1-9"));
    }
}
