//! What is kept changes, and what is not is scavenged.

use std::future::Future;
use std::pin::Pin;

use leftfold_api::{AppendError, Coded, EventStore, Expected};

use super::model::{Kept, Stored};
use super::run::{Run, poll};

type Changing<'a> = Pin<Box<dyn Future<Output = Result<(), AppendError>> + 'a>>;

impl Run<'_> {
    pub(crate) fn change_retention(&mut self) {
        match self.random.below(8) {
            0 => self.close_a_stream(),
            1..3 => self.delete_a_stream(),
            3..5 => self.change_a_rule(),
            _ => self.limit_a_stream(),
        }
    }

    fn settle(
        &mut self,
        change: impl for<'s> FnOnce(&'s leftfold_store::Embedded) -> Changing<'s>,
    ) -> Option<AppendError> {
        let (store, mut manual) = self.store.take().unwrap();
        let outcome = {
            let mut changing = change(&store);
            loop {
                if let std::task::Poll::Ready(outcome) = poll(&mut changing) {
                    break outcome;
                }
                manual.write();
            }
        };
        self.store = Some((store, manual));
        outcome.err()
    }

    /// A change of a stream must be refused if it is closed, else it is made.
    fn say(&mut self, stream: String, kept: Kept, refusal: Option<AppendError>) {
        let closed = self.model.kept.get(&stream) == Some(&Kept::Nothing);
        assert_eq!(refusal.map(|error| error.code()), closed.then_some("stream_tombstoned"));
        if !closed {
            self.model.kept.insert(stream, kept);
            self.model.log.push(Stored::Own("$stream"));
            self.tally.retentions += 1;
        }
    }

    fn limit_a_stream(&mut self) {
        let (stream, retention) = (self.some_stream(), self.some_retention());
        let name = stream.clone();
        let refusal = self
            .settle(|store| Box::pin(async move { store.set_retention(&name, retention).await }));
        self.say(stream, Kept::Only(retention), refusal);
    }

    fn close_a_stream(&mut self) {
        let stream = self.some_stream();
        let name = stream.clone();
        let refusal = self.settle(|store| {
            Box::pin(async move { store.tombstone_stream(&name, Expected::Any).await })
        });
        self.say(stream, Kept::Nothing, refusal);
    }

    fn delete_a_stream(&mut self) {
        let stream = self.some_stream();
        let len = self.model.stream(&stream).len() as u64;
        let name = stream.clone();
        let refusal = self.settle(|store| {
            Box::pin(async move { store.delete_stream(&name, Expected::Any).await })
        });
        if len == 0 {
            return assert_eq!(refusal.map(|error| error.code()), Some("wrong_version"));
        }
        let before = match self.model.kept.get(&stream) {
            Some(Kept::Only(retention)) => *retention,
            _ => Default::default(),
        };
        self.say(stream, Kept::Only(before.truncate_before(len)), refusal);
    }

    fn change_a_rule(&mut self) {
        let rule = self.some_rule();
        let name = rule.name.clone();
        let drop_it = self.model.rules.contains_key(&name) && self.random.one_in(2);
        let defined = rule.clone();
        let refusal = self.settle(|store| {
            Box::pin(async move {
                match drop_it {
                    true => store.drop_retention_rule(&name).await,
                    false => store.set_retention_rule(rule).await,
                }
            })
        });
        assert!(refusal.is_none(), "{refusal:?}");
        match drop_it {
            true => _ = self.model.rules.remove(&defined.name),
            false => _ = self.model.rules.insert(defined.name.clone(), defined),
        }
        self.model.log.push(Stored::Own("$retention"));
        self.tally.rules += 1;
    }

    pub(crate) fn scavenge(&mut self) {
        let all = self.random.one_in(2);
        if all {
            self.manual().close_segment();
        }
        while self.manual().maintain() {}
        let scavenged = self.store().scavenge(|_, _| {}).unwrap();
        self.tally.scavenged += u64::from(scavenged.events > 0);
        self.note_scavenged();
        let left = self.store().reclaimable().unwrap();
        assert!(!all || left.events == 0, "scavenging leaves something to be scavenged");
    }

    /// What has lost its payload must have been hidden; from now on it stays so.
    pub(crate) fn note_scavenged(&mut self) {
        let hidden = self.model.hidden();
        for raw in super::raw::read(&self.disk).iter().filter(|raw| raw.scavenged) {
            assert!(hidden.contains(&raw.position), "{raw:?} was to be kept");
            self.model.scavenged.insert(raw.position);
        }
    }
}
