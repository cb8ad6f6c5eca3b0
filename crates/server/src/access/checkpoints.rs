//! The room for checkpoints. The store has a limit of all of them, and of those of a category; a tenth of it is
//! kept for callers who manage everything, so that users with few rights never lock these out.

use std::time::{Duration, Instant};

use leftfold_api::{Append, Invalid, checkpoints_warning};

use super::state::Access;

/// The part of the room that is kept for managers of everything: one of this many.
const RESERVE: u64 = 10;
/// The time between two warnings in the log.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(3_600);

/// Returns how many checkpoints there may be before only managers of everything make more.
pub(crate) fn room_of_users(allowed: u64) -> u64 {
    allowed - allowed / RESERVE
}

impl Access {
    /// Checks that a caller may make the new checkpoints of an append, and warns in the log before there is no
    /// room for more.
    ///
    /// # Errors
    /// `too_many_checkpoints`.
    pub(super) fn check_room(&self, append: &Append, is_manager: bool) -> Result<(), Invalid> {
        let new = append.moves().iter().filter(|to| to.expected.is_none()).count() as u64;
        if new == 0 {
            return Ok(());
        }
        let meters = self.0.store.meters();
        let (count, allowed) = (meters.checkpoints + new, meters.checkpoints_allowed);
        if let Some(warning) = checkpoints_warning(count, allowed) {
            self.warn_of_checkpoints(&warning);
        }
        let room = room_of_users(allowed);
        if is_manager || count <= room {
            return Ok(());
        }
        let message = format!(
            "checkpoints: {count}; at most {room} are allowed to users who do not manage everything; move one \
             that is there, or delete some"
        );
        Err(Invalid::new("too_many_checkpoints", message))
    }

    fn warn_of_checkpoints(&self, warning: &str) {
        let mut warned = self.0.warned_of_checkpoints.lock();
        if warned.is_none_or(|at| at.elapsed() >= BETWEEN_WARNINGS) {
            *warned = Some(Instant::now());
            tracing::warn!("{warning}");
        }
    }
}
