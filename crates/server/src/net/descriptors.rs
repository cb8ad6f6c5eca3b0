//! File descriptors: how many there are, and which of them connections may take.
//!
//! The system gives a new file or connection the lowest number that is free. So a connection whose number is
//! below a bound leaves all numbers from that bound on to the store and to views, whatever else is open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Kept for the store and for views: 256 sealed segments, 64 index files, three files of each of 200 views, and
/// 104 for queries of views, backups and whatever opens a file for a moment.
const RESERVE: u64 = 1_024;

/// The file descriptors of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptors {
    /// The most that may be open.
    pub(crate) limit: u64,
}

impl Descriptors {
    /// Raises the limit of this process as far as the system allows without privileges, and returns it.
    pub fn raise() -> Self {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        if current != maximum {
            let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
            if let Err(error) = raised {
                tracing::warn!(%error, "the limit of open files can't be raised");
            }
        }
        Descriptors::of_process()
    }

    /// Returns the descriptors under the limit of this moment.
    pub(crate) fn of_process() -> Self {
        Descriptors { limit: getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX) }
    }

    /// Returns the number from which on descriptors are not for connections. A small limit is halved.
    pub(crate) fn for_connections(self) -> u64 {
        self.limit - RESERVE.min(self.limit / 2)
    }

    /// Returns how many sealed segments may be kept open for readers, where at most `most` are wanted.
    pub fn for_segments(self, most: usize) -> usize {
        let share = usize::try_from(self.limit / 8).unwrap_or(usize::MAX);
        most.min(share.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_and_the_store_share_the_descriptors() {
        let bounds = |limit| {
            let descriptors = Descriptors { limit };
            (descriptors.for_connections(), descriptors.for_segments(256))
        };
        assert_eq!(bounds(256), (128, 32));
        assert_eq!(bounds(1_024), (512, 128));
        assert_eq!(bounds(65_536), (64_512, 256));
        assert_eq!(bounds(u64::MAX), (u64::MAX - 1_024, 256));
        assert_eq!(bounds(4), (2, 1));
    }
}
