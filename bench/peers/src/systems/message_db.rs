//! message-db: that project's SQL functions on PostgreSQL. Payloads are JSON. It takes a lock per
//! category, so that each category's events become visible in order.

use std::sync::Arc;

use anyhow::Context;
use tokio_postgres::{Client, Statement};

use super::postgres::{self, CONNECTIONS, Cluster, json, rows};
use crate::get;
use crate::server::Shared;
use crate::system::{
    DataSetEvent, Directories, Disk, Event, Mark, ReadResult, Session, System, refused,
};
use crate::work::Work;

/// In the order of the project's own script.
const SCRIPTS: [&str; 20] = [
    "roles/message-store.sql",
    "schema/message-store.sql",
    "extensions/pgcrypto.sql",
    "tables/messages.sql",
    "types/message.sql",
    "functions/message-store-version.sql",
    "functions/hash-64.sql",
    "functions/acquire-lock.sql",
    "functions/category.sql",
    "functions/is-category.sql",
    "functions/id.sql",
    "functions/cardinal-id.sql",
    "functions/stream-version.sql",
    "functions/write-message.sql",
    "functions/get-stream-messages.sql",
    "functions/get-category-messages.sql",
    "functions/get-last-stream-message.sql",
    "indexes/messages-category.sql",
    "indexes/messages-id.sql",
    "indexes/messages-stream.sql",
];
const PATH: &str = "ALTER ROLE leftfold SET search_path TO message_store, public;
    SET search_path TO message_store, public;";
const TYPE: &str = "Measured";

/// The server with the functions installed.
pub(crate) struct MessageDb {
    cluster: Cluster,
    connections: Shared<Prepared>,
}

/// A share of a connection. A batch uses a connection alone: there are never more batches than
/// connections.
pub(crate) struct Connection(Arc<Prepared>);

/// A connection with its statements prepared.
pub(crate) struct Prepared {
    client: Client,
    write: Statement,
    stream: Statement,
    category: Statement,
    replay: Statement,
}

impl System for MessageDb {
    type Session = Connection;

    fn cannot(work: Work) -> Option<&'static str> {
        match work {
            Work::Tag | Work::OnTags(_) => Some("message-db has no tags"),
            _ => None,
        }
    }

    async fn open(place: &Directories) -> anyhow::Result<Self> {
        let sql = get::message_db(&place.cache)?;
        let (cluster, fresh) = Cluster::start(place).await?;
        if fresh {
            let client = cluster.connect("postgres").await?;
            client.batch_execute(PATH).await?;
            for script in SCRIPTS {
                let text = std::fs::read_to_string(sql.join(script))
                    .with_context(|| format!("reading message-db's {script}"))?;
                client.batch_execute(&text).await.with_context(|| format!("running {script}"))?;
            }
        }
        Ok(MessageDb { cluster, connections: Shared::new(CONNECTIONS) })
    }

    async fn session(&self) -> anyhow::Result<Connection> {
        Ok(Connection(self.connections.get(prepare(&self.cluster)).await?))
    }

    fn server(&self) -> Option<u32> {
        Some(self.cluster.id())
    }

    fn disk_bytes(place: &Directories) -> anyhow::Result<Disk> {
        postgres::disk(place)
    }

    async fn close(self) -> anyhow::Result<()> {
        self.cluster.close().await
    }
}

async fn prepare(cluster: &Cluster) -> anyhow::Result<Prepared> {
    let client = cluster.connect("postgres").await?;
    Ok(Prepared {
        write: client
            .prepare(
                "SELECT write_message($1::varchar, $2::varchar, $3::varchar, \
                 $4::text::jsonb, NULL::jsonb, $5::bigint)",
            )
            .await?,
        stream: client
            .prepare("SELECT * FROM get_stream_messages($1::varchar, 0::bigint, -1::bigint)")
            .await?,
        category: client
            .prepare("SELECT * FROM get_category_messages($1::varchar, 1::bigint, -1::bigint)")
            .await?,
        replay: client
            .prepare(
                "SELECT id, stream_name, type, position, global_position, data::varchar, time \
                 FROM messages ORDER BY global_position LIMIT $1",
            )
            .await?,
        client,
    })
}

impl Prepared {
    /// Calls the function; returns the version that it answers.
    async fn write(&self, stream: &str, expected: i64, event: &Event) -> anyhow::Result<Mark> {
        let (id, data) = (event.id.to_string(), json(&event.data)?);
        let row =
            self.client.query_one(&self.write, &[&id, &stream, &TYPE, &data, &expected]).await?;
        Ok(Some(row.try_get::<_, i64>(0)? as u64))
    }

    /// Writes several events in one transaction, without waiting for each answer.
    async fn write_all(&self, events: &[(&str, i64, &Event)]) -> anyhow::Result<Mark> {
        self.client.batch_execute("BEGIN").await?;
        let writes =
            events.iter().map(|(stream, expected, event)| self.write(stream, *expected, event));
        let written = futures::future::try_join_all(writes).await;
        let end = if written.is_ok() { "COMMIT" } else { "ROLLBACK" };
        self.client.batch_execute(end).await?;
        Ok(written?.into_iter().last().flatten())
    }
}

/// Converts a mark to the function's expected version: -1 for none.
fn version(expected: Mark) -> i64 {
    expected.map_or(-1, |version| version as i64)
}

impl Session for Connection {
    async fn append_single(
        &mut self,
        stream: &str,
        expected: Mark,
        event: Event,
    ) -> anyhow::Result<Mark> {
        self.0.write(stream, version(expected), &event).await
    }

    async fn append_batch(
        &mut self,
        stream: &str,
        expected: Mark,
        events: Vec<Event>,
    ) -> anyhow::Result<Mark> {
        let first = version(expected);
        let all: Vec<_> =
            events.iter().zip(first..).map(|(event, expected)| (stream, expected, event)).collect();
        self.0.write_all(&all).await
    }

    async fn append_on_tags(&mut self, _: [&str; 2], _: Mark, _: Event) -> anyhow::Result<Mark> {
        refused()
    }

    async fn read_stream(&mut self, stream: &str) -> anyhow::Result<ReadResult> {
        rows(&self.0.client, &self.0.stream, &[&stream], "data").await
    }

    async fn query_category(&mut self, category: &str) -> anyhow::Result<ReadResult> {
        rows(&self.0.client, &self.0.category, &[&category], "data").await
    }

    async fn query_tags(&mut self, _: &str) -> anyhow::Result<ReadResult> {
        refused()
    }

    async fn replay(&mut self, limit: u64) -> anyhow::Result<ReadResult> {
        rows(&self.0.client, &self.0.replay, &[&(limit as i64)], "data").await
    }

    async fn load(&mut self, chunk: Vec<DataSetEvent>) -> anyhow::Result<()> {
        let expected = |one: &DataSetEvent| one.version as i64 - 1;
        let all: Vec<_> =
            chunk.iter().map(|one| (one.stream.as_str(), expected(one), &one.event)).collect();
        self.0.write_all(&all).await?;
        Ok(())
    }
}
