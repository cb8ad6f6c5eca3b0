//! Waits until files are no longer written to.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use leftfold_api::Timestamp;

use super::listing::FoundFile;
use super::stamp::Stamp;

/// The files that were seen, and since when they are as they are.
#[derive(Debug, Default)]
pub(super) struct Settling {
    seen: HashMap<PathBuf, (Stamp, Timestamp)>,
}

impl Settling {
    /// Returns those of the files that were as they are for a time, and in how long the next one may be.
    /// A file that was never seen before has not settled, whatever the time.
    pub(super) fn settled(
        &mut self,
        files: Vec<FoundFile>,
        now: Timestamp,
        settle: Duration,
    ) -> (Vec<FoundFile>, Option<Duration>) {
        let mut next = HashMap::with_capacity(files.len());
        let (mut settled, mut wait) = (Vec::new(), None::<Duration>);
        for file in files {
            let before = self.seen.remove(&file.path).filter(|(stamp, _)| *stamp == file.stamp);
            // A clock that is set back begins anew.
            let since = before.map(|(_, since)| since).filter(|since| *since <= now);
            let stayed = since.map(|since| {
                Duration::from_micros(u64::try_from(now.micros() - since.micros()).unwrap_or(0))
            });
            next.insert(file.path.clone(), (file.stamp, since.unwrap_or(now)));
            match stayed {
                Some(stayed) if stayed >= settle => settled.push(file),
                stayed => {
                    let left = settle.saturating_sub(stayed.unwrap_or_default());
                    wait = Some(wait.map_or(left, |wait| wait.min(left)));
                }
            }
        }
        self.seen = next;
        (settled, wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_counts_when_it_has_not_changed_between_two_looks() {
        let mut settling = Settling::default();
        let settle = Duration::from_secs(1);
        let mut look = |bytes: u64, millis: i64| {
            let stamp = Stamp { bytes, modified: 0 };
            let file = FoundFile { path: "/in/a".into(), stamp };
            let (settled, wait) = settling.settled(vec![file], Timestamp(millis * 1000), settle);
            (settled.len(), wait.map(|wait| wait.as_millis()))
        };
        assert_eq!(look(1, 0), (0, Some(1000)));
        assert_eq!(look(1, 600), (0, Some(400)));
        // It has grown.
        assert_eq!(look(2, 1100), (0, Some(1000)));
        assert_eq!(look(2, 2100), (1, None));
        // The clock was set back.
        assert_eq!(look(2, 500), (0, Some(1000)));
        assert_eq!(look(2, 1500), (1, None));
    }

    #[test]
    fn a_file_without_a_time_to_settle_is_seen_twice_all_the_same() {
        let mut settling = Settling::default();
        let file = || FoundFile { path: "/in/a".into(), stamp: Stamp::default() };
        let mut look = || settling.settled(vec![file()], Timestamp(0), Duration::ZERO).0.len();
        assert_eq!((look(), look()), (0, 1));
    }
}
