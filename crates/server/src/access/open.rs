use std::sync::Arc;

use leftfold_api::{AppendError, Engine};
use leftfold_io::{Clock, SystemClock};

use super::audit::{self, Audit};
use super::follow;
use super::state::Access;

impl Access {
    /// Returns the access of a server without users; accounts in the store are ignored.
    pub fn local(store: Arc<dyn Engine>) -> Self {
        Access::new(store, Arc::new(SystemClock), Audit::new().0)
    }

    /// Reads the accounts of a store, and follows their changes on the runtime that this is called on.
    ///
    /// # Errors
    /// The accounts can't be read.
    pub async fn open(store: Arc<dyn Engine>, clock: Arc<dyn Clock>) -> Result<Self, AppendError> {
        let (audit, entries) = Audit::new();
        let access = Access::new(store.clone(), clock, audit);
        let writing = tokio::spawn(audit::write(store, entries));
        access.0.tasks.lock().push(writing);
        access.catch_up(None).await?;
        if !access.0.accounts.load().is_open() {
            audit::limit_age(&*access.0.store).await?;
        }
        let following =
            tokio::spawn(follow::run(access.0.store.clone(), Arc::downgrade(&access.0)));
        access.0.tasks.lock().push(following);
        Ok(access)
    }
}
