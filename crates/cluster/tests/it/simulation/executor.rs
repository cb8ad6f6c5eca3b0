use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use leftfold_io::fake::SeededRandom;

/// A future that the executor runs.
pub(crate) type Task = Pin<Box<dyn Future<Output = ()>>>;

/// Runs the tasks of one process or of the clients, one poll at a time. The seed chooses which.
#[derive(Default)]
pub(crate) struct Executor {
    tasks: Vec<Running>,
}

struct Running {
    task: Task,
    woken: Arc<Woken>,
    waker: Waker,
}

/// Whether a task was woken since its last poll.
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Executor {
    pub(crate) fn spawn(&mut self, task: Task) {
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let waker = Waker::from(woken.clone());
        self.tasks.push(Running { task, woken, waker });
    }

    /// Polls one of the woken tasks. Returns false if there is none.
    pub(crate) fn poll_one(&mut self, random: &SeededRandom) -> bool {
        let is_woken = |running: &Running| running.woken.0.load(Ordering::SeqCst);
        let woken = self.tasks.iter().filter(|running| is_woken(running)).count();
        let chosen = random.below(woken as u64) as usize;
        let Some((at, _)) =
            self.tasks.iter().enumerate().filter(|(_, running)| is_woken(running)).nth(chosen)
        else {
            return false;
        };
        let running = &mut self.tasks[at];
        running.woken.0.store(false, Ordering::SeqCst);
        if let Poll::Ready(()) =
            running.task.as_mut().poll(&mut Context::from_waker(&running.waker))
        {
            _ = self.tasks.swap_remove(at);
        }
        true
    }
}
