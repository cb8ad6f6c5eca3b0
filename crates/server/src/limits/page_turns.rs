use std::sync::Arc;

use leftfold_api::{Engine, ReadLevel};
use tokio::sync::Semaphore;

use crate::config::Config;

/// The turns of pages that are being read.
///
/// On a node of a cluster a read may wait for the owner of a partition while it holds its turn. So reads of the
/// node's own copy, which need no owner, have half of the turns for themselves.
pub(crate) struct PageTurns {
    of_owner: Arc<Semaphore>,
    of_copy: Arc<Semaphore>,
}

impl PageTurns {
    pub(crate) fn new(config: &Config, engine: &dyn Engine) -> Self {
        let turns = config.page_turns();
        let some = |turns| Arc::new(Semaphore::new(turns));
        if engine.cluster().is_some() {
            return PageTurns { of_owner: some(turns - turns / 2), of_copy: some(turns / 2) };
        }
        let all = some(turns);
        PageTurns { of_owner: all.clone(), of_copy: all }
    }

    /// Returns the turns of reads of a level.
    pub(crate) fn of(&self, level: ReadLevel) -> &Arc<Semaphore> {
        match level {
            ReadLevel::Local => &self.of_copy,
            ReadLevel::Committed | ReadLevel::Linearizable => &self.of_owner,
        }
    }

    /// Returns the turns of subscriptions, which read the node's own copy.
    pub(crate) fn of_subscriptions(&self) -> &Arc<Semaphore> {
        &self.of_copy
    }
}
