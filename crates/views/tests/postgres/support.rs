//! A database for each test, and views whose tables are in it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use futures_util::future::{Either, select};
use leftfold::{Append, Cursor, Embedded, EventStore, NewEvent, Options};
use leftfold_postgres_server::Server;
use leftfold_views::{Definition, ViewStatus, Views};
use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

/// How long anything may take here.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The server of the tests that do not stop it. The last of them ends it.
static SERVER: Mutex<Weak<Server>> = Mutex::new(Weak::new());
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// A connection of a reader, who knows nothing of views.
pub(crate) struct Reader {
    runtime: Runtime,
    client: Client,
}

impl Reader {
    pub(crate) fn new(url: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
            tokio::spawn(connection);
            client
        });
        Reader { runtime, client }
    }

    /// Returns the rows as lines.
    pub(crate) fn try_query(&self, sql: &str) -> Result<Vec<String>, tokio_postgres::Error> {
        let answer = self.runtime.block_on(self.client.simple_query(sql))?;
        let rows = answer.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let cells = |row: &tokio_postgres::SimpleQueryRow| -> Vec<String> {
            (0..row.len()).map(|at| row.get(at).unwrap_or("null").to_owned()).collect()
        };
        Ok(rows.map(|row| cells(row).join(" | ")).collect())
    }

    pub(crate) fn query(&self, sql: &str) -> Vec<String> {
        self.try_query(sql).unwrap_or_else(|error| panic!("{error:?}: {sql}"))
    }

    /// Returns the schemas of views, their own and those of others.
    pub(crate) fn schemas(&self) -> Vec<String> {
        self.query(
            "select nspname from pg_namespace where nspname !~ '^pg_'
             and nspname not in ('public', 'information_schema') order by nspname",
        )
    }
}

/// A database of its own in the shared server.
pub(crate) struct Database {
    _server: Arc<Server>,
    pub(crate) url: String,
    pub(crate) reader: Reader,
}

impl Database {
    pub(crate) fn new() -> Self {
        let mut shared = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
        let server = shared.upgrade().unwrap_or_else(|| Arc::new(Server::start().unwrap()));
        *shared = Arc::downgrade(&server);
        drop(shared);
        let name = format!("test{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        Reader::new(&server.url()).query(&format!("create database {name}"));
        let url = server.url();
        let (server_url, _) = url.rsplit_once('/').unwrap();
        let url = format!("{server_url}/{name}");
        let reader = Reader::new(&url);
        Database { _server: server, url, reader }
    }
}

/// A store and the folder of its views.
pub(crate) struct World {
    dir: PathBuf,
    pub(crate) store: Arc<Embedded>,
    /// Removed with the world, unless another has it.
    own: Option<tempfile::TempDir>,
}

impl World {
    /// Makes a store whose views find a database by a file.
    pub(crate) fn new(url: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("url"), format!("{url}\n")).unwrap();
        World::at(dir.path()).keep(dir)
    }

    /// Opens the store in the directory of another world.
    pub(crate) fn at(dir: &Path) -> Self {
        let store = Embedded::open(dir.join("store"), Options::default()).unwrap();
        World { dir: dir.to_owned(), store: Arc::new(store), own: None }
    }

    fn keep(mut self, dir: tempfile::TempDir) -> Self {
        self.own = Some(dir);
        self
    }

    /// Closes the store and returns its directory.
    pub(crate) fn close(mut self) -> tempfile::TempDir {
        self.own.take().unwrap()
    }

    pub(crate) fn url_file(&self) -> PathBuf {
        self.dir.join("url")
    }

    /// Returns the definition of a view in PostgreSQL.
    pub(crate) fn definition(&self, text: &str) -> Definition {
        let target = format!("-- @target postgres file:{}", self.url_file().display());
        let text = text.replace("-- @query", &format!("{target}\n-- @query"));
        Definition::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    pub(crate) fn views(&self, folder: &str) -> Views<Embedded> {
        Views::open(self.store.clone(), self.dir.join(folder)).unwrap()
    }

    /// Runs views while something is done with them.
    pub(crate) fn run<T>(&self, doing: impl AsyncFnOnce(&Views<Embedded>) -> T) -> T {
        let views = self.views("views");
        pollster::block_on(async {
            let ready = Box::pin(async {
                views.ready().await;
                doing(&views).await
            });
            match select(Box::pin(views.run()), ready).await {
                Either::Left((ended, _)) => panic!("the views have ended: {ended:?}"),
                Either::Right((done, _)) => done,
            }
        })
    }

    pub(crate) async fn append(&self, stream: &str, event_type: &str, data: &str) -> Cursor {
        let event = NewEvent::json(event_type, data.to_owned());
        self.store.append(Append::new().event(stream, event)).await.unwrap().cursor
    }

    /// Returns all events of the definitions, as text.
    pub(crate) fn facts(&self, view: &str) -> String {
        let query = format!("stream:leftfold.view-{view}").parse().unwrap();
        let read = leftfold::Read::forward(query);
        let page = pollster::block_on(self.store.read(read)).unwrap();
        let text = |event: &leftfold::Recorded| String::from_utf8_lossy(&event.data()).into_owned();
        page.events.iter().map(text).collect()
    }
}

/// Waits until a view's status is as wanted: each status is asked for anew.
pub(crate) async fn until(
    views: &Views<Embedded>,
    name: &str,
    wanted: impl Fn(&ViewStatus) -> bool,
) -> ViewStatus {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = views.status(name).await.unwrap();
        if wanted(&status) {
            return status;
        }
        assert!(Instant::now() < deadline, "{status:?}");
        yield_once().await;
    }
}

pub(crate) fn yield_once() -> impl Future<Output = ()> {
    let mut polled = false;
    std::future::poll_fn(move |context| {
        context.waker().wake_by_ref();
        match std::mem::replace(&mut polled, true) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
}
