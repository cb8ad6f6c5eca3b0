//! A server in a process of its own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::Context;
use leftfold::client::{BlockingClient, Client};

/// The ticks of processor time in a second, as Linux reports them.
const TICKS: f64 = 100.0;
/// What the server prints before its address for Kafka's clients.
const KAFKA: &str = "listening for Kafka's clients on ";

/// A server process that is killed when it is dropped.
pub struct ServerProcess {
    child: Child,
    url: String,
    socket: PathBuf,
    kafka: Option<String>,
}

/// The processor time so far, in seconds: the client's and the server's.
#[derive(Clone, Copy)]
pub struct Cpu([f64; 2]);

impl Cpu {
    /// Returns the microseconds per operation since an earlier time.
    pub fn since(self, before: Cpu, operations: u64) -> [f64; 2] {
        let each = |n: usize| (self.0[n] - before.0[n]) * 1e6 / operations as f64;
        [each(0), each(1)]
    }
}

impl ServerProcess {
    /// Starts the server binary in the directory of this one.
    pub fn start(data: &Path) -> anyhow::Result<Self> {
        Self::start_with(data, &[])
    }

    /// Starts the server binary with further arguments.
    pub fn start_with(data: &Path, args: &[&str]) -> anyhow::Result<Self> {
        let this = std::env::current_exe()?;
        let binary = this.parent().context("this binary has no directory")?.join("leftfold");
        let socket = data.with_extension("socket");
        let mut child = Command::new(&binary)
            .arg("serve")
            .arg("--data")
            .arg(data)
            .args(["--listen", "127.0.0.1:0", "--log-level", "warn"])
            .args(args)
            .env("LEFTFOLD_SOCKET", &socket)
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {}", binary.display()))?;
        let stdout = child.stdout.take().context("the server has no output")?;
        let mut kafka = None;
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            if let Some(url) = line.strip_prefix("listening on ") {
                return Ok(ServerProcess { url: url.to_owned(), socket, kafka, child });
            }
            kafka = line.strip_prefix(KAFKA).map(str::to_owned).or(kafka);
        }
        anyhow::bail!("the server did not start")
    }

    /// Returns the address for Kafka's clients, if it was started with one.
    pub fn kafka(&self) -> Option<&str> {
        self.kafka.as_deref()
    }

    /// Returns the number of the process.
    pub fn number(&self) -> u32 {
        self.child.id()
    }

    /// Returns its URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns a client with a connection of its own, by the Unix socket.
    pub async fn local_client(&self) -> anyhow::Result<Client> {
        Ok(Client::connect(format!("unix:{}", self.socket.display())).await?)
    }

    /// Returns a client whose calls run on the thread that makes them.
    pub fn blocking_client(&self) -> anyhow::Result<BlockingClient> {
        let builder = Client::builder(&self.url);
        let connecting = std::thread::spawn(move || builder.connect_blocking());
        Ok(connecting.join().map_err(|_| anyhow::anyhow!("the thread has ended"))??)
    }

    /// Returns a client with a connection of its own.
    pub async fn client(&self) -> anyhow::Result<Client> {
        Ok(Client::connect(&self.url).await?)
    }

    /// Returns the processor time of this process and of the server.
    pub fn cpu(&self) -> Cpu {
        Cpu([processor_time("self"), processor_time(&self.child.id().to_string())])
    }

    /// Returns the server's memory, in bytes.
    pub fn memory(&self) -> u64 {
        memory(&self.child.id().to_string())
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Returns the resident memory of a process, in bytes.
pub fn memory(process: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or_default() * 1024
}

/// Returns the processor time of a process, or of this one by the name `self`, in seconds.
pub fn processor_time(process: &str) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name in parentheses may have any characters; the fields from the third on follow it.
    let fields = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |n: usize| fields.get(n).and_then(|field| field.parse::<f64>().ok());
    (ticks(11).unwrap_or_default() + ticks(12).unwrap_or_default()) / TICKS
}
