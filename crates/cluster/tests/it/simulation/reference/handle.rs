use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use event_listener::Event;
use leftfold_api::{Append, AppendError, Appended, BoxFuture, Failure, ReadError, Recorded};

use super::replica::Replica;
use crate::simulation::machine::SimNode;

pub(super) type AppendAnswer = oneshot::Sender<Result<Appended, AppendError>>;

/// What a node shares with its handle.
#[derive(Default)]
pub(super) struct Shared {
    pub(super) state: RefCell<Replica>,
    pub(super) requests: RefCell<VecDeque<Request>>,
    pub(super) is_serving: RefCell<bool>,
    pub(super) queued: Event,
}

/// What waits for the owner.
pub(super) enum Request {
    Append(Append, AppendAnswer),
    Read(String, oneshot::Sender<Result<Option<u64>, ReadError>>),
}

/// What clients call.
pub(super) struct Handle(pub(super) Rc<Shared>);

impl Handle {
    fn request<T: Send + 'static, E: From<Failure> + Send + 'static>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, E>>) -> Request,
    ) -> BoxFuture<'static, Result<T, E>> {
        if !*self.0.is_serving.borrow() {
            return Box::pin(async { Err(failure("not_owner").into()) });
        }
        let (answer, answered) = oneshot::channel();
        self.0.requests.borrow_mut().push_back(request(answer));
        self.0.queued.notify(1);
        Box::pin(
            async move { answered.await.unwrap_or_else(|_| Err(failure("unavailable").into())) },
        )
    }
}

impl SimNode for Handle {
    fn append(&self, append: Append) -> BoxFuture<'static, Result<Appended, AppendError>> {
        self.request(|answer| Request::Append(append, answer))
    }

    fn last_version(&self, stream: &str) -> BoxFuture<'static, Result<Option<u64>, ReadError>> {
        self.request(|answer| Request::Read(stream.to_owned(), answer))
    }

    fn copy(&self) -> Vec<Recorded> {
        self.0.state.borrow().events.clone()
    }

    fn turn(&self) -> bool {
        false
    }
}

pub(super) fn failure(code: &'static str) -> Failure {
    Failure::Remote { code, message: code.to_owned(), can_retry: true }
}
