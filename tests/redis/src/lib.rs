//! A real Redis for tests and trials: started on a free port, killed, restarted.
//!
//! The program is that of Debian's package `redis-server`; `cargo xtask test` installs it where it may.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use leftfold_ports::Port;
use thiserror::Error;

/// Where packages put the program.
const INSTALLED: [&str; 2] = ["/usr/bin/redis-server", "/usr/local/bin/redis-server"];
/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a server that starts is asked whether it answers.
const PERIOD: Duration = Duration::from_millis(10);
/// How long it may take to answer then.
const ANSWER: Duration = Duration::from_secs(5);

/// Why there is no server.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The program is not there.
    #[error("there is no Redis: install Debian's package (apt-get install redis-server)")]
    Missing,
    /// The server does not come up.
    #[error("Redis did not answer in time; its log: {log}")]
    Late {
        /// What it wrote.
        log: String,
    },
    /// A file or a process.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Returns the program.
///
/// # Errors
/// It is not installed.
pub fn program() -> Result<PathBuf, ServerError> {
    let mut installed = INSTALLED.iter().map(Path::new).filter(|path| path.exists());
    installed.next().map(Path::to_owned).ok_or(ServerError::Missing)
}

/// A Redis with a data directory of its own. Dropping it kills the server and removes the data.
#[derive(Debug)]
pub struct Server {
    program: PathBuf,
    options: Vec<String>,
    dir: tempfile::TempDir,
    port: Port,
    process: Option<Child>,
}

impl Server {
    /// Starts a server, with more options such as `--appendonly yes`. Without them it keeps nothing when it ends.
    ///
    /// # Errors
    /// Redis is not installed, or does not start.
    pub fn start(options: &[&str]) -> Result<Self, ServerError> {
        let program = program()?;
        let dir = tempfile::Builder::new().prefix("leftfold-redis").tempdir()?;
        let port = leftfold_ports::reserve()?;
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        let mut server = Server { program, options, dir, port, process: None };
        server.restart()?;
        Ok(server)
    }

    /// Returns its URL.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port.number)
    }

    /// Returns its port.
    pub fn port(&self) -> u16 {
        self.port.number
    }

    /// Kills it at once.
    ///
    /// # Errors
    /// It can't be killed.
    pub fn kill(&mut self) -> Result<(), ServerError> {
        let Some(mut child) = self.process.take() else { return Ok(()) };
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Kills it and starts it again, on the same data and port, and waits until it answers.
    ///
    /// # Errors
    /// It does not start.
    pub fn restart(&mut self) -> Result<(), ServerError> {
        self.kill()?;
        let log = std::fs::File::options().append(true).create(true).open(self.log())?;
        let mut command = Command::new(&self.program);
        command.args(["--bind", "127.0.0.1", "--port", &self.port.number.to_string()]);
        command.args(["--save", "", "--dir"]).arg(self.dir.path()).args(&self.options);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.process = Some(command.spawn()?);
        self.wait_until_it_answers()
    }

    fn wait_until_it_answers(&mut self) -> Result<(), ServerError> {
        let deadline = Instant::now() + PATIENCE;
        while !self.answers() {
            let ended =
                self.process.as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None)));
            if ended || Instant::now() > deadline {
                let log = std::fs::read_to_string(self.log()).unwrap_or_default();
                return Err(ServerError::Late { log });
            }
            // The server has no file or signal that says that it takes connections.
            std::thread::sleep(PERIOD);
        }
        Ok(())
    }

    /// Whether it answers, and has read its data.
    fn answers(&self) -> bool {
        let ask = || {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port.number))?;
            stream.set_read_timeout(Some(ANSWER))?;
            stream.write_all(b"PING\r\n")?;
            let mut answer = [0; 5];
            stream.read_exact(&mut answer).map(|()| answer)
        };
        // One that wants a password says so.
        ask().is_ok_and(|answer: [u8; 5]| answer == *b"+PONG" || answer == *b"-NOAU")
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
