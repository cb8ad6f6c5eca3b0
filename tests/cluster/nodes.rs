//! Nodes of a cluster: processes of the real binary, which keep their ports and directories.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use leftfold::client::Client;
use leftfold_ports::Port;
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Far more than anything here takes.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);
/// The pause before a node is asked again.
const AGAIN: Duration = Duration::from_millis(20);
const ANSWERED_WITHIN: Duration = Duration::from_secs(2);

/// A node. It is killed when it is dropped.
pub(crate) struct Node {
    pub(crate) name: String,
    listen: Port,
    listen_peers: Port,
    data: PathBuf,
    bootstrap: String,
    partitions: u32,
    /// Whether it listens for Kafka's clients, on a port of its own choice.
    serves_kafka: bool,
    process: Mutex<Option<Child>>,
}

pub(crate) fn binary() -> PathBuf {
    std::env::var_os("LEFTFOLD_BIN").unwrap_or(env!("CARGO_BIN_EXE_leftfold").into()).into()
}

impl Node {
    /// Returns a node of a cluster with this number of partitions, which does not run yet.
    pub(crate) fn new(name: &str, data: PathBuf, bootstrap: String, partitions: u32) -> Self {
        let [listen, listen_peers] = [(), ()].map(|()| leftfold_ports::reserve().unwrap());
        std::fs::create_dir_all(&data).unwrap();
        let process = Mutex::new(None);
        let (name, serves_kafka) = (name.to_owned(), false);
        Node { name, listen, listen_peers, data, bootstrap, partitions, serves_kafka, process }
    }

    /// Lets it listen for Kafka's clients from its next start on.
    pub(crate) fn serving_kafka(mut self, serves_kafka: bool) -> Self {
        self.serves_kafka = serves_kafka;
        self
    }

    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.listen.number))
    }

    /// Returns a client of this node only.
    pub(crate) fn client(&self, timeout: Duration) -> Client {
        let client = Client::builder(self.address().to_string());
        client.timeout(timeout).reconnect_time(DEADLINE).connect_lazily().unwrap()
    }

    /// Starts the process and waits until it serves. It is started again if it ends before, as a service manager does.
    pub(crate) fn start(&self) {
        let started = Instant::now();
        let mut process = self.process.lock();
        loop {
            let mut child = self.spawn();
            let output = BufReader::new(child.stdout.take().unwrap());
            *process = Some(child);
            if output.lines().map_while(Result::ok).any(|line| line.starts_with("listening on ")) {
                return;
            }
            kill(process.take());
            assert!(
                started.elapsed() < DEADLINE,
                "node {} does not start: {}",
                self.name,
                self.output()
            );
        }
    }

    fn spawn(&self) -> Child {
        let log = File::options().create(true).append(true).open(self.data.join("log")).unwrap();
        let [listen, peers] =
            [&self.listen, &self.listen_peers].map(|p| format!("127.0.0.1:{}", p.number));
        let mut command = Command::new(binary());
        command.arg("--data").arg(self.data.join("data"));
        command.args(["serve", "--engine", "kafka", "--cluster", "test", "--log-level", "info"]);
        command.args(["--bootstrap", &self.bootstrap, "--node-name", &self.name]);
        command.args(["--listen", &listen, "--node-listen", &peers]);
        command.args(["--partitions", &self.partitions.to_string()]);
        if self.serves_kafka {
            command.args(["--kafka-listen", "127.0.0.1:0"]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().unwrap()
    }

    /// Returns the end of what the process has reported.
    pub(crate) fn output(&self) -> String {
        let text = std::fs::read(self.data.join("log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// `kill -9`.
    pub(crate) fn kill(&self) {
        kill(self.process.lock().take());
    }

    /// Removes all files of a node that was killed, but its reports.
    pub(crate) fn lose_disk(&self) {
        std::fs::remove_dir_all(self.data.join("data")).unwrap();
    }

    /// Sends `SIGTERM` and waits for the end.
    pub(crate) fn terminate(&self) {
        let mut child = self.process.lock().take().unwrap();
        kill_process(pid(&child), Signal::TERM).unwrap();
        let status = child.wait().unwrap();
        assert!(status.success(), "node {}: {status}: {}", self.name, self.output());
    }

    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(pid(self.process.lock().as_ref().unwrap()), signal).unwrap();
    }

    /// Returns the number of its process.
    pub(crate) fn process_id(&self) -> u32 {
        self.process.lock().as_ref().unwrap().id()
    }

    /// Returns the directory of the node, in which `data` is its store's.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// Lets the node give its partitions to others.
    pub(crate) fn drain(&self) {
        self.ask("POST", "/v1/cluster/drain").unwrap();
    }

    /// Returns what the node says of its cluster, if it answers.
    pub(crate) fn status(&self) -> Option<Value> {
        serde_json::from_str(&self.ask("GET", "/v1/cluster")?).ok()
    }

    /// Returns the position that the node's copy of partition 0 has applied.
    pub(crate) fn applied(&self) -> u64 {
        self.status().unwrap()["partitions"][0]["applied"].as_u64().unwrap()
    }

    /// Sends a request without a body; returns the body of the answer, if there is one.
    fn ask(&self, method: &str, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect_timeout(&self.address(), ANSWERED_WITHIN).ok()?;
        stream.set_read_timeout(Some(ANSWERED_WITHIN)).ok()?;
        let head = "HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\nconnection: close";
        let request = format!("{method} {path} {head}\r\n\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer.split_once("\r\n\r\n")?.1.to_owned())
    }

    /// Returns the role of the node for each partition, by number.
    pub(crate) fn roles(&self) -> Option<Vec<String>> {
        let status = self.status()?;
        let partitions = status["partitions"].as_array()?.iter();
        partitions.map(|partition| Some(partition["role"].as_str()?.to_owned())).collect()
    }

    /// Whether the node says that it owns a partition.
    pub(crate) fn owns_any(&self) -> bool {
        self.roles().is_some_and(|roles| roles.iter().any(|role| role == "owner"))
    }

    /// Waits until what the node says of its cluster is as wanted.
    pub(crate) fn wait_until(&self, what: &str, is_wanted: impl Fn(&Value) -> bool) {
        let started = Instant::now();
        loop {
            let status = self.status();
            if status.as_ref().is_some_and(&is_wanted) {
                return;
            }
            let late = started.elapsed() > DEADLINE;
            assert!(!late, "node {}: {what}: {status:?}: {}", self.name, self.output());
            std::thread::sleep(AGAIN);
        }
    }
}

fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}

fn kill(child: Option<Child>) {
    let Some(mut child) = child else { return };
    _ = child.kill();
    _ = child.wait();
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}
