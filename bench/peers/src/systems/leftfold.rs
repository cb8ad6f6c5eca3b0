//! Our own store, twice: embedded, and its server with its client.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use anyhow::Context;
use leftfold_api::{
    Append, AppendError, Appended, Cursor, EventStore, Expected, NewEvent, Page, Query, Read,
    ReadError,
};
use leftfold_client::Client;
use leftfold_store::{Embedded, Options};
use rustix::process::Signal;
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::process;
use crate::server::{CONNECTIONS, Server, Shared, free_port};
use crate::system::{DataSetEvent, Directories, Disk, Event, Mark, ReadResult, Session, System};
use crate::work::Work;

/// The store in this process, with its default options.
pub(crate) struct Leftfold(Arc<Embedded>);

/// A server process, and the connections that appenders share.
pub(crate) struct LeftfoldServer {
    server: Server,
    url: String,
    /// The directory of its Unix socket.
    _socket: tempfile::TempDir,
    clients: Shared<Client>,
}

/// The environment variable with the path of the binary.
const PROGRAM: &str = "LEFTFOLD_BINARY";

/// A session. It keeps the last cursor of each pair of tags, because a condition needs a cursor.
pub(crate) struct Caller<S> {
    store: Arc<S>,
    /// Whether the caller has its thread to itself.
    is_alone: bool,
    cursors: Vec<Cursor>,
}

/// A store as a caller uses it that has its thread to itself.
pub(crate) trait Calls: EventStore + 'static {
    fn append_alone(
        &self,
        append: Append,
    ) -> impl Future<Output = Result<Appended, AppendError>> + Send {
        self.append(append)
    }

    fn read_alone(&self, read: Read) -> impl Future<Output = Result<Page, ReadError>> + Send {
        self.read(read)
    }

    /// Reads everything in the order of the log.
    fn replay(&self, limit: u64) -> impl Future<Output = anyhow::Result<ReadResult>> + Send;
}

/// A call of the client runs on the caller's thread if its runtime has no other.
impl Calls for Client {
    /// The next page comes while one is counted.
    async fn replay(&self, limit: u64) -> anyhow::Result<ReadResult> {
        let mut seen = ReadResult::default();
        let mut pages = self.pages(Read::forward(Query::All)).await?;
        while seen.events < limit
            && let Some(page) = pages.next().await?
        {
            page.events.iter().for_each(|event| seen.add(event.data().len()));
        }
        Ok(seen)
    }
}

impl Calls for Embedded {
    async fn append_alone(&self, append: Append) -> Result<Appended, AppendError> {
        self.blocking().append(append)
    }

    async fn read_alone(&self, read: Read) -> Result<Page, ReadError> {
        self.blocking().read(read)
    }

    async fn replay(&self, limit: u64) -> anyhow::Result<ReadResult> {
        let (mut seen, mut read) = (ReadResult::default(), Read::forward(Query::All));
        loop {
            let page = self.blocking().read(read)?;
            page.events.iter().for_each(|event| seen.add(event.data().len()));
            if !page.more || seen.events >= limit {
                return Ok(seen);
            }
            read = Read::forward(Query::All).after(page.cursor);
        }
    }
}

impl System for Leftfold {
    type Session = Caller<Embedded>;

    fn cannot(_: Work) -> Option<&'static str> {
        None
    }

    async fn open(place: &Directories) -> anyhow::Result<Self> {
        Ok(Leftfold(Arc::new(Embedded::open(&place.data, Options::default())?)))
    }

    async fn session(&self) -> anyhow::Result<Caller<Embedded>> {
        let is_alone = Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread;
        Ok(Caller { store: self.0.clone(), is_alone, cursors: Vec::new() })
    }

    fn disk_bytes(place: &Directories) -> anyhow::Result<Disk> {
        let store = Embedded::open_existing(&place.data, Options::default())?;
        store.settle()?;
        let stat = store.stat()?;
        let used = stat.log_bytes + stat.index_bytes;
        store.close();
        let all = process::allocated(&place.data)?;
        Ok(Disk { data: used, reserve: all.saturating_sub(used) })
    }

    async fn close(self) -> anyhow::Result<()> {
        Arc::into_inner(self.0).context("the store is still in use")?.close();
        Ok(())
    }
}

impl System for LeftfoldServer {
    type Session = Caller<Client>;

    fn cannot(_: Work) -> Option<&'static str> {
        None
    }

    async fn open(place: &Directories) -> anyhow::Result<Self> {
        let program = std::env::var_os(PROGRAM).context("no binary of leftfold was built")?;
        let port = free_port()?;
        let mut command = Command::new(Path::new(&program));
        command.arg("serve").arg("--data").arg(&place.data);
        command.arg("--listen").arg(format!("127.0.0.1:{port}"));
        let socket = tempfile::Builder::new().prefix("leftfold").tempdir()?;
        let path = socket.path().join("socket");
        command.env("LEFTFOLD_SOCKET", &path);
        let mut server = Server::start(command, &place.data, Signal::INT)?;
        server.listens(port).await?;
        let url = format!("unix:{}", path.display());
        Ok(LeftfoldServer { server, url, _socket: socket, clients: Shared::new(CONNECTIONS) })
    }

    async fn session(&self) -> anyhow::Result<Caller<Client>> {
        // The network on the callers' threads, as with the other clients.
        let runtime = Handle::current();
        let is_alone = runtime.runtime_flavor() == RuntimeFlavor::CurrentThread;
        let client = Client::builder(self.url.clone()).on(runtime);
        let connect = async { Ok(client.connect().await?) };
        Ok(Caller { store: self.clients.get(connect).await?, is_alone, cursors: Vec::new() })
    }

    fn server(&self) -> Option<u32> {
        Some(self.server.id())
    }

    fn disk_bytes(place: &Directories) -> anyhow::Result<Disk> {
        Leftfold::disk_bytes(place)
    }

    async fn close(self) -> anyhow::Result<()> {
        drop(self.clients);
        self.server.close().await
    }
}

impl<S: Calls> Caller<S> {
    async fn append(&self, append: Append) -> anyhow::Result<Appended> {
        Ok(match self.is_alone {
            true => self.store.append_alone(append).await?,
            false => self.store.append(append).await?,
        })
    }

    async fn read(&self, read: Read) -> anyhow::Result<Page> {
        Ok(match self.is_alone {
            true => self.store.read_alone(read).await?,
            false => self.store.read(read).await?,
        })
    }

    async fn read_all(&self, query: Query) -> anyhow::Result<ReadResult> {
        let (mut seen, mut read) = (ReadResult::default(), Read::forward(query.clone()));
        loop {
            let page = self.read(read).await?;
            page.events.iter().for_each(|event| seen.add(event.data().len()));
            if !page.more {
                return Ok(seen);
            }
            read = Read::forward(query.clone()).after(page.cursor);
        }
    }
}

impl<S: Calls> Session for Caller<S> {
    async fn append_single(
        &mut self,
        stream: &str,
        expected: Mark,
        event: Event,
    ) -> anyhow::Result<Mark> {
        let append = Append::new().event(stream, new(event)).expect(stream, version(expected));
        last(&self.append(append).await?)
    }

    async fn append_batch(
        &mut self,
        stream: &str,
        expected: Mark,
        events: Vec<Event>,
    ) -> anyhow::Result<Mark> {
        let append = Append::new().expect(stream, version(expected));
        let append = events.into_iter().fold(append, |all, event| all.event(stream, new(event)));
        last(&self.append(append).await?)
    }

    async fn append_on_tags(
        &mut self,
        tags: [&str; 2],
        after: Mark,
        event: Event,
    ) -> anyhow::Result<Mark> {
        let [a, b] = tags;
        let cursor = after.and_then(|n| self.cursors.get(n as usize)).cloned();
        let query = Query::tag("course", a).and(Query::tag("student", b));
        let event = new(event).tag("course", a).tag("student", b);
        // A stream for each course: these events need a stream here, though they have none of their
        // own.
        let append =
            Append::new().event(a, event).none_after(query, cursor.unwrap_or(Cursor::START));
        let done = self.append(append).await?;
        let at = after.map_or(self.cursors.len(), |n| n as usize);
        match self.cursors.get_mut(at) {
            Some(cursor) => *cursor = done.cursor,
            None => self.cursors.push(done.cursor),
        }
        Ok(Some(at as u64))
    }

    async fn read_stream(&mut self, stream: &str) -> anyhow::Result<ReadResult> {
        self.read_all(Query::stream(stream)).await
    }

    async fn query_category(&mut self, category: &str) -> anyhow::Result<ReadResult> {
        self.read_all(Query::category(category)).await
    }

    async fn query_tags(&mut self, owner: &str) -> anyhow::Result<ReadResult> {
        self.read_all(Query::tag("owner", owner)).await
    }

    async fn replay(&mut self, limit: u64) -> anyhow::Result<ReadResult> {
        self.store.replay(limit).await
    }

    async fn load(&mut self, chunk: Vec<DataSetEvent>) -> anyhow::Result<()> {
        let add = |append: Append, one: DataSetEvent| {
            append.event(one.stream, new(one.event).tag("owner", one.owner))
        };
        self.store.append(chunk.into_iter().fold(Append::new(), add)).await?;
        Ok(())
    }
}

fn new(event: Event) -> NewEvent {
    NewEvent::new("Measured", event.data).id(event.id)
}

fn version(expected: Mark) -> Expected {
    expected.map_or(Expected::NoStream, Expected::Exactly)
}

fn last(done: &Appended) -> anyhow::Result<Mark> {
    Ok(Some(done.streams.first().context("an append without a stream")?.last))
}
