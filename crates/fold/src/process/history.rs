use std::collections::HashMap;

use leftfold_api::Recorded;

use crate::reactor::is_result_of;

/// The events of a process, and which of them it has said itself, because of which others.
pub(super) struct History<'a> {
    events: &'a [Recorded],
    /// For each event, those that the process has said because of it.
    said: Vec<Vec<usize>>,
    /// Whether the process has said it itself.
    own: Vec<bool>,
}

impl<'a> History<'a> {
    pub(super) fn of(reactor: &str, events: &'a [Recorded]) -> Self {
        let mut by_id: HashMap<String, usize> = HashMap::new();
        let mut said: Vec<Vec<usize>> = vec![Vec::new(); events.len()];
        let mut own = vec![false; events.len()];
        for (at, event) in events.iter().enumerate() {
            let cause = event.causation().and_then(|cause| by_id.get(cause)).copied();
            if let Some(cause) = cause
                && is_result_of(reactor, &events[cause], event)
            {
                said[cause].push(at);
                own[at] = true;
            }
            by_id.insert(event.id().to_string(), at);
        }
        History { events, said, own }
    }

    /// What is known when the event at a position is reacted to: all that came before, each with what
    /// followed from it right behind, and itself.
    pub(super) fn upto(&self, position: u64) -> Vec<&'a Recorded> {
        let mut known = Vec::with_capacity(self.events.len());
        for (at, event) in self.events.iter().enumerate() {
            if event.position() <= position && !self.own[at] {
                self.tell(at, position, &mut known);
            }
        }
        known
    }

    /// An event, and what followed from it, unless that is yet to be said.
    fn tell(&self, first: usize, position: u64, known: &mut Vec<&'a Recorded>) {
        let mut open = vec![first];
        while let Some(at) = open.pop() {
            let event = &self.events[at];
            known.push(event);
            if event.position() != position {
                open.extend(self.said[at].iter().rev());
            }
        }
    }
}
