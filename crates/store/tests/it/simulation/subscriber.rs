//! A subscriber that survives crashes: it keeps only its cursor.

use leftfold_api::{Cursor, Delivery, Query, Subscribe};
use leftfold_store::LiveSubscription;

use super::run::Run;

#[derive(Default)]
pub(crate) struct Subscriber {
    pub(crate) query: Query,
    running: Option<LiveSubscription>,
    cursor: Option<Cursor>,
    delivered: Vec<u64>,
}

impl Subscriber {
    /// Drops the subscription, because the store was closed.
    pub(crate) fn disconnect(&mut self) {
        self.running = None;
    }
}

impl Run<'_> {
    /// Takes all available deliveries. Each event comes once and in order; without retention every event
    /// comes.
    pub(crate) fn follow(&mut self) {
        if self.random.one_in(3) {
            return;
        }
        let mut running = match self.subscriber.running.take() {
            Some(running) => running,
            None => {
                let query = self.subscriber.query.clone();
                let subscribe = match self.subscriber.cursor.clone() {
                    None => Subscribe::to(query),
                    Some(cursor) => Subscribe::after(query, cursor),
                };
                self.tally.resumed += u64::from(self.subscriber.cursor.is_some());
                self.store().blocking().subscribe(subscribe).unwrap()
            }
        };
        // It sometimes stops in the middle, and may lose its connection there.
        for _ in 0..1 + self.random.below(40) {
            match running.try_next().unwrap() {
                Some(Delivery::Event(event, cursor)) => {
                    let last = self.subscriber.delivered.last();
                    assert!(
                        last.is_none_or(|last| *last < event.position()),
                        "an event came twice or out of order"
                    );
                    let user = self.model.user(event.position());
                    assert!(user.is_none_or(|user| user.is(&event)));
                    self.subscriber.delivered.push(event.position());
                    self.subscriber.cursor = Some(cursor);
                    self.tally.delivered += 1;
                }
                Some(Delivery::CaughtUp(cursor)) => {
                    self.subscriber.cursor = Some(cursor.clone());
                    // Events after the last read page have not been delivered yet.
                    let upto = cursor.position().unwrap();
                    let mut found = self.model.found(&self.subscriber.query);
                    found.retain(|at| *at <= upto);
                    match self.retains {
                        false => assert_eq!(self.subscriber.delivered, found),
                        true => {
                            let all = |at: &u64| found.contains(at);
                            assert!(self.subscriber.delivered.iter().all(all));
                        }
                    }
                }
                None => break,
            }
        }
        self.subscriber.running = (!self.random.one_in(8)).then_some(running);
    }
}
