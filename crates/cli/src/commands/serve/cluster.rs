//! Serves a node of a cluster, whose log is Apache Kafka.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use leftfold::{Invalid, Options};
use leftfold_cluster::kafka::{Client, Sasl, SaslMechanism, Security, Tls};
use leftfold_cluster::node::{Node, NodeConfig};
use leftfold_server::access::Secret;
use leftfold_server::{Config, RunningServer, Server};

/// How long an answer of a broker is waited for.
const KAFKA_PATIENCE: Duration = Duration::from_secs(5);
/// How long a node waits until it has compared its copy with the log. Afterwards it serves what it can.
const OPENING: Duration = Duration::from_secs(60);
/// The least time that brokers allow by default.
const SESSION: Duration = Duration::from_secs(6);

/// A node that runs, and its server for the other nodes.
pub(super) struct RunningNode {
    pub(super) node: Node,
    peers: RunningServer,
}

impl RunningNode {
    /// Joins the cluster.
    pub(super) async fn start(config: &Config, options: Options) -> anyhow::Result<Self> {
        if config.data.join("STORE").exists() {
            return Err(invalid(format!(
                "data: {} holds the store of an embedded engine; give the node another directory",
                config.data.display()
            )));
        }
        let name = match config.node_name.as_str() {
            "" => host_name()?,
            name => name.to_owned(),
        };
        let token = config.node_token.as_ref().map(|path| read_secret(path, "node.token"));
        let token = token.transpose()?;
        let url = match config.node_url.as_str() {
            "" => format!("http://{}", config.node_listen),
            url => url.to_owned(),
        };
        let node = Node::start(NodeConfig {
            client: client(config)?,
            cluster: config.cluster.clone(),
            partitions: config.partitions,
            name,
            url,
            // With port 0 it is known, and told, once the server listens.
            kafka: config.kafka_listen.and_then(|listen| config.kafka_address(listen)),
            token: token.clone().unwrap_or_default(),
            dir: config.data.join("partitions"),
            options,
            replication: replication(config)?,
            session_timeout: SESSION,
        })
        .await
        .with_context(|| {
            format!("joining the cluster {} at {}", config.cluster, config.bootstrap)
        })?;
        let parts = node.own_parts();
        let secret = token.map(Secret::from);
        let served = Server::start_for_peers(config.clone(), parts, config.node_listen, secret);
        let peers = served.await?;
        if let Err(error) = node.wait_until_open(OPENING).await {
            tracing::warn!("{error}");
        }
        Ok(RunningNode { node, peers })
    }

    /// Hands over, leaves the cluster and ends.
    pub(super) async fn stop(self) {
        let RunningNode { node, peers } = self;
        node.stop().await;
        peers.shutdown().await;
    }
}

fn replication(config: &Config) -> anyhow::Result<Option<i16>> {
    let found = config.kafka_replication;
    let replicas = i16::try_from(found)
        .map_err(|_| invalid(format!("kafka.replication: {found} are too many replicas")))?;
    Ok((replicas > 0).then_some(replicas))
}

fn client(config: &Config) -> anyhow::Result<Client> {
    let client = Client::new(&config.bootstrap, KAFKA_PATIENCE)
        .map_err(|error| invalid(format!("bootstrap: {error}")))?;
    let tls = match (&config.kafka_ca, config.kafka_tls) {
        (Some(ca), _) => {
            let wrong = |why: &dyn Display| {
                invalid(format!("kafka.ca: {} can't be used: {why}", ca.display()))
            };
            let pem = std::fs::read(ca).map_err(|error| wrong(&error))?;
            Some(Tls::trusting(&pem).map_err(|error| wrong(&error))?)
        }
        (None, true) => {
            let trusted = Tls::trusting_system();
            Some(trusted.map_err(|error| invalid(format!("kafka.tls: {error}")))?)
        }
        (None, false) => None,
    };
    let sasl = match config.kafka_user.as_str() {
        "" => None,
        user => {
            let file = config.kafka_password.as_ref();
            let missing =
                || invalid("kafka.user: kafka.password is missing, a file with the password");
            let file = file.ok_or_else(missing)?;
            let password = read_secret(file, "kafka.password")?;
            Some(Sasl::new(mechanism(&config.kafka_mechanism)?, user, &password))
        }
    };
    Ok(client.secured(Security { tls, sasl }))
}

fn mechanism(name: &str) -> anyhow::Result<SaslMechanism> {
    let all = [SaslMechanism::Plain, SaslMechanism::ScramSha256, SaslMechanism::ScramSha512];
    let found = all.into_iter().find(|mechanism| mechanism.name() == name);
    found.ok_or_else(|| {
        let names = all.map(SaslMechanism::name).join(", ");
        invalid(format!("kafka.mechanism: expected one of {names}, found {name}"))
    })
}

fn read_secret(path: &Path, setting: &str) -> anyhow::Result<String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| invalid(format!("{setting}: {shown} can't be read: {error}")))?;
    let secret = text.trim();
    match secret.is_empty() {
        true => Err(invalid(format!("{setting}: {shown} is empty"))),
        false => Ok(secret.to_owned()),
    }
}

fn host_name() -> anyhow::Result<String> {
    let name = rustix::system::uname();
    let name = name.nodename().to_string_lossy().into_owned();
    match name.is_empty() {
        true => Err(invalid("node.name: this host has no name; give the node one")),
        false => Ok(name),
    }
}

fn invalid(message: impl Into<String>) -> anyhow::Error {
    Invalid::new("setting_invalid", message.into()).into()
}

/// Returns the store of a node, as the server wants it.
pub(super) fn engine(node: &Node) -> Arc<dyn leftfold_api::Engine> {
    node.engine()
}
