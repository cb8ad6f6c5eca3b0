use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use leftfold_java::{Directory, Java, JavaError, Lifetime};
use leftfold_ports::Port;

use crate::error::BrokerError;
use crate::jars;
use crate::node::{Node, Plan};
use crate::options::Options;

/// The directory of all clusters, below the system's temporary directory.
const FAMILY: &str = "leftfold-kafka";

/// The node id of the controller, where it is a process of its own.
pub(crate) const CONTROLLER: i32 = 100;

/// The attempts to start if another program takes a port between its reservation and its use.
const ATTEMPTS: usize = 3;

const LOG4J: &str = include_str!("../log4j2.properties");

/// A running cluster. Dropping it ends all its nodes.
#[derive(Debug)]
pub struct Cluster {
    brokers: Vec<Node>,
    controller: Option<Node>,
    timings: Timings,
    directory: Directory,
    lifetime: Lifetime,
}

/// The duration of each step of a start.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timings {
    /// Finding the jars, and fetching them if they were missing.
    pub jars: Duration,
    /// Formatting the data directories.
    pub format: Duration,
    /// From the start of the processes until every broker listed all others.
    pub ready: Duration,
}

/// The common settings of all nodes of a cluster.
struct Common<'a> {
    options: &'a Options,
    lifetime: Lifetime,
    directory: &'a Path,
    java: Vec<String>,
    cluster_id: String,
    controller_port: u16,
}

impl Cluster {
    /// Starts a cluster that ends at the latest with this process.
    pub fn start(options: &Options) -> Result<Self, BrokerError> {
        Self::attempt(options, Lifetime::WithParent, || Directory::create(FAMILY))
    }

    /// Starts a cluster in this directory that outlives this process.
    pub fn start_detached(options: &Options, path: &Path) -> Result<Self, BrokerError> {
        Self::attempt(options, Lifetime::Detached, || Directory::at(path))
    }

    fn attempt(
        options: &Options,
        lifetime: Lifetime,
        directory: impl Fn() -> Result<Directory, JavaError>,
    ) -> Result<Self, BrokerError> {
        let java = Java::find()?;
        let started = Instant::now();
        let jars = jars::directory(&java)?;
        let fetching = started.elapsed();
        for _ in 1..ATTEMPTS {
            match Self::bring_up(options, lifetime, directory()?, &java, &jars) {
                Err(error) if error.port_was_taken() => {}
                done => return done.map(|cluster| cluster.with_jars_after(fetching)),
            }
        }
        let last = Self::bring_up(options, lifetime, directory()?, &java, &jars);
        last.map(|cluster| cluster.with_jars_after(fetching))
    }

    fn bring_up(
        options: &Options,
        lifetime: Lifetime,
        directory: Directory,
        java: &Java,
        jars: &Path,
    ) -> Result<Self, BrokerError> {
        let log4j = directory.path.join("log4j2.properties");
        fs::write(&log4j, LOG4J).map_err(BrokerError::at(&log4j))?;
        let alone = options.brokers <= 1;
        let ports = (0..=options.brokers.max(1)).map(|_| leftfold_ports::reserve());
        let mut ports = ports.collect::<Result<Vec<_>, _>>().map_err(BrokerError::Port)?;
        let controller_port = ports.pop().ok_or(BrokerError::NoSuchBroker(CONTROLLER))?;
        let common = Common {
            options,
            lifetime,
            directory: &directory.path,
            java: java_command(java, options, &log4j, jars),
            cluster_id: new_cluster_id(),
            controller_port: controller_port.number,
        };
        let started = Instant::now();
        let mut nodes = common.format(ports, (!alone).then_some(controller_port))?;
        let controller = if alone { None } else { nodes.pop() };
        let mut timings = Timings { format: started.elapsed(), ..Timings::default() };
        let started = Instant::now();
        let mut cluster = Cluster { brokers: nodes, controller, timings, directory, lifetime };
        cluster.start_all().inspect_err(|_| cluster.end())?;
        timings.ready = started.elapsed();
        cluster.timings = timings;
        Ok(cluster)
    }

    fn with_jars_after(mut self, took: Duration) -> Self {
        self.timings.jars = took;
        self
    }

    fn start_all(&self) -> Result<(), BrokerError> {
        self.nodes().try_for_each(Node::start)?;
        let all: Vec<i32> = self.brokers.iter().map(Node::id).collect();
        self.brokers.iter().try_for_each(|broker| broker.wait_until_lists(&all))
    }

    /// Kills all nodes. A node that cannot be killed ends when the pipe to its shell closes.
    fn end(&self) {
        for node in self.nodes() {
            _ = node.kill();
        }
    }

    fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.controller.iter().chain(&self.brokers)
    }

    /// Returns the brokers' addresses in the form that clients expect.
    pub fn bootstrap(&self) -> String {
        let all: Vec<String> = self.brokers.iter().map(|node| node.address().to_string()).collect();
        all.join(",")
    }

    /// Returns all brokers; their ids count from 1.
    pub fn brokers(&self) -> &[Node] {
        &self.brokers
    }

    /// Returns the broker with this id.
    pub fn broker(&self, id: i32) -> Result<&Node, BrokerError> {
        let found = self.brokers.iter().find(|node| node.id() == id);
        found.ok_or(BrokerError::NoSuchBroker(id))
    }

    /// Resumes every paused node and restarts every dead one.
    pub fn heal(&self) -> Result<(), BrokerError> {
        for node in self.nodes() {
            node.resume()?;
            if !node.is_alive() {
                node.restart()?;
            }
        }
        Ok(())
    }

    /// Returns the durations of the start.
    pub fn timings(&self) -> Timings {
        self.timings
    }

    /// Returns the directory of settings, data and logs.
    pub fn directory(&self) -> PathBuf {
        self.directory.path.clone()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.lifetime == Lifetime::Detached {
            return;
        }
        self.end();
        for node in self.nodes() {
            _ = fs::remove_dir_all(node.directory().join("data"));
        }
    }
}

impl Common<'_> {
    /// Formats all nodes at once, the controller last.
    fn format(
        &self,
        brokers: Vec<Port>,
        controller: Option<Port>,
    ) -> Result<Vec<Node>, BrokerError> {
        let alone = controller.is_none();
        let roles = if alone { "broker,controller" } else { "broker" };
        let mut plans: Vec<_> =
            (1..).zip(brokers).map(|(id, port)| self.plan(id, port, roles)).collect();
        plans.extend(controller.map(|port| self.plan(CONTROLLER, port, "controller")));
        std::thread::scope(|threads| {
            let all: Vec<_> = plans
                .into_iter()
                .map(|plan| {
                    let format = self.format_arguments(alone || plan.id == CONTROLLER);
                    threads.spawn(move || Node::format(plan, &format))
                })
                .collect();
            let died = || Err(BrokerError::NoSuchBroker(0));
            all.into_iter().map(|thread| thread.join().unwrap_or_else(|_| died())).collect()
        })
    }

    fn format_arguments(&self, first_of_the_quorum: bool) -> Vec<String> {
        let mut format = vec!["--cluster-id".to_owned(), self.cluster_id.clone()];
        if first_of_the_quorum {
            format.push("--standalone".to_owned());
        }
        for (name, level) in &self.options.features {
            format.extend(["--feature".to_owned(), format!("{name}={level}")]);
        }
        let users = self.options.listener.iter().flat_map(|listener| &listener.users);
        for [mechanism, name, password] in users {
            let user = format!("{mechanism}=[name={name},password={password}]");
            format.extend(["--add-scram".to_owned(), user]);
        }
        format
    }

    fn plan(&self, id: i32, port: Port, roles: &str) -> Plan {
        let own = port.number;
        let controller = self.controller_port;
        let listeners = match roles {
            "broker" => format!("PLAINTEXT://127.0.0.1:{own}"),
            "controller" => format!("CONTROLLER://127.0.0.1:{controller}"),
            _ => format!("PLAINTEXT://127.0.0.1:{own},CONTROLLER://127.0.0.1:{controller}"),
        };
        let (mut more_listeners, mut more_protocols) = (String::new(), String::new());
        if let Some(listener) = self.options.listener.as_ref().filter(|_| roles != "controller") {
            more_listeners = format!(",EXTRA://127.0.0.1:{}", listener.port);
            more_protocols = format!(",EXTRA:{}", listener.protocol);
        }
        let mut settings = format!(
            "node.id={id}\nprocess.roles={roles}\nlisteners={listeners}{more_listeners}\n\
             controller.listener.names=CONTROLLER\n\
             listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT{more_protocols}\n\
             controller.quorum.bootstrap.servers=127.0.0.1:{controller}\n"
        );
        for (name, value) in self.options.server_settings() {
            settings.push_str(&format!("{name}={value}\n"));
        }
        Plan {
            id,
            port,
            directory: self.directory.join(format!("node-{id}")),
            settings,
            java: self.java.clone(),
            lifetime: self.lifetime,
            patience: self.options.patience,
        }
    }
}

fn java_command(java: &Java, options: &Options, log4j: &Path, jars: &Path) -> Vec<String> {
    let mut command = vec![java.program().display().to_string()];
    command.extend(options.java_flags().iter().map(|flag| (*flag).to_owned()));
    command.push(format!("-Dlog4j2.configurationFile={}", log4j.display()));
    command.extend(["-cp".to_owned(), format!("{}/*", jars.display())]);
    command
}

/// Sixteen bytes as Kafka writes them; digits of base 16 are digits of base 64 too.
fn new_cluster_id() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let number = now.wrapping_mul(u128::from(std::process::id()) | 1);
    let digits = format!("{number:021X}");
    format!("{}A", digits.get(..21).unwrap_or("000000000000000000000"))
}
