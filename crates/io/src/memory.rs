use std::cell::Cell;
use std::io;

thread_local! {
    static FILES: Cell<Files> = const { Cell::new(Files::MayBeRead) };
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Files {
    MayBeRead,
    AreNotRead,
    /// They are not read, and should have been.
    AreMissed,
}

/// Does something that reads, but from memory alone: where this thread would have to wait for a file,
/// there is no answer, and nothing has happened. For a caller that must not wait, before it asks
/// another thread to do the same with files.
pub fn from_memory<T>(work: impl FnOnce() -> T) -> Option<T> {
    /// Files may be read again afterwards, even if the work panics.
    struct Before(Files);

    impl Drop for Before {
        fn drop(&mut self) {
            FILES.set(self.0);
        }
    }

    let before = Before(FILES.replace(Files::AreNotRead));
    let answer = work();
    let is_whole = FILES.get() == Files::AreNotRead;
    drop(before);
    is_whole.then_some(answer)
}

/// Whether this thread may read files now: asked before each read.
pub(crate) fn may_read() -> io::Result<()> {
    match FILES.get() {
        Files::MayBeRead => Ok(()),
        Files::AreNotRead | Files::AreMissed => {
            FILES.set(Files::AreMissed);
            Err(io::ErrorKind::WouldBlock.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_read_a_file_has_no_answer() {
        assert_eq!(from_memory(|| 1), Some(1));
        // Whoever swallows the error is found out all the same.
        assert_eq!(from_memory(|| may_read().is_ok()), None);
        assert!(may_read().is_ok());
        let panicked = std::panic::catch_unwind(|| from_memory(|| panic!("in the middle")));
        assert!(panicked.is_err() && may_read().is_ok());
    }

    #[test]
    fn other_threads_read_meanwhile() {
        let elsewhere = || std::thread::spawn(|| may_read().is_ok()).join().unwrap();
        assert_eq!(from_memory(elsewhere), Some(true));
    }
}
