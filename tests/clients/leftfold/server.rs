//! The server: started, killed, restarted on its data and its address.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use leftfold_kafka_clients::Broker;

/// Far more than it takes to start a server.
const STARTED_WITHIN: Duration = Duration::from_secs(60);
/// What the server prints before the address of its listener for Kafka's protocol.
const LISTENING: &str = "listening on kafka://";

/// The binary under test: the one that `LEFTFOLD_BIN` names, or the one that was built with the tests.
fn binary() -> PathBuf {
    std::env::var_os("LEFTFOLD_BIN").unwrap_or(env!("CARGO_BIN_EXE_leftfold").into()).into()
}

/// A process that is killed, without warning, when it is dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// A server with a store of its own.
pub(crate) struct Leftfold {
    process: Mutex<Option<Killed>>,
    address: String,
    data: tempfile::TempDir,
}

impl Leftfold {
    /// Starts a server on an empty store.
    pub(crate) fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let (process, address) = serve_kafka(data.path(), "127.0.0.1:0");
        Leftfold { process: Mutex::new(Some(process)), address, data }
    }

    /// Kills the server and starts it again.
    pub(crate) fn crash(&self) -> anyhow::Result<()> {
        let mut process = self.process.lock().unwrap();
        drop(process.take());
        *process = Some(serve_kafka(self.data.path(), &self.address).0);
        Ok(())
    }
}

impl Broker for Leftfold {
    fn bootstrap(&self) -> String {
        self.address.clone()
    }
}

/// Starts a server whose listener for Kafka's protocol has this address; gives it and the address.
fn serve_kafka(data: &Path, address: &str) -> (Killed, String) {
    let started = Instant::now();
    loop {
        let mut serve = Command::new(binary());
        serve.arg("--data").arg(data.join("store"));
        serve.args(["serve", "--listen", "127.0.0.1:0", "--kafka", address]);
        serve.args(["--log-level", "error"]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = Killed(serve.spawn().unwrap());
        let lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
        let mut lines = lines.map_while(Result::ok);
        if let Some(line) = lines.find(|line| line.starts_with(LISTENING)) {
            return (child, line.trim_start_matches(LISTENING).to_owned());
        }
        // The port that the killed one had may be free a moment later only.
        assert!(started.elapsed() < STARTED_WITHIN, "the server does not start");
    }
}
