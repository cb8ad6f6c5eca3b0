use leftfold_api::{AppendError, Coded};

use super::caller::Caller;

/// The outcome of a change that was made.
pub(super) const DONE: &str = "done";
/// The outcome of a change whose request ended before it.
const UNKNOWN: &str = "unknown";

/// A change that its caller may make. The audit records what becomes of it.
#[must_use]
pub struct ManagedChange {
    caller: Caller,
    does: String,
    what: String,
    outcome: String,
}

/// The error of a change.
pub trait ChangeError {
    /// Returns the error's stable code.
    fn audited_code(&self) -> String;
}

impl ChangeError for AppendError {
    fn audited_code(&self) -> String {
        self.code().to_owned()
    }
}

impl ManagedChange {
    pub(super) fn new(caller: Caller, does: &str, what: &str) -> Self {
        let (does, what) = (does.to_owned(), what.to_owned());
        ManagedChange { caller, does, what, outcome: UNKNOWN.to_owned() }
    }

    /// Makes the change.
    ///
    /// # Errors
    /// As the change.
    pub async fn make<T, E: ChangeError>(
        mut self,
        change: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let made = change.await;
        self.outcome = match &made {
            Ok(_) => DONE.to_owned(),
            Err(error) => error.audited_code(),
        };
        made
    }
}

/// Records the outcome, also if the request was dropped before it was known.
impl Drop for ManagedChange {
    fn drop(&mut self) {
        let (caller, outcome) = (&self.caller, &self.outcome);
        let audit = caller.access().audit();
        audit.managed(&caller.name(), caller.origin(), &self.does, &self.what, outcome);
    }
}
