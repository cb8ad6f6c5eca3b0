use std::collections::HashMap;

use leftfold_api::Recorded;

use crate::react::is_result_of;

/// The events of a process: for each event its results, and whether it is a result itself.
pub(super) struct History<'a> {
    events: &'a [Recorded],
    /// For each event, the indexes of the events that the process emitted because of it.
    results: Vec<Vec<usize>>,
    /// For each event, whether the process emitted it.
    is_own: Vec<bool>,
}

impl<'a> History<'a> {
    pub(super) fn of(reactor: &str, events: &'a [Recorded]) -> Self {
        let mut by_id: HashMap<String, usize> = HashMap::new();
        let mut results: Vec<Vec<usize>> = vec![Vec::new(); events.len()];
        let mut is_own = vec![false; events.len()];
        for (at, event) in events.iter().enumerate() {
            let cause = event.causation().and_then(|cause| by_id.get(cause)).copied();
            if let Some(cause) = cause
                && is_result_of(reactor, &events[cause], event)
            {
                results[cause].push(at);
                is_own[at] = true;
            }
            by_id.insert(event.id().to_string(), at);
        }
        History { events, results, is_own }
    }

    /// Returns the events that the process knows when it reacts to the event at a position: all
    /// earlier ones, each followed by its results, and the event itself.
    pub(super) fn known_at(&self, position: u64) -> Vec<&'a Recorded> {
        let mut known = Vec::with_capacity(self.events.len());
        for (at, event) in self.events.iter().enumerate() {
            if event.position() <= position && !self.is_own[at] {
                self.add_with_results(at, position, &mut known);
            }
        }
        known
    }

    /// Adds an event and its results, except the results of the event at the position.
    fn add_with_results(&self, first: usize, position: u64, known: &mut Vec<&'a Recorded>) {
        let mut open = vec![first];
        while let Some(at) = open.pop() {
            let event = &self.events[at];
            known.push(event);
            if event.position() != position {
                open.extend(self.results[at].iter().rev());
            }
        }
    }
}
