use std::cell::Cell;
use std::io;

thread_local! {
    static ACCESS: Cell<FileAccess> = const { Cell::new(FileAccess::Allowed) };
}

/// Whether the current thread may read files.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FileAccess {
    Allowed,
    Forbidden,
    /// Reads are forbidden, and at least one was attempted.
    Attempted,
}

/// Runs `work` without reading files; returns `None` if it tried to read one.
///
/// A caller that must not wait for a disk tries this first. On `None` it lets another thread do
/// the same work with files.
pub fn from_memory<T>(work: impl FnOnce() -> T) -> Option<T> {
    /// Restores the previous access, even if the work panics.
    struct Restore(FileAccess);

    impl Drop for Restore {
        fn drop(&mut self) {
            ACCESS.set(self.0);
        }
    }

    let restore = Restore(ACCESS.replace(FileAccess::Forbidden));
    let result = work();
    let read_no_file = ACCESS.get() == FileAccess::Forbidden;
    drop(restore);
    read_no_file.then_some(result)
}

/// Whether this thread may read files now.
pub(crate) fn may_read() -> bool {
    ACCESS.get() == FileAccess::Allowed
}

/// Fails if this thread may not read files now; called before each read.
pub(crate) fn check_read_allowed() -> io::Result<()> {
    match ACCESS.get() {
        FileAccess::Allowed => Ok(()),
        FileAccess::Forbidden | FileAccess::Attempted => {
            ACCESS.set(FileAccess::Attempted);
            Err(io::ErrorKind::WouldBlock.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_tries_to_read_a_file_yields_nothing() {
        assert_eq!(from_memory(|| 1), Some(1));
        assert!(may_read());
        assert_eq!(from_memory(may_read), Some(false));
        // The attempt counts even if the work ignores the error.
        assert_eq!(from_memory(|| check_read_allowed().is_ok()), None);
        assert!(check_read_allowed().is_ok());
        let panicked = std::panic::catch_unwind(|| from_memory(|| panic!("in the middle")));
        assert!(panicked.is_err() && check_read_allowed().is_ok());
    }

    #[test]
    fn other_threads_may_read_files_meanwhile() {
        let elsewhere = || std::thread::spawn(|| check_read_allowed().is_ok()).join().unwrap();
        assert_eq!(from_memory(elsewhere), Some(true));
    }
}
