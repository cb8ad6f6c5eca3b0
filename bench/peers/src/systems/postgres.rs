//! PostgreSQL, the plain way: one table, and a unique index that refuses a second event of the same
//! version. Also the server, which message-db shares.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, bail};
use bytes::Bytes;
use futures::TryStreamExt;
use rustix::process::Signal;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls, Statement};
use uuid::Uuid;

use crate::get;
use crate::process;
use crate::server::{Server, Shared};
use crate::system::{
    DataSetEvent, Directories, Disk, Event, Mark, Purpose, ReadResult, Session, System, refused,
};
use crate::work::Work;

/// Durable, with room: no checkpoint happens during a measurement, and no sort goes to disk.
pub(crate) const SETTINGS: [(&str, &str); 13] = [
    ("fsync", "on"),
    ("synchronous_commit", "on"),
    ("full_page_writes", "on"),
    ("wal_sync_method", "fdatasync"),
    ("wal_level", "minimal"),
    ("max_wal_senders", "0"),
    ("max_wal_size", "8GB"),
    ("checkpoint_timeout", "1h"),
    ("shared_buffers", "512MB"),
    ("work_mem", "64MB"),
    ("max_connections", "100"),
    ("listen_addresses", ""),
    ("timezone", "UTC"),
];
/// The number of connections that all appenders share. More server processes would only slow each
/// other down; the requests of one connection are committed one after the other.
pub(crate) const CONNECTIONS: usize = 64;
const USER: &str = "leftfold";
const TABLE: &str = "
    CREATE TABLE events (
        position bigserial PRIMARY KEY,
        stream text COLLATE \"C\" NOT NULL,
        version bigint NOT NULL,
        id uuid NOT NULL,
        type text NOT NULL,
        data bytea NOT NULL,
        time timestamptz NOT NULL DEFAULT now()
    );
    CREATE UNIQUE INDEX events_stream ON events (stream, version);";

/// A server on a socket of its own, run by an unprivileged account.
pub(crate) struct Cluster {
    server: Server,
    socket: tempfile::TempDir,
}

impl Cluster {
    /// Starts the server; returns true if its data directory is new.
    pub(crate) async fn start(place: &Directories) -> anyhow::Result<(Cluster, bool)> {
        let bin = get::postgres_bin()?;
        let account = Account::find()?;
        let fresh = !place.data.join("PG_VERSION").exists();
        if fresh {
            std::fs::create_dir_all(&place.data)?;
            account.give(&place.data)?;
            init(&bin, &place.data, &account)?;
        }
        let socket = tempfile::Builder::new().prefix("leftfold-pg").tempdir()?;
        account.give(socket.path())?;
        let mut command = Command::new(bin.join("postgres"));
        command.arg("-D").arg(&place.data).arg("-k").arg(socket.path());
        for (name, value) in SETTINGS {
            let relaxed = place.purpose == Purpose::Load && name == "synchronous_commit";
            let value = if relaxed { "off" } else { value };
            command.arg("-c").arg(format!("{name}={value}"));
        }
        account.run(&mut command);
        // SIGINT is the fast shutdown: it ends connections and writes a checkpoint.
        let server = Server::start(command, &place.data, Signal::INT)?;
        let mut cluster = Cluster { server, socket };
        let path = cluster.socket.path().to_owned();
        cluster.server.ready(async || connect(&path, "postgres").await.ok()).await?;
        Ok((cluster, fresh))
    }

    pub(crate) async fn connect(&self, database: &str) -> anyhow::Result<Client> {
        connect(self.socket.path(), database).await
    }

    pub(crate) fn id(&self) -> u32 {
        self.server.id()
    }

    pub(crate) async fn close(self) -> anyhow::Result<()> {
        self.server.close().await
    }
}

/// Returns the bytes on disk. Files of tables and indexes have numbers for names; those created
/// after the database begin at 16384. The journal is overwritten, whatever was stored. The rest is
/// catalogs, whose size does not depend on the events.
pub(crate) fn disk(place: &Directories) -> anyhow::Result<Disk> {
    const FIRST_OWN: u64 = 16_384;
    let own = |path: &Path| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let number = name.as_deref().and_then(|name| name.split(['.', '_']).next());
        number.and_then(|number| number.parse().ok()).is_some_and(|number: u64| number >= FIRST_OWN)
    };
    let data = process::allocated_by(&place.data.join("base"), own)?;
    Ok(Disk { data, reserve: process::allocated(&place.data)?.saturating_sub(data) })
}

async fn connect(socket: &Path, database: &str) -> anyhow::Result<Client> {
    let mut config = tokio_postgres::Config::new();
    config.host_path(socket).user(USER).dbname(database);
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

fn init(bin: &Path, data: &Path, account: &Account) -> anyhow::Result<()> {
    let mut command = Command::new(bin.join("initdb"));
    command.args(["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]);
    command.arg("--username").arg(USER).arg("-D").arg(data);
    account.run(&mut command);
    let output = command.output().context("starting initdb")?;
    if !output.status.success() {
        bail!("initdb failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// The account that runs the server: PostgreSQL refuses to run as root.
struct Account(Option<(u32, u32)>);

impl Account {
    fn find() -> anyhow::Result<Account> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Account(None));
        }
        let accounts = std::fs::read_to_string("/etc/passwd")?;
        let find = |name: &str| {
            let line = accounts.lines().find(|line| line.split(':').next() == Some(name))?;
            let mut numbers = line.split(':').skip(2).map(str::parse::<u32>);
            Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
        };
        let found = find("postgres").or_else(|| find("nobody"));
        Ok(Account(Some(found.context("PostgreSQL can't be run by root, and there is no other")?)))
    }

    fn give(&self, path: &Path) -> anyhow::Result<()> {
        let Some((user, group)) = self.0 else { return Ok(()) };
        Ok(chown(path, Some(user), Some(group))?)
    }

    fn run(&self, command: &mut Command) {
        let Some((user, group)) = self.0 else { return };
        command.uid(user).gid(group).current_dir(PathBuf::from("/"));
    }
}

/// One table with a unique index.
pub(crate) struct Postgres {
    cluster: Cluster,
    connections: Shared<Prepared>,
}

/// A share of a connection.
pub(crate) struct Connection(Arc<Prepared>);

/// A connection with its statements prepared.
pub(crate) struct Prepared {
    client: Client,
    append: Statement,
    batch: Statement,
    stream: Statement,
    category: Statement,
    replay: Statement,
    load: Statement,
}

const NO_TAGS: &str = "The table has no index on tags; with one every append would pay for it";

impl System for Postgres {
    type Session = Connection;

    fn cannot(work: Work) -> Option<&'static str> {
        match work {
            Work::Tag | Work::OnTags(_) => Some(NO_TAGS),
            _ => None,
        }
    }

    async fn open(place: &Directories) -> anyhow::Result<Self> {
        let (cluster, fresh) = Cluster::start(place).await?;
        if fresh {
            cluster.connect("postgres").await?.batch_execute(TABLE).await?;
        }
        Ok(Postgres { cluster, connections: Shared::new(CONNECTIONS) })
    }

    async fn session(&self) -> anyhow::Result<Connection> {
        Ok(Connection(self.connections.get(prepare(&self.cluster)).await?))
    }

    fn server(&self) -> Option<u32> {
        Some(self.cluster.id())
    }

    fn disk_bytes(place: &Directories) -> anyhow::Result<Disk> {
        disk(place)
    }

    async fn close(self) -> anyhow::Result<()> {
        self.cluster.close().await
    }
}

async fn prepare(cluster: &Cluster) -> anyhow::Result<Prepared> {
    let client = cluster.connect("postgres").await?;
    let read = "SELECT position, stream, version, id, type, data FROM events";
    Ok(Prepared {
        append: client
            .prepare(
                "INSERT INTO events (stream, version, id, type, data) VALUES ($1, $2, $3, $4, $5)",
            )
            .await?,
        batch: client
            .prepare(
                "INSERT INTO events (stream, version, id, type, data) \
                 SELECT $1, $2 + n - 1, id, $3, data \
                 FROM unnest($4::uuid[], $5::bytea[]) WITH ORDINALITY AS given (id, data, n)",
            )
            .await?,
        stream: client.prepare(&format!("{read} WHERE stream = $1 ORDER BY version")).await?,
        category: client
            .prepare(&format!("{read} WHERE stream >= $1 AND stream < $2 ORDER BY position"))
            .await?,
        replay: client.prepare(&format!("{read} ORDER BY position LIMIT $1")).await?,
        load: client
            .prepare(
                "INSERT INTO events (stream, version, id, type, data) \
                 SELECT stream, version, id, $1, data \
                 FROM unnest($2::text[], $3::bigint[], $4::uuid[], $5::bytea[]) \
                 AS given (stream, version, id, data)",
            )
            .await?,
        client,
    })
}

/// Reads all rows of an answer as they arrive.
pub(crate) async fn rows(
    client: &Client,
    statement: &Statement,
    parameters: &[&(dyn ToSql + Sync)],
    payload: &str,
) -> anyhow::Result<ReadResult> {
    let rows = client.query_raw(statement, parameters.iter().copied()).await?;
    futures::pin_mut!(rows);
    let mut seen = ReadResult::default();
    while let Some(row) = rows.try_next().await? {
        // Text and bytes are both slices of the answer.
        let bytes = match row.try_get::<_, &[u8]>(payload) {
            Ok(bytes) => bytes.len(),
            Err(_) => row.try_get::<_, &str>(payload)?.len(),
        };
        seen.add(bytes);
    }
    Ok(seen)
}

const TYPE: &str = "Measured";

impl Session for Connection {
    async fn append_single(
        &mut self,
        stream: &str,
        expected: Mark,
        event: Event,
    ) -> anyhow::Result<Mark> {
        let version = next(expected);
        let data: &[u8] = &event.data;
        let written = self
            .0
            .client
            .execute(&self.0.append, &[&stream, &version, &event.id, &TYPE, &data])
            .await?;
        anyhow::ensure!(written == 1, "one event gave {written} rows");
        Ok(Some(version as u64))
    }

    async fn append_batch(
        &mut self,
        stream: &str,
        expected: Mark,
        events: Vec<Event>,
    ) -> anyhow::Result<Mark> {
        let first = next(expected);
        let ids: Vec<Uuid> = events.iter().map(|event| event.id).collect();
        let data: Vec<&[u8]> = events.iter().map(|event| event.data.as_ref()).collect();
        let written =
            self.0.client.execute(&self.0.batch, &[&stream, &first, &TYPE, &ids, &data]).await?;
        anyhow::ensure!(written == events.len() as u64, "a batch gave {written} rows");
        Ok(Some(first as u64 + written - 1))
    }

    async fn append_on_tags(&mut self, _: [&str; 2], _: Mark, _: Event) -> anyhow::Result<Mark> {
        refused()
    }

    async fn read_stream(&mut self, stream: &str) -> anyhow::Result<ReadResult> {
        rows(&self.0.client, &self.0.stream, &[&stream], "data").await
    }

    async fn query_category(&mut self, category: &str) -> anyhow::Result<ReadResult> {
        // The names of a category's streams are between "name-" and the character after the dash.
        let (first, end) = (format!("{category}-"), format!("{category}."));
        rows(&self.0.client, &self.0.category, &[&first, &end], "data").await
    }

    async fn query_tags(&mut self, _: &str) -> anyhow::Result<ReadResult> {
        refused()
    }

    async fn replay(&mut self, limit: u64) -> anyhow::Result<ReadResult> {
        rows(&self.0.client, &self.0.replay, &[&(limit as i64)], "data").await
    }

    async fn load(&mut self, chunk: Vec<DataSetEvent>) -> anyhow::Result<()> {
        let streams: Vec<&str> = chunk.iter().map(|one| one.stream.as_str()).collect();
        let versions: Vec<i64> = chunk.iter().map(|one| one.version as i64).collect();
        let ids: Vec<Uuid> = chunk.iter().map(|one| one.event.id).collect();
        let data: Vec<&[u8]> = chunk.iter().map(|one| one.event.data.as_ref()).collect();
        self.0.client.execute(&self.0.load, &[&TYPE, &streams, &versions, &ids, &data]).await?;
        Ok(())
    }
}

/// Returns the version of the next event.
fn next(expected: Mark) -> i64 {
    expected.map_or(0, |version| version as i64 + 1)
}

/// Returns a payload as JSON of the same length, for systems that accept only JSON.
pub(crate) fn json(data: &Bytes) -> anyhow::Result<String> {
    const AROUND: usize = r#"{"data":""}"#.len();
    let letters = data.get(..data.len().saturating_sub(AROUND)).unwrap_or_default();
    Ok(format!(r#"{{"data":"{}"}}"#, std::str::from_utf8(letters)?))
}
