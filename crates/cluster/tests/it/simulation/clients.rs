//! The clients of a run: each appends to one stream after another, to any node, and retries.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use leftfold_api::{Append, AppendError, BoxFuture, Conflict, Expected, NewEvent};
use leftfold_fold::time::{FakeTime, Time};
use leftfold_io::fake::SeededRandom;
use uuid::Uuid;

use super::history::{History, Outcome};
use super::machine::SimNode;

/// The streams of a run: few, so that clients conflict.
const STREAMS: u64 = 3;
/// The time that a client waits for an answer, and between two attempts.
const PATIENCE: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(300);

/// The nodes that run at the moment.
pub(crate) type Nodes = Rc<RefCell<Vec<Rc<dyn SimNode>>>>;

/// What a client needs.
#[derive(Clone)]
pub(crate) struct ClientContext {
    pub(crate) nodes: Nodes,
    pub(crate) history: History,
    pub(crate) time: FakeTime,
    pub(crate) random: Arc<SeededRandom>,
    /// How many of ten calls are reads.
    pub(crate) reads_of_ten: u64,
    /// No client begins anything any more.
    pub(crate) is_over: Rc<RefCell<bool>>,
}

impl ClientContext {
    /// Acts until the run is over.
    pub(crate) async fn run(self) {
        let mut known = [None::<u64>; STREAMS as usize];
        while !*self.is_over.borrow() {
            let stream = self.random.below(STREAMS) as usize;
            match self.random.below(10) {
                chosen if chosen < self.reads_of_ten => {
                    self.read(&name(stream), &mut known[stream]).await
                }
                _ => self.append(&name(stream), &mut known[stream]).await,
            }
            let pause = Duration::from_micros(self.random.below(400_000));
            self.time.after(pause).await;
        }
    }

    /// Appends to a stream, and tries again while the outcome is unknown, sometimes not.
    async fn append(&self, stream: &str, known: &mut Option<u64>) {
        let expected = match (self.random.below(3), *known) {
            (0, _) => Expected::Any,
            (_, None) => Expected::NoStream,
            (_, Some(last)) => Expected::Exactly(last),
        };
        let ids: Vec<_> = (0..=self.random.below(3)).map(|_| self.random_id()).collect();
        let number = self.history.begin_append(stream, expected, ids.clone());
        // An append that was sent more than once may be stored, though it is refused the second time.
        let mut is_open = false;
        loop {
            let event = |id: &Uuid| NewEvent::json("Counted", "{}").id(*id);
            let append =
                ids.iter().fold(Append::new(), |append, id| append.event(stream, event(id)));
            let append = append.expect(stream, expected);
            let Some(answer) = self.call(|node| node.append(append)).await else { return };
            match answer {
                Some(Ok(appended)) => {
                    let first = appended.streams.first().map_or(0, |versions| versions.first);
                    *known = appended.streams.first().map(|versions| versions.last);
                    return self.history.end_append(number, Outcome::Acknowledged(first));
                }
                Some(Err(AppendError::Conflict(conflict))) => {
                    if let Conflict::Version { actual, .. } = conflict {
                        *known = actual;
                    }
                    if !is_open {
                        self.history.end_append(number, Outcome::Refused);
                    }
                    return;
                }
                Some(Err(AppendError::Failure(failure))) if failure.code() == "not_owner" => {}
                Some(Err(_)) | None => is_open = true,
            }
            if *self.is_over.borrow() || (is_open && self.random.one_in(4)) {
                return;
            }
            self.time.after(PAUSE).await;
        }
    }

    async fn read(&self, stream: &str, known: &mut Option<u64>) {
        let sent = self.history.tick();
        if let Some(Some(Ok(last))) = self.call(|node| node.last_version(stream)).await {
            self.history.note_read(stream, sent, last);
            *known = last;
        }
    }

    /// Calls one of the nodes and waits for its answer, with patience. Returns `None` if no node runs.
    async fn call<T>(
        &self,
        call: impl FnOnce(&dyn SimNode) -> BoxFuture<'static, T>,
    ) -> Option<Option<T>> {
        let called = {
            let nodes = self.nodes.borrow();
            call(nodes.get(self.random.below(nodes.len() as u64) as usize)?.as_ref())
        };
        Some(match select(called, self.time.after(PATIENCE)).await {
            Either::Left((answer, _)) => Some(answer),
            Either::Right(_) => None,
        })
    }

    fn random_id(&self) -> Uuid {
        Uuid::from_u64_pair(self.random.next_u64(), self.random.next_u64())
    }
}

fn name(stream: usize) -> String {
    format!("s-{stream}")
}
