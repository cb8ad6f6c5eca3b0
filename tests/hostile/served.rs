//! The server under test: the real binary, with users and small limits.

use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use leftfold_server::{Bytes, Config};
use tempfile::TempDir;
use tokio::net::{TcpSocket, TcpStream};

/// The password of the user `admin`.
const PASSWORD: &str = "correct horse battery";
/// The most files that the server may have open.
const OPEN_FILES: u32 = 1_024;
const MIB: u64 = 1 << 20;

/// The address that floods come from: one client has a share of everything at most, and the healthy one has its own.
const HOSTILE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// Where the clients go.
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// The value of the header `authorization`.
    pub(crate) authorization: String,
}

impl Target {
    /// Connects from the address of floods.
    pub(crate) async fn connect(&self) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((HOSTILE, 0).into())?;
        socket.connect(self.address).await
    }
}

/// Returns the value of the header `authorization` of a user.
pub(crate) fn authorization(user: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))
}

/// A server that is killed when it is dropped.
pub(crate) struct Served {
    process: Child,
    address: SocketAddr,
    config: Config,
    _data: TempDir,
}

/// The limits of the server: small, so that floods reach them within seconds. The sum of the memory that they allow is
/// below a gibibyte.
fn limits() -> Config {
    let mut config = Config::default();
    config.connections = 400;
    config.requests = 64;
    config.connection_requests = 64;
    config.subscriptions = 64;
    config.reserved_requests = 16;
    config.live_queries = 16;
    config.asks = 2;
    config.ask_bytes = Bytes(MIB);
    config.page_bytes = Bytes(MIB);
    config.event_bytes = Bytes(MIB);
    config.append_bytes = Bytes(8 * MIB);
    config.body_bytes = Bytes(8 * MIB);
    config.bodies_bytes = Bytes(48 * MIB);
    config.answers_bytes = Bytes(64 * MIB);
    config.queue_bytes = Bytes(16 * MIB);
    config.cache_bytes = Bytes(16 * MIB);
    config.index_cache_bytes = Bytes(16 * MIB);
    config.head_cache = 10_000;
    config.header_time = Duration::from_secs(2);
    config.body_time = Duration::from_secs(5);
    config.idle_time = Duration::from_secs(10);
    config.write_time = Duration::from_secs(3);
    config.shutdown_time = Duration::from_secs(10);
    config
}

fn binary() -> std::ffi::OsString {
    std::env::var_os("LEFTFOLD_BIN").unwrap_or(env!("CARGO_BIN_EXE_leftfold").into())
}

impl Served {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let data = TempDir::with_prefix("leftfold-hostile")?;
        let config = limits();
        let mut server = Command::new("sh");
        server.args(["-c", &format!("ulimit -n {OPEN_FILES}; exec \"$0\" \"$@\"")]);
        server.arg(binary()).arg("--data").arg(data.path());
        server.args(["serve", "--listen", "127.0.0.1:0", "--log-level", "error"]);
        let standard = Config::default();
        for setting in Config::SETTINGS {
            let (value, usual) = (setting.show(&config), setting.show(&standard));
            if value != usual {
                server.env(setting.env(), value);
            }
        }
        server.env("LEFTFOLD_ADMIN_PASSWORD", PASSWORD);
        let mut process = server.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let out = process.stdout.take().context("the server has no output")?;
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        let address = line.trim().strip_prefix("listening on http://");
        let address = address.context("the server does not start")?.parse()?;
        Ok(Served { process, address, config, _data: data })
    }

    pub(crate) fn target(&self) -> Target {
        Target { address: self.address, authorization: authorization("admin", PASSWORD) }
    }

    /// Returns the most bytes that the server may take by its limits.
    pub(crate) fn memory_bound(&self) -> u64 {
        self.config.most_memory()
    }

    /// Returns the most bytes that were in memory since the last call, where the system tells.
    pub(crate) fn take_memory_peak(&self) -> Option<u64> {
        let process = format!("/proc/{}", self.process.id());
        let status = std::fs::read_to_string(format!("{process}/status")).ok()?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kib: u64 = peak.trim().strip_suffix("kB")?.trim().parse().ok()?;
        // Begins a new peak; if it can't be, the peak is that since the start.
        _ = std::fs::write(format!("{process}/clear_refs"), "5");
        Some(kib << 10)
    }

    /// Returns how the process has ended, if it has.
    pub(crate) fn ended(&mut self) -> anyhow::Result<Option<std::process::ExitStatus>> {
        Ok(self.process.try_wait()?)
    }

    /// Asks the server to end, and waits for it.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        Command::new("kill").arg(self.process.id().to_string()).status()?;
        while self.ended()?.is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}
