//! Answers that a caller waits for while other members act.

use kafka_protocol::protocol::StrBytes;
use tokio::sync::oneshot;

use super::group::Group;

/// The answer to a request: known now, or later.
pub(super) enum Answer<T> {
    Ready(T),
    Later(Promise<T>),
}

/// The receiving end of an answer that a member waits for.
pub(super) struct Promise<T> {
    member: StrBytes,
    ticket: u64,
    receiver: oneshot::Receiver<T>,
}

/// The sending end: the state of the member keeps it.
pub(super) struct Waiter<T> {
    ticket: u64,
    sender: oneshot::Sender<T>,
}

/// Creates both ends of an answer. No two answers of a group have the same ticket.
pub(super) fn promise<T>(member: StrBytes, ticket: u64) -> (Waiter<T>, Promise<T>) {
    let (sender, receiver) = oneshot::channel();
    (Waiter { ticket, sender }, Promise { member, ticket, receiver })
}

impl<T> Waiter<T> {
    /// Answers the caller. A caller that has gone away gets nothing.
    pub(super) fn answer(self, answer: T) {
        drop(self.sender.send(answer));
    }

    pub(super) fn has(&self, ticket: u64) -> bool {
        self.ticket == ticket
    }
}

impl<T> Promise<T> {
    /// Waits for the answer; `None` if the server drops its groups. If the caller drops the future, the
    /// member no longer counts as waiting.
    pub(super) async fn receive(self, group: &Group) -> Option<T> {
        let mut guard = Guard { group, member: &self.member, ticket: Some(self.ticket) };
        let answer = self.receiver.await.ok();
        guard.ticket = None;
        answer
    }
}

/// Reports to the group that the caller has gone away, unless its ticket was taken.
struct Guard<'a> {
    group: &'a Group,
    member: &'a StrBytes,
    ticket: Option<u64>,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.group.act(|state, now| state.abandon(self.member, ticket, now));
        }
    }
}
