use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use leftfold_java::{Lifetime, Process, note, tail};
use leftfold_ports::Port;
use rustix::process::Signal;

use crate::error::BrokerError;
use crate::probe;

/// The pause between two probes of a starting node.
const BETWEEN_QUESTIONS: Duration = Duration::from_millis(50);

/// One node of a cluster: a directory, a port, and a process that can be restarted.
#[derive(Debug)]
pub struct Node {
    id: i32,
    port: Port,
    directory: PathBuf,
    java: Vec<String>,
    lifetime: Lifetime,
    patience: Duration,
    process: Mutex<Option<Process>>,
}

/// The settings of a node.
pub(crate) struct Plan {
    pub(crate) id: i32,
    pub(crate) port: Port,
    pub(crate) directory: PathBuf,
    pub(crate) settings: String,
    /// `java` and all its arguments up to the class.
    pub(crate) java: Vec<String>,
    pub(crate) lifetime: Lifetime,
    pub(crate) patience: Duration,
}

impl Node {
    /// Writes the node's settings and formats its data directory.
    pub(crate) fn format(plan: Plan, format: &[String]) -> Result<Self, BrokerError> {
        let Plan { id, port, directory, settings, java, lifetime, patience } = plan;
        fs::create_dir_all(&directory).map_err(BrokerError::at(&directory))?;
        let properties = directory.join("server.properties");
        let text = format!("{settings}log.dirs={}\n", directory.join("data").display());
        fs::write(&properties, text).map_err(BrokerError::at(&properties))?;
        let log = directory.join("format.log");
        let output = fs::File::create(&log).map_err(BrokerError::at(&log))?;
        let errors = output.try_clone().map_err(BrokerError::at(&log))?;
        let (program, arguments) =
            java.split_first().map_or(("java", [].as_slice()), |(p, a)| (p, a));
        let mut tool = Command::new(program);
        tool.args(arguments).args(["kafka.tools.StorageTool", "format"]).args(format);
        tool.arg("--config").arg(&properties);
        tool.stdin(Stdio::null()).stdout(output).stderr(errors);
        let status = tool.status().map_err(BrokerError::io("formatting a data directory"))?;
        if !status.success() {
            let tail = tail(&log, 12);
            return Err(BrokerError::Ended { node: name(id), log, tail });
        }
        let java =
            [java, vec!["kafka.Kafka".to_owned(), properties.display().to_string()]].concat();
        let process = Mutex::new(None);
        Ok(Node { id, port, directory, java, lifetime, patience, process })
    }

    /// Returns the node id.
    pub fn id(&self) -> i32 {
        self.id
    }

    /// Returns the address for clients.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port.number))
    }

    /// Returns the file with the node's output.
    pub fn log(&self) -> PathBuf {
        self.directory.join("server.log")
    }

    /// Kills the process with `SIGKILL`. Does nothing if it is dead.
    pub fn kill(&self) -> Result<(), BrokerError> {
        Ok(self.process().take().map_or(Ok(()), Process::kill)?)
    }

    /// Pauses the process with `SIGSTOP`; its connections stay open.
    pub fn pause(&self) -> Result<(), BrokerError> {
        self.signal(Signal::STOP)
    }

    /// Resumes the paused process.
    pub fn resume(&self) -> Result<(), BrokerError> {
        self.signal(Signal::CONT)
    }

    /// Kills the process if it is alive, starts it with its port and data, and waits until it is ready.
    pub fn restart(&self) -> Result<(), BrokerError> {
        self.kill()?;
        self.start()?;
        self.wait_until_lists(&[self.id])
    }

    pub(crate) fn start(&self) -> Result<(), BrokerError> {
        let process = Process::start(&self.java, &self.log(), self.lifetime)?;
        let note = note(&self.directory);
        fs::write(&note, process.number().to_string()).map_err(BrokerError::at(&note))?;
        *self.process() = Some(process);
        Ok(())
    }

    /// Waits until the broker lists all these brokers as alive.
    pub(crate) fn wait_until_lists(&self, brokers: &[i32]) -> Result<(), BrokerError> {
        let started = Instant::now();
        loop {
            self.check_alive()?;
            let why = match probe::live_brokers(self.port.number) {
                Ok(known) if brokers.iter().all(|id| known.contains(id)) => return Ok(()),
                Ok(known) => format!("it lists brokers {known:?}, expected {brokers:?}"),
                Err(error) => error.to_string(),
            };
            let waited = started.elapsed();
            if waited > self.patience {
                return Err(BrokerError::NotReady {
                    node: name(self.id),
                    waited,
                    why,
                    log: self.log(),
                });
            }
            std::thread::sleep(BETWEEN_QUESTIONS);
        }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns whether the process is alive, even if it is paused.
    pub fn is_alive(&self) -> bool {
        self.process().as_mut().is_some_and(|process| process.ended().is_none())
    }

    fn check_alive(&self) -> Result<(), BrokerError> {
        if self.is_alive() {
            return Ok(());
        }
        let log = self.log();
        let tail = tail(&log, 12);
        Err(BrokerError::Ended { node: name(self.id), log, tail })
    }

    fn signal(&self, signal: Signal) -> Result<(), BrokerError> {
        Ok(self.process().as_ref().map_or(Ok(()), |process| process.signal(signal))?)
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name(id: i32) -> String {
    if id == crate::cluster::CONTROLLER {
        "the controller".to_owned()
    } else {
        format!("broker {id}")
    }
}
