//! Threads that do what can wait.

/// By how much a thread that can wait is nicer than the others of its process.
const BEHIND: i32 = 10;

/// Lets the other threads of the process run before this one, where the system knows priorities of threads (Linux).
/// On a machine whose processors are all busy, what a client waits for is done first.
pub fn run_behind_others() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{getpriority_process, setpriority_process};
        // For Linux the calling thread is meant. Where it is refused, all threads are equal as before.
        let now = getpriority_process(None).unwrap_or_default();
        _ = setpriority_process(None, now + BEHIND);
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::process::getpriority_process;

    use super::*;

    #[test]
    fn only_the_thread_itself_runs_behind_the_others() {
        let before = getpriority_process(None).unwrap();
        let of_thread = std::thread::spawn(|| {
            run_behind_others();
            getpriority_process(None).unwrap()
        });
        assert_eq!(of_thread.join().unwrap(), (before + BEHIND).min(19));
        assert_eq!(getpriority_process(None).unwrap(), before);
    }
}
