//! UmaDB, twice: its server, and its core in this process. A stream is a tag there, and a version
//! is the position of the last event with that tag.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::{Context, anyhow};
use rustix::process::Signal;
use tokio::sync::{mpsc, oneshot, watch};
use umadb_client::{AsyncUmaDbClient, UmaDbClient};
use umadb_core::db::UmaDb as Core;
use umadb_core::mvcc::{Mvcc, StorageOptions};
use umadb_core::pager::ReadMethod;
use umadb_core::writer_thread_blocking::writer_thread_blocking;
use umadb_core::writer_thread_request::WriterThreadRequest;
use umadb_dcb::{
    DcbAppendCondition, DcbEvent, DcbEventStoreAsync, DcbEventStoreSync, DcbQuery, DcbQueryItem,
};

use crate::get;
use crate::process;
use crate::server::{CONNECTIONS, Server, Shared, free_port};
use crate::system::{DataSetEvent, Directories, Disk, Event, Mark, ReadResult, Session, System};
use crate::work::Work;

/// The setting that makes its reads fastest; it is off by default.
pub(crate) const CACHE_MB: usize = 1_024;
/// The name of its file; it treats a path without an extension as a directory.
const FILE: &str = "uma.db";
/// The maximum number of events in its server's commits, and of queued requests.
const COMMIT: usize = 2_048;
/// The number of events per request in a replay of the core, which returns each answer as a whole.
const PAGE: u32 = 10_000;

/// Its server.
pub(crate) struct UmaServer {
    server: Server,
    url: String,
    clients: Shared<AsyncUmaDbClient>,
}

impl System for UmaServer {
    type Session = Client;

    fn cannot(_: Work) -> Option<&'static str> {
        None
    }

    async fn open(place: &Directories) -> anyhow::Result<Self> {
        let program = get::umadb(&place.cache)?;
        std::fs::create_dir_all(&place.data)?;
        let port = free_port()?;
        let mut command = Command::new(program);
        command.args(["--read-method", "mmap", "--page-cache-max-mb", &CACHE_MB.to_string()]);
        command.arg("--listen").arg(format!("127.0.0.1:{port}"));
        command.arg("--db-path").arg(place.data.join(FILE));
        let mut server = Server::start(command, &place.data, Signal::INT)?;
        server.listens(port).await?;
        let url = format!("http://127.0.0.1:{port}");
        Ok(UmaServer { server, url, clients: Shared::new(CONNECTIONS) })
    }

    async fn session(&self) -> anyhow::Result<Client> {
        let connect = async { Ok(UmaDbClient::new(self.url.clone()).connect_async().await?) };
        Ok(Client(self.clients.get(connect).await?))
    }

    fn server(&self) -> Option<u32> {
        Some(self.server.id())
    }

    fn disk_bytes(place: &Directories) -> anyhow::Result<Disk> {
        disk(place)
    }

    async fn close(self) -> anyhow::Result<()> {
        self.server.close().await
    }
}

/// A share of a connection.
pub(crate) struct Client(Arc<AsyncUmaDbClient>);

/// The core in this process, with the writer thread that its server has.
pub(crate) struct UmaCore {
    mvcc: Arc<Mvcc>,
    requests: mpsc::Sender<WriterThreadRequest>,
    writer: JoinHandle<()>,
}

impl System for UmaCore {
    type Session = Handle;

    fn cannot(_: Work) -> Option<&'static str> {
        None
    }

    async fn open(place: &Directories) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&place.data)?;
        let mvcc = Arc::new(Mvcc::new(false, options(&place.data))?);
        let (requests, waiting) = mpsc::channel(COMMIT);
        let (head, _) = watch::channel(None);
        let of_writer = mvcc.clone();
        let writer = std::thread::spawn(move || {
            writer_thread_blocking(of_writer, waiting, head, COMMIT);
        });
        Ok(UmaCore { mvcc, requests, writer })
    }

    async fn session(&self) -> anyhow::Result<Handle> {
        let core = Core::from_arc(self.mvcc.clone());
        Ok(Handle { core, requests: self.requests.clone() })
    }

    fn disk_bytes(place: &Directories) -> anyhow::Result<Disk> {
        disk(place)
    }

    async fn close(self) -> anyhow::Result<()> {
        self.requests.send(WriterThreadRequest::Shutdown).await.context("its writer has ended")?;
        self.writer.join().map_err(|_| anyhow!("its writer has panicked"))
    }
}

/// Its file grows in large steps; the header has the number of allocated pages.
fn disk(place: &Directories) -> anyhow::Result<Disk> {
    let mvcc = Mvcc::new(false, options(&place.data))?;
    let header = mvcc.get_latest_header_page()?;
    let used = header.as_header_node()?.next_page_id.0 * mvcc.page_size as u64;
    let all = process::allocated(&place.data)?;
    Ok(Disk { data: used, reserve: all.saturating_sub(used) })
}

fn options(data: &Path) -> StorageOptions {
    StorageOptions::default()
        .db_path(data.join(FILE))
        .read_method(ReadMethod::Mmap)
        .page_cache_max_mb(CACHE_MB)
}

/// A session with the core.
pub(crate) struct Handle {
    core: Core,
    requests: mpsc::Sender<WriterThreadRequest>,
}

/// The difference between the two: how a request is sent and answered.
trait Ask: Send + 'static {
    fn append(
        &self,
        events: Vec<DcbEvent>,
        condition: Option<DcbAppendCondition>,
    ) -> impl Future<Output = anyhow::Result<u64>> + Send;

    fn read(
        &self,
        query: Option<DcbQuery>,
        limit: Option<u64>,
    ) -> impl Future<Output = anyhow::Result<ReadResult>> + Send;
}

impl Ask for Client {
    async fn append(
        &self,
        events: Vec<DcbEvent>,
        condition: Option<DcbAppendCondition>,
    ) -> anyhow::Result<u64> {
        Ok(self.0.append(events, condition, None).await?)
    }

    async fn read(
        &self,
        query: Option<DcbQuery>,
        limit: Option<u64>,
    ) -> anyhow::Result<ReadResult> {
        let limit = limit.map(u32::try_from).transpose()?;
        let mut answer = self.0.read(query, None, false, limit).await?;
        let mut seen = ReadResult::default();
        loop {
            let batch = answer.next_batch().await?;
            if batch.is_empty() {
                return Ok(seen);
            }
            batch.iter().for_each(|one| seen.add(one.event.data.len()));
        }
    }
}

impl Ask for Handle {
    async fn append(
        &self,
        events: Vec<DcbEvent>,
        condition: Option<DcbAppendCondition>,
    ) -> anyhow::Result<u64> {
        let (response_tx, answer) = oneshot::channel();
        let request = WriterThreadRequest::Append {
            events,
            condition,
            tracking_info: None,
            response_tx,
            cancel: None,
        };
        self.requests.send(request).await.map_err(|_| anyhow!("its writer has ended"))?;
        Ok(answer.await??)
    }

    async fn read(
        &self,
        query: Option<DcbQuery>,
        limit: Option<u64>,
    ) -> anyhow::Result<ReadResult> {
        let mut seen = ReadResult::default();
        let page = limit.map(|_| PAGE);
        let mut from = None;
        loop {
            let mut last = None;
            for one in self.core.read(query.clone(), from, false, page)? {
                let one = one?;
                seen.add(one.event.data.len());
                last = Some(one.position);
            }
            from = last.map(|last| last + 1);
            if from.is_none() || limit.is_none_or(|limit| seen.events >= limit) {
                return Ok(seen);
            }
        }
    }
}

fn query<'a>(tags: impl IntoIterator<Item = &'a str>) -> DcbQuery {
    DcbQuery::new().item(DcbQueryItem::new().tags(tags))
}

fn new<'a>(event: Event, tags: impl IntoIterator<Item = &'a str>) -> DcbEvent {
    DcbEvent::new().event_type("Measured").data(event.data).uuid(event.id).tags(tags)
}

impl<T: Ask> Session for T {
    async fn append_single(
        &mut self,
        stream: &str,
        expected: Mark,
        event: Event,
    ) -> anyhow::Result<Mark> {
        let condition = DcbAppendCondition::new(query([stream])).after(expected);
        Ok(Some(self.append(vec![new(event, [stream])], Some(condition)).await?))
    }

    async fn append_batch(
        &mut self,
        stream: &str,
        expected: Mark,
        events: Vec<Event>,
    ) -> anyhow::Result<Mark> {
        let condition = DcbAppendCondition::new(query([stream])).after(expected);
        let events = events.into_iter().map(|event| new(event, [stream])).collect();
        Ok(Some(self.append(events, Some(condition)).await?))
    }

    async fn append_on_tags(
        &mut self,
        tags: [&str; 2],
        after: Mark,
        event: Event,
    ) -> anyhow::Result<Mark> {
        let condition = DcbAppendCondition::new(query(tags)).after(after);
        Ok(Some(self.append(vec![new(event, tags)], Some(condition)).await?))
    }

    async fn read_stream(&mut self, stream: &str) -> anyhow::Result<ReadResult> {
        self.read(Some(query([stream])), None).await
    }

    async fn query_category(&mut self, category: &str) -> anyhow::Result<ReadResult> {
        self.read(Some(query([category])), None).await
    }

    async fn query_tags(&mut self, owner: &str) -> anyhow::Result<ReadResult> {
        self.read(Some(query([owner])), None).await
    }

    async fn replay(&mut self, limit: u64) -> anyhow::Result<ReadResult> {
        self.read(None, Some(limit)).await
    }

    async fn load(&mut self, chunk: Vec<DataSetEvent>) -> anyhow::Result<()> {
        let event = |one: DataSetEvent| {
            let category = one.stream.split('-').next().unwrap_or_default();
            new(one.event, [one.stream.as_str(), category, &one.owner])
        };
        self.append(chunk.into_iter().map(event).collect(), None).await?;
        Ok(())
    }
}
