use std::sync::Arc;

use leftfold_io::{Clock, Disk, Random};
use leftfold_log::{Pump, Sequencer};

use super::admit::Admitter;
use super::core::Core;
use super::options::Options;
use super::pool::Pool;
use super::{Embedded, open};
use crate::error::OpenError;

/// Drives a store that has no writer and no upkeep thread: its owner decides when what happens, so
/// a run can be replayed from a seed.
pub struct Manual {
    pump: Pump<Admitter>,
    core: Arc<Core>,
}

impl Embedded {
    /// Opens a store whose writer and upkeep work only when [`Manual`] says so.
    pub fn open_manual(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        options: Options,
    ) -> Result<(Self, Manual), OpenError> {
        let (opened, core, admitter) = open::open(disk, clock, random, options)?;
        let (sequencer, pump) = Sequencer::manual(&opened, admitter).map_err(open::no_thread)?;
        let pool = Pool::start(1).map_err(open::no_thread)?;
        let upkeep = core.maintenance.clone();
        let manual = Manual { pump, core: core.clone() };
        Ok((Embedded { core, sequencer, upkeep, pool }, manual))
    }
}

impl Manual {
    /// Lets the writer write all that waits; false if nothing did.
    pub fn write(&mut self) -> bool {
        self.pump.turn()
    }

    /// What the writer does when nothing has come for a while.
    pub fn rest(&mut self) {
        self.pump.rest();
    }

    /// Closes the open segment though it is not full.
    pub fn close_segment(&mut self) {
        self.core.log.close_segment();
        self.pump.rest();
    }

    /// Does one job of upkeep; false if there is none.
    pub fn upkeep(&mut self) -> bool {
        self.core.maintenance.step(&self.core)
    }

    /// Does what closing the store does.
    pub fn close(self) {
        self.pump.close();
    }
}
