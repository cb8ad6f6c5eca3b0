use std::sync::Arc;

use leftfold_io::{Clock, Disk, Random};
use leftfold_log::{Commit, FsyncCommit, Pump, Sequencer};

use super::admit::Admitter;
use super::core::Core;
use super::options::Options;
use super::pool::Pool;
use super::{Embedded, open};
use crate::error::OpenError;

/// Drives a store without a writer thread and maintenance threads: the caller decides when they run, so
/// a run can be replayed from a seed.
pub struct Manual {
    pump: Pump<Admitter, Box<dyn Commit>>,
    core: Arc<Core>,
}

impl Embedded {
    /// Opens a store whose writer and maintenance run only when [`Manual`] is called.
    pub fn open_manual(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        options: Options,
    ) -> Result<(Self, Manual), OpenError> {
        let commit = Box::new(FsyncCommit::new(options.log.durability));
        Self::open_manual_with(disk, clock, random, options, commit)
    }

    /// Opens such a store whose batches are durable when a commit confirms them.
    pub fn open_manual_with(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        options: Options,
        commit: Box<dyn Commit>,
    ) -> Result<(Self, Manual), OpenError> {
        let (opened, core, admitter) = open::open(disk, clock, random, options, &*commit)?;
        let (sequencer, pump) =
            Sequencer::manual_with(&opened, admitter, commit).map_err(open::thread_error)?;
        let pool = Pool::start(1).map_err(open::thread_error)?;
        let maintenance = core.maintenance.clone();
        let manual = Manual { pump, core: core.clone() };
        let applying = async_lock::Mutex::new(());
        Ok((Embedded { core, sequencer, applying, maintenance, pool }, manual))
    }
}

impl Manual {
    /// Lets the writer write all waiting appends. Returns false if there were none.
    pub fn write(&mut self) -> bool {
        self.pump.turn()
    }

    /// Does what the writer does after a while without appends.
    pub fn rest(&mut self) {
        self.pump.rest();
    }

    /// Closes the open segment, full or not.
    pub fn close_segment(&mut self) {
        self.core.log.close_segment();
        self.pump.rest();
    }

    /// Does one job of maintenance. Returns false if there is none.
    pub fn maintain(&mut self) -> bool {
        self.core.maintenance.run_one(&self.core)
    }

    /// Does what the writer does when the store is closed.
    pub fn close(self) {
        self.pump.close();
    }
}
