use std::io;

use parking_lot::{Condvar, Mutex};

/// Counts of a disk's operations since it was created.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Reads of a file.
    pub reads: u64,
    /// Bytes read.
    pub bytes_read: u64,
    /// Prefetches of a file.
    pub announced: u64,
    /// Reads of what was announced.
    pub announced_reads: u64,
    /// Writes to a file.
    pub writes: u64,
    /// Syncs of a file.
    pub syncs: u64,
    /// Changes of any kind: the numbers at which [`super::FakeDisk::cut_power_at`] can cut.
    pub changes: u64,
}

#[derive(Debug, Default)]
pub(super) struct Faults {
    state: Mutex<State>,
}

/// The kinds of syncs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syncs {
    /// Of the bytes of a file.
    Files,
    /// Of the names in a directory.
    Directories,
}

/// Syncs that answer success and keep nothing.
#[derive(Debug, Clone, Copy)]
struct Lies {
    every: u64,
    of: Syncs,
    /// The syncs of that kind so far.
    count: u64,
}

#[derive(Debug, Default)]
struct State {
    counts: Counts,
    cut_at: Option<u64>,
    failing_syncs: u64,
    failing_writes: u64,
    capacity: Option<u64>,
    is_read_only: bool,
    refused_opens: Option<String>,
    lies: Option<Lies>,
}

/// The outcome of an operation.
pub(super) enum Outcome {
    Success,
    /// The power is cut during this operation.
    PowerCut,
}

pub(super) fn power_is_off() -> io::Error {
    io::Error::other("the power is off (fake disk)")
}

impl Faults {
    pub(super) fn counts(&self) -> Counts {
        self.state.lock().counts
    }

    pub(super) fn cut_at(&self, change: u64) {
        self.state.lock().cut_at = Some(change);
    }

    pub(super) fn fail_syncs(&self, times: u64) {
        self.state.lock().failing_syncs = times;
    }

    pub(super) fn fail_writes(&self, times: u64) {
        self.state.lock().failing_writes = times;
    }

    pub(super) fn set_capacity(&self, bytes: Option<u64>) {
        self.state.lock().capacity = bytes;
    }

    pub(super) fn set_read_only(&self, is_read_only: bool) {
        self.state.lock().is_read_only = is_read_only;
    }

    pub(super) fn check_writable(&self) -> io::Result<()> {
        match self.state.lock().is_read_only {
            true => Err(io::ErrorKind::ReadOnlyFilesystem.into()),
            false => Ok(()),
        }
    }

    pub(super) fn refuse_opens(&self, suffix: Option<&str>) {
        self.state.lock().refused_opens = suffix.map(str::to_owned);
    }

    pub(super) fn start_open(&self, name: &str) -> io::Result<()> {
        /// Too many open files.
        const EMFILE: i32 = 24;
        match &self.state.lock().refused_opens {
            Some(suffix) if name.ends_with(suffix) => Err(io::Error::from_raw_os_error(EMFILE)),
            _ => Ok(()),
        }
    }

    pub(super) fn lie_at_every(&self, every: u64, of: Syncs) {
        self.state.lock().lies = Some(Lies { every, of, count: 0 });
    }

    /// Lies as other faults do from now on.
    pub(super) fn lie_as(&self, other: &Faults) {
        let lies = other.state.lock().lies;
        self.state.lock().lies = lies;
    }

    /// Counts a sync, and returns whether it keeps what it should.
    pub(super) fn keeps_sync(&self, of: Syncs) -> bool {
        let mut state = self.state.lock();
        let Some(lies) = state.lies.as_mut().filter(|lies| lies.of == of) else { return true };
        lies.count += 1;
        !lies.count.is_multiple_of(lies.every)
    }

    pub(super) fn start_read(&self, bytes: usize) -> io::Result<()> {
        let mut state = self.state.lock();
        if state.is_off() {
            return Err(power_is_off());
        }
        state.counts.reads += 1;
        state.counts.bytes_read += bytes as u64;
        Ok(())
    }

    pub(super) fn count_prefetch(&self) {
        self.state.lock().counts.announced += 1;
    }

    pub(super) fn count_announced_read(&self) {
        self.state.lock().counts.announced_reads += 1;
    }

    pub(super) fn start_change(&self) -> io::Result<Outcome> {
        self.check_writable()?;
        let mut state = self.state.lock();
        if state.is_off() {
            return Err(power_is_off());
        }
        state.counts.changes += 1;
        Ok(if state.cut_at == Some(state.counts.changes) {
            Outcome::PowerCut
        } else {
            Outcome::Success
        })
    }

    pub(super) fn start_write(&self, size_after: u64) -> io::Result<Outcome> {
        {
            let mut state = self.state.lock();
            state.counts.writes += 1;
            if state.capacity.is_some_and(|capacity| size_after > capacity) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            if state.failing_writes > 0 {
                state.failing_writes -= 1;
                return Err(io::Error::other("this write fails (fake disk)"));
            }
        }
        self.start_change()
    }

    pub(super) fn start_sync(&self) -> io::Result<Outcome> {
        {
            let mut state = self.state.lock();
            state.counts.syncs += 1;
            if state.failing_syncs > 0 {
                state.failing_syncs -= 1;
                return Err(io::Error::other("this sync fails (fake disk)"));
            }
        }
        self.start_change()
    }
}

impl State {
    fn is_off(&self) -> bool {
        self.cut_at.is_some_and(|cut| self.counts.changes >= cut)
    }
}

/// A gate that blocks operations while it is shut.
#[derive(Debug, Default)]
pub struct Gate {
    state: Mutex<(bool, usize)>,
    changed: Condvar,
}

impl Gate {
    /// Shuts the gate: operations block from now on.
    pub fn shut(&self) {
        self.state.lock().0 = true;
    }

    /// Opens the gate and releases all blocked operations.
    pub fn open(&self) {
        self.state.lock().0 = false;
        self.changed.notify_all();
    }

    /// Waits until an operation is blocked at the gate.
    pub fn wait_until_blocked(&self) {
        let mut state = self.state.lock();
        while state.1 == 0 {
            self.changed.wait(&mut state);
        }
    }

    pub(super) fn pass(&self) {
        let mut state = self.state.lock();
        while state.0 {
            state.1 += 1;
            self.changed.notify_all();
            self.changed.wait(&mut state);
            state.1 -= 1;
        }
    }
}
