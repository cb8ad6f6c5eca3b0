use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use leftfold_java::{Directory, Java, Lifetime, Process, note, tail};
use leftfold_ports::Port;
use rustix::process::Signal;

use crate::error::ServerError;
use crate::{jars, probe};

/// The directory of all servers, below the system's temporary directory.
const FAMILY: &str = "leftfold-opensearch";
const NODE: &str = include_str!("../SearchNode.java");
/// Starts quickly and is small.
const FLAGS: [&str; 5] =
    ["-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"];
/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often a node that starts is asked whether it answers.
const PERIOD: Duration = Duration::from_millis(50);

/// A node of OpenSearch with data of its own. Dropping it ends the node and removes the data.
#[derive(Debug)]
pub struct Server {
    directory: Directory,
    http: Port,
    /// Reserved for as long as the node may be restarted.
    _transport: Port,
    java: Vec<String>,
    process: Mutex<Option<Process>>,
}

impl Server {
    /// Starts a node without data, and waits until it answers.
    ///
    /// # Errors
    /// There is no Java, the jars can't be fetched, or the node does not start.
    pub fn start() -> Result<Self, ServerError> {
        let java = Java::find()?;
        let jars = jars().directory(&java)?;
        let directory = Directory::create(FAMILY)?;
        let (http, transport) = (leftfold_ports::reserve()?, leftfold_ports::reserve()?);
        let node = directory.path.join("node");
        fs::create_dir_all(node.join("config"))?;
        compile(&java, &jars, &directory.path)?;
        let mut command = vec![java.program().display().to_string()];
        command.extend(FLAGS.map(str::to_owned));
        let classes = format!("{}:{}/*", directory.path.display(), jars.display());
        command.extend(["-cp".to_owned(), classes, "SearchNode".to_owned()]);
        command.push(node.display().to_string());
        command.extend([http.number.to_string(), transport.number.to_string()]);
        let process = Mutex::default();
        let server = Server { directory, http, _transport: transport, java: command, process };
        server.restart()?;
        Ok(server)
    }

    /// Returns the address for clients.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.http.number))
    }

    /// Returns the URL for clients.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Kills the process with `SIGKILL`. Does nothing if it is dead.
    ///
    /// # Errors
    /// It can't be killed.
    pub fn kill(&self) -> Result<(), ServerError> {
        Ok(self.process().take().map_or(Ok(()), Process::kill)?)
    }

    /// Pauses the process with `SIGSTOP`; its connections stay open.
    ///
    /// # Errors
    /// It is dead.
    pub fn pause(&self) -> Result<(), ServerError> {
        self.signal(Signal::STOP)
    }

    /// Resumes the paused process.
    ///
    /// # Errors
    /// It is dead.
    pub fn resume(&self) -> Result<(), ServerError> {
        self.signal(Signal::CONT)
    }

    /// Kills the process if it is alive, starts it with its ports and data, and waits until it answers.
    ///
    /// # Errors
    /// It does not start.
    pub fn restart(&self) -> Result<(), ServerError> {
        self.kill()?;
        let process = Process::start(&self.java, &self.log(), Lifetime::WithParent)?;
        fs::write(note(&self.node()), process.number().to_string())?;
        *self.process() = Some(process);
        self.wait_until_it_answers()
    }

    fn wait_until_it_answers(&self) -> Result<(), ServerError> {
        let started = Instant::now();
        while !matches!(probe::is_ready(self.http.number), Ok(true)) {
            let log = self.log();
            if self.process().as_mut().is_none_or(|process| process.ended().is_some()) {
                let tail = tail(&log, 12);
                return Err(ServerError::Ended { log, tail });
            }
            let waited = started.elapsed();
            if waited > PATIENCE {
                return Err(ServerError::NotReady { waited, log });
            }
            // A node has no file or signal that says that it takes requests.
            std::thread::sleep(PERIOD);
        }
        Ok(())
    }

    fn signal(&self, signal: Signal) -> Result<(), ServerError> {
        Ok(self.process().as_ref().map_or(Ok(()), |process| process.signal(signal))?)
    }

    /// Returns the directory of the node: its data, and the note of its process.
    fn node(&self) -> PathBuf {
        self.directory.path.join("node")
    }

    fn log(&self) -> PathBuf {
        self.directory.path.join("server.log")
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Compiles the node's own class, into a directory.
fn compile(java: &Java, jars: &Path, directory: &Path) -> Result<(), ServerError> {
    let source = directory.join("SearchNode.java");
    fs::write(&source, NODE)?;
    let mut compiler = Command::new(java.compiler()?);
    compiler.arg("-cp").arg(jars.join("*")).arg("-d").arg(directory).arg(&source);
    let output = compiler.stdin(Stdio::null()).output()?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let reason = String::from_utf8_lossy(&output.stderr).into_owned();
            Err(ServerError::Compile { reason })
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // What remains is cleaned up by the next start.
        _ = self.kill();
        _ = fs::remove_dir_all(self.node());
    }
}
