//! A peer's server: a child of this process with its output in a file, on a port that was free,
//! ended in good order.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How long a server may take to answer, and to end.
const PATIENCE: Duration = Duration::from_secs(60);
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// A running server. Dropping it kills it.
pub(crate) struct Server {
    child: Child,
    end: Signal,
    log: std::path::PathBuf,
}

impl Server {
    /// Starts a program; what it prints goes into a file beside its data.
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

    /// Waits until a look at it succeeds.
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
            if started.elapsed() > PATIENCE {
                bail!("the server does not answer; see {}", self.log.display());
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }

    /// Waits until its port takes connections.
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
            if started.elapsed() > PATIENCE {
                bail!("the server does not end; see {}", self.log.display());
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
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

/// Connections that many share when there are more who ask than connections do any good.
pub(crate) struct Shared<T> {
    most: usize,
    /// Those that somebody holds, and how many were given out.
    held: Mutex<(Vec<Weak<T>>, usize)>,
}

impl<T> Shared<T> {
    /// At most so many at a time.
    pub(crate) fn new(most: usize) -> Self {
        Shared { most, held: Mutex::default() }
    }

    /// One of them: a new one, or, if there are as many as there may be, the next in turn.
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

/// A port that nobody uses now.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connections_are_shared_when_there_are_enough_and_end_with_their_last_holder() {
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
