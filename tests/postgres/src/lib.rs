//! A real PostgreSQL for tests and trials: started on a free port, killed, restarted.
//!
//! The programs are those of Debian's package `postgresql`; `cargo xtask test` installs it where it may. PostgreSQL
//! refuses to run as root: then the account `postgres` or `nobody` runs it.

use std::io::Write;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use leftfold_ports::Port;
use rustix::process::{Pid, Signal, kill_process};
use thiserror::Error;

/// Where Debian's packages put the programs of each version.
const INSTALLED: &str = "/usr/lib/postgresql";
/// How long a server may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(60);
/// The settings of each server that are not the usual ones.
const SETTINGS: &str = "wal_level = logical\nmax_replication_slots = 50\nmax_wal_senders = 50\nmax_connections = 200\n";
/// How often a server that starts is asked whether it answers.
const PERIOD: Duration = Duration::from_millis(20);

/// Why there is no server.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The programs are not there.
    #[error(
        "there is no PostgreSQL in {INSTALLED}: install Debian's package (apt-get install postgresql)"
    )]
    Missing,
    /// It can't run as root.
    #[error("PostgreSQL can't be run by root, and there is no account postgres or nobody")]
    NoAccount,
    /// A program failed.
    #[error("{program} failed: {reason}")]
    Program {
        /// Its name.
        program: &'static str,
        /// What it said.
        reason: String,
    },
    /// The server does not come up.
    #[error("PostgreSQL did not answer in time; its log: {log}")]
    Late {
        /// What it wrote.
        log: String,
    },
    /// A file or a process.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Returns the directory of the programs of the newest version.
///
/// # Errors
/// It is not installed.
pub fn programs() -> Result<PathBuf, ServerError> {
    let installed = std::fs::read_dir(INSTALLED).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = installed.map(|entry| entry.path().join("bin")).collect();
    found.retain(|bin| bin.join("initdb").exists());
    found.sort();
    found.pop().ok_or(ServerError::Missing)
}

/// A PostgreSQL with a data directory of its own. Dropping it stops the server and removes the data.
#[derive(Debug)]
pub struct Server {
    programs: PathBuf,
    account: Account,
    dir: tempfile::TempDir,
    port: Port,
    process: Option<Child>,
}

impl Server {
    /// Makes a new database and starts its server.
    ///
    /// # Errors
    /// PostgreSQL is not installed, or does not start.
    pub fn start() -> Result<Self, ServerError> {
        let (programs, account) = (programs()?, Account::find()?);
        let dir = tempfile::Builder::new().prefix("leftfold-postgres").tempdir()?;
        account.give(dir.path())?;
        let port = leftfold_ports::reserve()?;
        let mut server = Server { programs, account, dir, port, process: None };
        server.init()?;
        server.restart()?;
        Ok(server)
    }

    /// Returns the URL of its database.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port.number)
    }

    /// Returns its port.
    pub fn port(&self) -> u16 {
        self.port.number
    }

    /// Kills all its processes at once, as a power cut does.
    ///
    /// # Errors
    /// It can't be killed.
    pub fn kill(&mut self) -> Result<(), ServerError> {
        self.end(Signal::KILL)
    }

    /// Stops it: connections end, and all is written.
    ///
    /// # Errors
    /// It can't be stopped.
    pub fn stop(&mut self) -> Result<(), ServerError> {
        // The fast shutdown of PostgreSQL.
        self.end(Signal::INT)
    }

    /// Starts it again, on the same data and port, and waits until it answers.
    ///
    /// # Errors
    /// It does not start.
    pub fn restart(&mut self) -> Result<(), ServerError> {
        self.stop()?;
        self.spawn()?;
        self.wait_until_it_answers()
    }

    fn spawn(&mut self) -> Result<(), ServerError> {
        let log = std::fs::File::options().append(true).create(true).open(self.log())?;
        let mut command = Command::new(self.programs.join("postgres"));
        command.arg("-D").arg(self.data()).arg("-k").arg(self.dir.path());
        command.args(["-c", "listen_addresses=127.0.0.1", "-p", &self.port.number.to_string()]);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.account.run(&mut command);
        self.process = Some(command.spawn()?);
        Ok(())
    }

    fn wait_until_it_answers(&mut self) -> Result<(), ServerError> {
        let deadline = Instant::now() + PATIENCE;
        while !self.answers() {
            let ended = self.process.as_mut().map(Child::try_wait).transpose()?.flatten();
            let log = || std::fs::read_to_string(self.log()).unwrap_or_default();
            if let Some(status) = ended {
                let reason = format!("it ended by {status}; its log: {}", log());
                return Err(ServerError::Program { program: "postgres", reason });
            }
            if Instant::now() > deadline {
                return Err(ServerError::Late { log: log() });
            }
            // The server has no file or signal that says that it takes connections.
            std::thread::sleep(PERIOD);
        }
        Ok(())
    }

    fn answers(&self) -> bool {
        let mut command = Command::new(self.programs.join("pg_isready"));
        command.args(["-q", "-h", "127.0.0.1", "-p", &self.port.number.to_string()]);
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port.number)).is_ok()
            && command.status().is_ok_and(|status| status.success())
    }

    fn end(&mut self, signal: Signal) -> Result<(), ServerError> {
        let Some(mut child) = self.process.take() else { return Ok(()) };
        if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
            match signal {
                Signal::KILL => return kill_all(pid, child),
                // It may have ended by itself.
                _ => _ = kill_process(pid, signal),
            }
        }
        child.wait()?;
        Ok(())
    }

    fn init(&self) -> Result<(), ServerError> {
        let mut command = Command::new(self.programs.join("initdb"));
        command.args(["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]);
        command.args(["--username", "postgres"]).arg("-D").arg(self.data());
        self.account.run(&mut command);
        let output = command.output()?;
        match output.status.success() {
            true => self.configure(),
            false => {
                let reason = String::from_utf8_lossy(&output.stderr).into_owned();
                Err(ServerError::Program { program: "initdb", reason })
            }
        }
    }

    /// Sets what `alter system` may change: its log is good for logical replication.
    fn configure(&self) -> Result<(), ServerError> {
        let mut file =
            std::fs::File::options().append(true).open(self.data().join("postgresql.conf"))?;
        file.write_all(SETTINGS.as_bytes())?;
        Ok(())
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("log")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The data is removed: nothing has to be written first.
        _ = self.kill();
    }
}

/// Kills a server with the processes that it has started. They would go on for a moment, and commit what they have
/// received.
fn kill_all(server: Pid, mut child: Child) -> Result<(), ServerError> {
    _ = kill_process(server, Signal::STOP);
    let deadline = Instant::now() + PATIENCE;
    // The signal takes a moment, in which it may start one more: a server that starts again would find its memory in use.
    while state_of(server).is_some_and(|state| !state.starts_with(['T', 'Z'])) {
        if Instant::now() > deadline {
            let reason = "it does not stop when it is to".to_owned();
            return Err(ServerError::Program { program: "postgres", reason });
        }
        std::thread::sleep(PERIOD);
    }
    let started = processes_of(server)?;
    for process in started.iter().chain([&server]) {
        _ = kill_process(*process, Signal::KILL);
    }
    child.wait()?;
    while started.iter().any(|process| is_running(*process)) {
        if Instant::now() > deadline {
            let reason = "its processes do not end when they are killed".to_owned();
            return Err(ServerError::Program { program: "postgres", reason });
        }
        // They are nobody's children now.
        std::thread::sleep(PERIOD);
    }
    Ok(())
}

/// Returns the processes that a process has started.
fn processes_of(parent: Pid) -> std::io::Result<Vec<Pid>> {
    let parent = parent.as_raw_nonzero().to_string();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let pid =
            entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
        let Some(pid) = pid else { continue };
        if state_of(pid).is_some_and(|state| state.split(' ').nth(1) == Some(&*parent)) {
            found.push(pid);
        }
    }
    Ok(found)
}

/// Whether a process is there and has not ended.
fn is_running(process: Pid) -> bool {
    state_of(process).is_some_and(|state| !state.starts_with('Z'))
}

/// Returns what the system says of a process behind its name: its state, its parent, and more.
fn state_of(process: Pid) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())).ok()?;
    stat.rsplit_once(") ").map(|(_, state)| state.to_owned())
}

/// The account that runs the server; `None` is that of this process.
#[derive(Debug)]
struct Account(Option<(u32, u32)>);

impl Account {
    fn find() -> Result<Self, ServerError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Account(None));
        }
        let accounts = std::fs::read_to_string("/etc/passwd")?;
        let find = |name: &str| {
            let line = accounts.lines().find(|line| line.split(':').next() == Some(name))?;
            let mut numbers = line.split(':').skip(2).map(str::parse::<u32>);
            Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
        };
        let found = find("postgres").or_else(|| find("nobody")).ok_or(ServerError::NoAccount)?;
        Ok(Account(Some(found)))
    }

    fn give(&self, path: &Path) -> std::io::Result<()> {
        match self.0 {
            Some((user, group)) => chown(path, Some(user), Some(group)),
            None => Ok(()),
        }
    }

    fn run(&self, command: &mut Command) {
        if let Some((user, group)) = self.0 {
            command.uid(user).gid(group).current_dir("/");
        }
    }
}
