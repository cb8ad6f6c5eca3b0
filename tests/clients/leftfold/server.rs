//! The server: started, killed, restarted on its data and its address.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use leftfold_kafka_clients::{Broker, Endpoint, Login};

/// Far more than it takes to start a server.
const STARTED_WITHIN: Duration = Duration::from_secs(60);
/// What the server prints before the address of its listener for Kafka's protocol.
const LISTENING: &str = "listening for Kafka's clients on ";
/// What it prints last, before its URL.
const READY: &str = "listening on ";
/// The password of the user `admin`.
const ADMIN_PASSWORD: &str = "admin-secret";
/// The user of the clients, and its password.
const USER: [&str; 2] = ["alice", "alice-secret"];

/// The binary under test: the one that `LEFTFOLD_BIN` names, or the one that was built with the tests.
fn binary() -> Command {
    let path: PathBuf =
        std::env::var_os("LEFTFOLD_BIN").unwrap_or(env!("CARGO_BIN_EXE_leftfold").into()).into();
    Command::new(path)
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
        Self::start_with(&[])
    }

    /// Starts a server with these arguments, which a crash does not keep.
    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        let data = tempfile::tempdir().unwrap();
        let serving = serve(data.path(), "127.0.0.1:0", arguments);
        Leftfold { process: Mutex::new(Some(serving.process)), address: serving.kafka, data }
    }

    /// Kills the server and starts it again.
    pub(crate) fn crash(&self) -> anyhow::Result<()> {
        let mut process = self.process.lock().unwrap();
        drop(process.take());
        *process = Some(serve(self.data.path(), &self.address, &[]).process);
        Ok(())
    }
}

impl Broker for Leftfold {
    fn bootstrap(&self) -> String {
        self.address.clone()
    }
}

/// A server with TLS and users.
pub(crate) struct SecuredLeftfold {
    serving: Serving,
    data: tempfile::TempDir,
}

impl SecuredLeftfold {
    /// Starts a server with a certificate, and adds the clients' user.
    pub(crate) fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let certificates = data.path().join("certificates");
        let made = binary().arg("cert").arg("--to").arg(&certificates).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let file = |name: &str| certificates.join(name).to_str().unwrap().to_owned();
        let (certificate, key) = (file("server.pem"), file("server-key.pem"));
        let tls = ["--tls-certificate", &certificate, "--tls-key", &key];
        let server = SecuredLeftfold { serving: serve(data.path(), "127.0.0.1:0", &tls), data };
        server.command(&["user", "add", USER[0]], USER[1]).unwrap();
        server
    }

    /// Lets the user write and read a topic as members of a group, and nothing else.
    pub(crate) fn grant(&self, topic: &str, group: &str) -> anyhow::Result<()> {
        let topic = format!("category:{topic}");
        let written = format!("{topic} or stream:{group}");
        self.command(&["grant", "add", "--user", USER[0], "append", &written], "")?;
        self.command(&["grant", "add", "--user", USER[0], "read", &topic], "")
    }

    /// Returns its address with a login by a mechanism.
    pub(crate) fn endpoint(&self, mechanism: &'static str) -> Endpoint {
        let [user, password] = USER.map(str::to_owned);
        let login = Login { user, password, mechanism, ca: Some(self.ca()) };
        Endpoint { bootstrap: self.serving.kafka.clone(), login: Some(login) }
    }

    fn ca(&self) -> PathBuf {
        self.data.path().join("certificates/ca.pem")
    }

    /// Runs a command of the binary as the administrator, with this input.
    fn command(&self, words: &[&str], input: &str) -> anyhow::Result<()> {
        let mut command = binary();
        command.args(["--server", &self.serving.url, "--as", "admin", "--ca"]).arg(self.ca());
        command.args(words).env("LEFTFOLD_PASSWORD", ADMIN_PASSWORD);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let mut stdin = child.stdin.take().context("no input")?;
        writeln!(stdin, "{input}")?;
        drop(stdin);
        let output = child.wait_with_output()?;
        ensure!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }
}

/// A running server, and where it listens.
struct Serving {
    process: Killed,
    kafka: String,
    url: String,
}

/// Starts a server whose listener for Kafka's protocol has this address.
fn serve(data: &Path, address: &str, arguments: &[&str]) -> Serving {
    let started = Instant::now();
    loop {
        let mut serve = binary();
        serve.arg("--data").arg(data.join("store"));
        serve.args(["serve", "--listen", "127.0.0.1:0", "--kafka", address]).args(arguments);
        // Without TLS the clients need no login.
        if arguments.contains(&"--tls-key") {
            serve.env("LEFTFOLD_ADMIN_PASSWORD", ADMIN_PASSWORD);
        }
        serve.args(["--log-level", "error"]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = Killed(serve.spawn().unwrap());
        let lines = BufReader::new(process.0.stdout.take().unwrap()).lines();
        let mut lines = lines.map_while(Result::ok);
        let mut find =
            |prefix: &str| lines.find_map(|line| line.strip_prefix(prefix).map(str::to_owned));
        if let (Some(kafka), Some(url)) = (find(LISTENING), find(READY)) {
            return Serving { process, kafka, url };
        }
        // The port that the killed one had may be free a moment later only.
        assert!(started.elapsed() < STARTED_WITHIN, "the server does not start");
    }
}
