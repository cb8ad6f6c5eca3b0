//! The server of a system: a child process with its output in a file, on a free port, stopped in an
//! orderly way.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

/// The longest wait for a server to answer or to end.
const TIMEOUT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A running server. Dropping it kills it.
pub(crate) struct Server {
    child: Child,
    end: Signal,
    log: std::path::PathBuf,
}

impl Server {
    /// Starts a program; its output goes to a file beside its data.
    pub(crate) fn start(mut command: Command, data: &Path, end: Signal) -> anyhow::Result<Server> {
        let log = data.with_extension("log");
        let out = File::options().create(true).append(true).open(&log)?;
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().with_context(|| format!("starting {program}"))?;
        Ok(Server { child, end, log })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `look` succeeds.
    pub(crate) async fn ready<T>(
        &mut self,
        mut look: impl AsyncFnMut() -> Option<T>,
    ) -> anyhow::Result<T> {
        let started = Instant::now();
        loop {
            if let Some(found) = look().await {
                return Ok(found);
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("the server ended with {status}; see {}", self.log.display());
            }
            if started.elapsed() > TIMEOUT {
                bail!("the server does not answer; see {}", self.log.display());
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Waits until its port accepts connections.
    pub(crate) async fn listens(&mut self, port: u16) -> anyhow::Result<()> {
        let look = async || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok();
        self.ready(look).await.map(drop)
    }

    /// Asks it to end, and waits until it has.
    pub(crate) async fn close(mut self) -> anyhow::Result<()> {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(id.context("a process without a number")?, self.end)?;
        let started = Instant::now();
        while self.child.try_wait()?.is_none() {
            if started.elapsed() > TIMEOUT {
                bail!("the server does not end; see {}", self.log.display());
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            _ = self.child.kill();
            _ = self.child.wait();
        }
    }
}

/// The connections of a client that sends the requests of many callers over one. The fastest of 1, 2 and 8 or as fast as
/// that, for each of these clients.
pub(crate) const CONNECTIONS: usize = 2;

/// A pool of connections that several sessions share, because more connections would not be faster.
pub(crate) struct Shared<T> {
    most: usize,
    /// The connections in use, and how often one was shared.
    held: Mutex<(Vec<Weak<T>>, usize)>,
}

impl<T> Shared<T> {
    /// Makes a pool of at most this number of connections.
    pub(crate) fn new(most: usize) -> Self {
        Shared { most, held: Mutex::default() }
    }

    /// Returns a new connection, or the next one in turn if the pool is full.
    pub(crate) async fn get(
        &self,
        make: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<Arc<T>> {
        if let Some(held) = self.next() {
            return Ok(held);
        }
        let made = Arc::new(make.await?);
        self.lock().0.push(Arc::downgrade(&made));
        Ok(made)
    }

    fn next(&self) -> Option<Arc<T>> {
        let mut held = self.lock();
        let (all, given) = &mut *held;
        all.retain(|one| one.strong_count() > 0);
        if all.len() < self.most {
            return None;
        }
        *given += 1;
        all.get(*given % all.len())?.upgrade()
    }

    fn lock(&self) -> MutexGuard<'_, (Vec<Weak<T>>, usize)> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns a port that is free now.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connections_are_shared_at_the_limit_and_close_with_their_last_user() {
        let shared = Shared::new(2);
        let made = std::cell::Cell::new(0);
        let get = || {
            shared.get(async {
                made.set(made.get() + 1);
                Ok(made.get())
            })
        };
        let held = [get().await.unwrap(), get().await.unwrap(), get().await.unwrap()];
        assert_eq!(made.get(), 2);
        drop(held);
        assert_eq!(*get().await.unwrap(), 3);
    }
}
