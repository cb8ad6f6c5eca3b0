//! Work on the store as a whole, as every protocol does it: never on a network thread.

use std::path::PathBuf;
use std::sync::Arc;

use leftfold_api::{Invalid, ReadError, VerifySummary};
use tokio::sync::{Mutex, Semaphore};

use crate::state::State;

/// Inspections at the same time. Each reads index files and needs a thread.
const INSPECTIONS: usize = 4;
/// Bytes of a backup's name.
const BACKUP_NAME: usize = 100;

/// The limits of work on the store as a whole.
pub(crate) struct Administration {
    /// Held by a scavenge, a backup or a verification.
    alone: Arc<Mutex<()>>,
    inspections: Arc<Semaphore>,
}

/// Why work was not done.
#[derive(Debug)]
pub(crate) enum WorkError {
    /// Other work that runs alone is under way.
    Busy,
    /// The work panicked.
    Panicked,
}

impl WorkError {
    /// Returns a stable code.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            WorkError::Busy => "server_overloaded",
            WorkError::Panicked => "internal_error",
        }
    }

    /// Returns what to tell the client.
    pub(crate) fn message(&self) -> &'static str {
        match self {
            WorkError::Busy => {
                "a scavenge, a backup, a verification or a look at what can be scavenged is under \
                 way; try again later"
            }
            WorkError::Panicked => "the work ended with a panic; the server's log tells more",
        }
    }

    /// Returns whether the same request may succeed later.
    pub(crate) fn can_retry(&self) -> bool {
        matches!(self, WorkError::Busy)
    }
}

impl Administration {
    pub(crate) fn new() -> Self {
        Administration { alone: Arc::default(), inspections: Arc::new(Semaphore::new(INSPECTIONS)) }
    }
}

impl State {
    /// Runs a call that reads some files. Only a few of them run at the same time; others wait.
    pub(crate) async fn inspect<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&State) -> T + Send + 'static,
    ) -> Result<T, WorkError> {
        let permit = self.administration.inspections.clone().acquire_owned().await;
        self.on_blocking_thread(permit, work).await
    }

    /// Runs work that reads or writes much, unless other such work is under way.
    pub(crate) async fn run_alone<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&State) -> T + Send + 'static,
    ) -> Result<T, WorkError> {
        let alone = self.administration.alone.clone().try_lock_owned();
        let alone = alone.map_err(|_| WorkError::Busy)?;
        self.on_blocking_thread(alone, work).await
    }

    /// Verifies the store, unless other work that runs alone is under way, until the caller is gone or the
    /// server shuts down.
    pub(crate) async fn verify(
        self: &Arc<Self>,
    ) -> Result<Result<VerifySummary, ReadError>, WorkError> {
        let wanted = Arc::new(());
        let is_wanted = Arc::downgrade(&wanted);
        let work = move |state: &State| {
            let go_on = &mut || is_wanted.strong_count() > 0 && !state.is_closing();
            state.store.administration().verify(go_on)
        };
        let verified = self.run_alone(work).await;
        drop(wanted);
        verified
    }

    /// Runs work on a thread that may block. The permit is held until the work has ended, even if its
    /// caller is gone by then.
    async fn on_blocking_thread<T: Send + 'static>(
        self: &Arc<Self>,
        permit: impl Send + 'static,
        work: impl FnOnce(&State) -> T + Send + 'static,
    ) -> Result<T, WorkError> {
        let state = self.clone();
        let done = tokio::task::spawn_blocking(move || {
            let done = work(&state);
            drop(permit);
            done
        });
        done.await.map_err(|_| WorkError::Panicked)
    }

    /// Returns the directory of a backup: it has this name, inside the directory for backups.
    ///
    /// # Errors
    /// `backups_off`, `name_invalid`.
    pub(crate) fn backup_directory(&self, name: &str) -> Result<PathBuf, Invalid> {
        let Some(backups) = &self.config.backups else {
            let message = "the server has no directory for backups; set `backups`";
            return Err(Invalid::new("backups_off", message.to_owned()));
        };
        let is_plain = |c: char| !c.is_control() && c != '/' && c != '\\';
        let has_length = (1..=BACKUP_NAME).contains(&name.len());
        if has_length && !name.starts_with('.') && name.chars().all(is_plain) {
            return Ok(backups.join(name));
        }
        let message = format!(
            "backup {name:?}: the name of a backup has 1 to {BACKUP_NAME} bytes without slashes \
             and control characters, and does not begin with a dot"
        );
        Err(Invalid::new("name_invalid", message))
    }
}
