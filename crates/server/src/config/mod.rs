//! Every setting of the server, defined once.
//!
//! From the list below come the struct, the keys of the file, the names in the environment, the
//! flags with their help, what `leftfold config` prints, and `docs/configuration.md`.

mod definition;
mod document;
#[cfg(test)]
mod limits_page;
mod load;
mod memory;
mod value;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use leftfold_api::Partitioner;
use leftfold_store::{Compression, Durability, Options};
use leftfold_views::AskLimits;

pub use definition::Setting;
pub use document::document;
pub use load::{ConfigError, Effective, Given, Origin, Sources};
pub use memory::MemoryTerm;
pub use value::{Bytes, EngineKind, LogFormat, Value};

definition::settings! {
    /// The store's directory.
    data: PathBuf = "data", PathBuf::from("leftfold-data");
    /// Where the server listens. Port 0 takes a free one. An address other than loopback needs TLS
    /// and users, or `insecure`.
    listen: SocketAddr = "listen", SocketAddr::from(([127, 0, 0, 1], 2113));
    /// A Unix socket on which the server listens too, for programs of the same user on this machine: they need no TLS.
    /// Its path may have about 100 bytes.
    socket: Option<PathBuf> = "socket", None;
    /// Microseconds for which a thread that has answered a request looks for the next one before it sleeps, at most 10,000;
    /// 0 to sleep at once, as it does with a single processor. Waking a thread takes longer than an answer from memory, above all on a
    /// virtual machine. If the next request mostly comes later than that, a thread looks seldom.
    busy_poll_micros: usize = "busy_poll_micros", 100;
    /// Listen on any address without TLS or users: every client may do everything.
    insecure: bool = "insecure", false;
    /// How full segments are compressed: not at all, fast, or small.
    packing: Compression = "packing", Compression::Fast;
    /// When an append is acknowledged: after its fsync, or before it. With `relaxed` a crash of the
    /// machine may lose appends that were acknowledged within that time.
    durability: Durability = "durability", Durability::Synced;
    /// The directory for backups that are requested over the network; each has a directory in it.
    /// Without this setting they are refused.
    backups: Option<PathBuf> = "backups", None;
    /// The directory for the tables of SQL views; `views` in the store's directory if it is not given. They are made
    /// from events, and made anew if it is lost.
    views: Option<PathBuf> = "views", None;
    /// Whether the connectors of the store run. Switch them off for a copy of a store, such as a restored backup: it has the
    /// connectors of the original, which would deliver beside it.
    connectors: bool = "connectors", true;
    /// How long a shutdown waits for requests in flight before it ends them.
    shutdown_time: Duration = "shutdown_time", Duration::from_secs(20);

    /// The server's certificate and those that lead to its CA: a PEM file. With it and its key the
    /// server speaks TLS only. Read again when it changes, and on SIGHUP.
    tls_certificate: Option<PathBuf> = "tls.certificate", None;
    /// The certificate's private key: a PEM file.
    tls_key: Option<PathBuf> = "tls.key", None;

    /// Where clients of Kafka's protocol are served; without it they are not. The same rules as for `listen`.
    kafka_listen: Option<SocketAddr> = "kafka.listen", None;
    /// The address that clients of Kafka's protocol are told to connect to, as `host:port`; the one at which they have
    /// reached the server if it is not given. A node of a cluster tells it to clients of the other nodes too, so there it
    /// is needed if `kafka.listen` is no single address.
    kafka_advertised: String = "kafka.advertised", String::new();
    /// The partitions of a topic that says nothing of them.
    kafka_topic_partitions: usize = "kafka.topic_partitions", 8;
    /// How producers choose partitions by keys, for a topic that says nothing of it: murmur2 as Java's, or crc32 as
    /// librdkafka's by default.
    kafka_partitioner: Partitioner = "kafka.partitioner", Partitioner::Murmur2;
    /// Whether a topic is created when a category or a prefix of streams is first used as one.
    kafka_auto_create: bool = "kafka.auto_create", true;
    /// The value of the header `ce_source` of records.
    kafka_source: String = "kafka.source", "leftfold".to_owned();
    /// The bytes that one user, or one address without users, may produce in a second; 0 for any number.
    kafka_produce_rate: Bytes = "kafka.produce_rate", Bytes(0);
    /// The bytes that one user, or one address without users, may fetch in a second; 0 for any number.
    kafka_fetch_rate: Bytes = "kafka.fetch_rate", Bytes(0);

    /// What keeps the log of events: the disk of this machine (`embedded`), or Apache Kafka (`kafka`).
    engine: EngineKind = "engine", EngineKind::Embedded;
    /// With `kafka`: brokers to begin with, as `host:port,host:port`.
    bootstrap: String = "bootstrap", "127.0.0.1:9092".to_owned();
    /// With `kafka`: the name of the cluster. Its topic, its group and the transactional ids of its owners begin with
    /// `leftfold.` and this name.
    cluster: String = "cluster", "main".to_owned();
    /// With `kafka`: the number of partitions, which is fixed when the cluster's topic is created. With one, the store has
    /// every semantic of the embedded engine. With more, it is as wide as many owners, and refuses what crosses
    /// partitions: see `docs/partitions.md`.
    partitions: usize = "partitions", 1;
    /// The name of this node, which no other node of the cluster may have; the host's name if it is not given.
    node_name: String = "node.name", String::new();
    /// Where this node listens for the other nodes. They need the token; there is no TLS.
    node_listen: SocketAddr = "node.listen", SocketAddr::from(([127, 0, 0, 1], 2114));
    /// The URL at which the other nodes reach this one; `http://` and `node.listen` if it is not given.
    node_url: String = "node.url", String::new();
    /// A file with the token that all nodes of the cluster share. An address other than loopback needs one, or
    /// `insecure`.
    node_token: Option<PathBuf> = "node.token", None;
    /// The replicas of the topic that is created; 0 for as many as the brokers have as their default.
    kafka_replication: usize = "kafka.replication", 0;
    /// Whether the connections to the brokers are encrypted with TLS.
    kafka_tls: bool = "kafka.tls", false;
    /// The CA of the brokers' certificates: a PEM file. Those of the system if it is not given.
    kafka_ca: Option<PathBuf> = "kafka.ca", None;
    /// The user for SASL; without one there is no authentication.
    kafka_user: String = "kafka.user", String::new();
    /// A file with the user's password.
    kafka_password: Option<PathBuf> = "kafka.password", None;
    /// The mechanism of SASL: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.
    kafka_mechanism: String = "kafka.mechanism", "SCRAM-SHA-512".to_owned();

    /// How log lines are written, on standard error.
    log_format: LogFormat = "log.format", LogFormat::Text;
    /// The level of the log: error, warn, info, debug or trace; also by module, as in
    /// `info,leftfold_server=debug`.
    log_level: String = "log.level", "info".to_owned();

    /// Threads that read for requests.
    read_threads: usize = "store.read_threads", 2;
    /// Memory for blocks of the log.
    cache_bytes: Bytes = "store.cache_bytes", Bytes(64 << 20);
    /// Memory for blocks of the index.
    index_cache_bytes: Bytes = "store.index_cache_bytes", Bytes(64 << 20);
    /// The number of streams whose last versions are kept in memory.
    head_cache: usize = "store.head_cache", 100_000;
    /// Memory for appends that wait for the writer.
    queue_bytes: Bytes = "store.queue_bytes", Bytes(64 << 20);
    /// The most bytes that maintenance and backups read in a second.
    upkeep_bytes: Bytes = "store.upkeep_bytes", Bytes(64 << 20);
    /// The largest event: its names, tags, metadata and data together.
    event_bytes: Bytes = "store.event_bytes", Bytes(16 << 20);
    /// The largest append.
    append_bytes: Bytes = "store.append_bytes", Bytes(64 << 20);
    /// Events of an append.
    append_events: usize = "store.append_events", 10_000;
    /// Events of a page.
    page_events: usize = "store.page_events", 10_000;
    /// Bytes of the events of a page; its first event is returned whatever its size.
    page_bytes: Bytes = "store.page_bytes", Bytes(16 << 20);

    /// Connections at the same time; further clients wait to be accepted. Those of one address beyond `limits.share` are
    /// closed.
    connections: usize = "limits.connections", 5_000;
    /// Requests in flight, of all connections, without subscriptions.
    requests: usize = "limits.requests", 4_096;
    /// Requests of metrics and administration in flight, which need no place among `limits.requests`; and as many calls
    /// of health and reflection over gRPC.
    reserved_requests: usize = "limits.reserved_requests", 256;
    /// The most that one address has, and that one user has, of the requests, the subscriptions, the queries of views and
    /// the memory that all clients share, in percent; and one address of the connections. The addresses of an IPv6 network of 64 bits count as one. Set it to 100 if all clients
    /// reach the server through one proxy and as one user.
    share: usize = "limits.share", 50;
    /// Requests in flight of one connection, including subscriptions.
    connection_requests: usize = "limits.connection_requests", 1_024;
    /// Requests that one connection may begin in a second; 0 for any number.
    connection_rate: usize = "limits.connection_rate", 0;
    /// Subscriptions at the same time, of all connections.
    subscriptions: usize = "limits.subscriptions", 20_000;
    /// Queries of SQL views that are answered at the same time.
    asks: usize = "limits.asks", 8;
    /// Live queries of SQL views at the same time, which also count as subscriptions. As many of them as
    /// `limits.asks` are compared at the same time; the others wait.
    live_queries: usize = "limits.live_queries", 200;
    /// Bytes of the answer of a live query, which is kept in memory.
    live_bytes: Bytes = "limits.live_bytes", Bytes(1 << 20);
    /// Rows of the answer of a view.
    ask_rows: usize = "limits.ask_rows", 10_000;
    /// Bytes of the answer of a view.
    ask_bytes: Bytes = "limits.ask_bytes", Bytes(16 << 20);
    /// The longest time that a query of views may take.
    ask_time: Duration = "limits.ask_time", Duration::from_secs(10);
    /// The largest body of a request.
    body_bytes: Bytes = "limits.body_bytes", Bytes(96 << 20);
    /// Memory for bodies of requests in flight, and for what they are decoded into, of all connections.
    bodies_bytes: Bytes = "limits.bodies_bytes", Bytes(512 << 20);
    /// Memory for answers that their clients have not taken, of all connections: pages of reads and of subscriptions with
    /// the text or the messages that they become, other answers, and compressors.
    answers_bytes: Bytes = "limits.answers_bytes", Bytes(512 << 20);
    /// The longest head of a request: its line and its headers.
    header_bytes: Bytes = "limits.header_bytes", Bytes(64 << 10);
    /// The head of a request, the TLS handshake, and a new connection's first request must arrive
    /// within this time.
    header_time: Duration = "limits.header_time", Duration::from_secs(10);
    /// The body of a request must arrive within this time.
    body_time: Duration = "limits.body_time", Duration::from_secs(60);
    /// The longest time that a read waits for the cursor of `at_least`, and for memory of `limits.answers_bytes`.
    wait_time: Duration = "limits.wait_time", Duration::from_secs(30);
    /// A connection without requests is closed after this time.
    idle_time: Duration = "limits.idle_time", Duration::from_secs(300);
    /// A client that does not read what is sent to it within this time is disconnected; a stream of HTTP/2 of which it
    /// takes nothing ends.
    write_time: Duration = "limits.write_time", Duration::from_secs(30);
    /// The interval of heartbeats of a subscription without events.
    heartbeat: Duration = "limits.heartbeat", Duration::from_secs(15);
}

impl Config {
    /// Returns whether a certificate and its key are given.
    pub fn has_tls(&self) -> bool {
        self.tls_certificate.is_some() && self.tls_key.is_some()
    }

    /// Returns the address at which Kafka's clients reach a server that listens for them here, or `None` if that can't be
    /// known: `kafka.advertised` is not given, and this address is no single one or has no port yet.
    pub fn kafka_address(&self, listen: SocketAddr) -> Option<String> {
        let is_one = !listen.ip().is_unspecified() && listen.port() > 0;
        match self.kafka_advertised.as_str() {
            "" => is_one.then(|| listen.to_string()),
            advertised => Some(advertised.to_owned()),
        }
    }

    /// Returns how long a thread looks for the next request before it sleeps.
    pub(crate) fn busy_poll(&self) -> Duration {
        Duration::from_micros(self.busy_poll_micros as u64)
    }

    /// Returns the directory for the tables of SQL views.
    pub fn views_directory(&self) -> PathBuf {
        self.views.clone().unwrap_or_else(|| self.data.join("views"))
    }

    /// Returns how many pages are read at the same time. Their memory is reserved when their size is known.
    pub(crate) fn page_turns(&self) -> usize {
        self.read_threads.clamp(2, 64) * 2
    }

    /// Returns the limits of a query of SQL views.
    pub fn ask_limits(&self) -> AskLimits {
        AskLimits {
            rows: self.ask_rows,
            bytes: self.ask_bytes.get(),
            time: self.ask_time,
            ..AskLimits::default()
        }
    }

    /// Returns the limits of a live query.
    pub fn live_limits(&self) -> AskLimits {
        let limits = self.ask_limits();
        AskLimits { bytes: limits.bytes.min(self.live_bytes.get()), ..limits }
    }

    /// Returns the options with which the store is opened.
    pub fn store_options(&self) -> Options {
        let mut options = Options {
            compression: self.packing,
            maintenance_bytes_per_second: self.upkeep_bytes.0,
            index_cache_bytes: self.index_cache_bytes.0,
            head_cache: self.head_cache,
            read_threads: self.read_threads,
            ..Options::default()
        };
        options.log.durability = self.durability;
        options.log.cache_bytes = self.cache_bytes.0;
        options.log.queue_bytes = self.queue_bytes.get();
        options.limits.event_bytes = self.event_bytes.get();
        options.limits.append_bytes = self.append_bytes.get();
        options.limits.append_events = self.append_events;
        options.limits.page_events = self.page_events;
        options.limits.page_bytes = self.page_bytes.get();
        options
    }
}
