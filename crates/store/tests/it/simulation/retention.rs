//! Changes of retention, and scavenging.

use std::future::Future;
use std::pin::Pin;

use leftfold_api::{AppendError, Coded, EventStore, Expected};

use super::model::{LogEvent, StreamSetting};
use super::run::{Run, poll};

type Change<'a> = Pin<Box<dyn Future<Output = Result<(), AppendError>> + 'a>>;

impl Run<'_> {
    pub(crate) fn change_retention(&mut self) {
        match self.random.below(8) {
            0 => self.close_a_stream(),
            1..3 => self.delete_a_stream(),
            3..5 => self.change_a_rule(),
            _ => self.limit_a_stream(),
        }
    }

    /// Makes a change, and returns its error.
    fn make_change(
        &mut self,
        change: impl for<'s> FnOnce(&'s leftfold_store::Embedded) -> Change<'s>,
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

    /// Adds a setting of a stream to the model. A stream with a tombstone must have refused it.
    fn apply_setting(
        &mut self,
        stream: String,
        setting: StreamSetting,
        refusal: Option<AppendError>,
    ) {
        let closed = self.model.retention.get(&stream) == Some(&StreamSetting::Tombstone);
        assert_eq!(refusal.map(|error| error.code()), closed.then_some("stream_tombstoned"));
        if !closed {
            self.model.retention.insert(stream, setting);
            self.model.log.push(LogEvent::System("$stream"));
            self.tally.retentions += 1;
        }
    }

    fn limit_a_stream(&mut self) {
        let (stream, retention) = (self.some_stream(), self.some_retention());
        let name = stream.clone();
        let refusal = self.make_change(|store| {
            Box::pin(async move { store.set_retention(&name, retention).await })
        });
        self.apply_setting(stream, StreamSetting::Retention(retention), refusal);
    }

    fn close_a_stream(&mut self) {
        let stream = self.some_stream();
        let name = stream.clone();
        let refusal = self.make_change(|store| {
            Box::pin(async move { store.tombstone_stream(&name, Expected::Any).await })
        });
        self.apply_setting(stream, StreamSetting::Tombstone, refusal);
    }

    fn delete_a_stream(&mut self) {
        let stream = self.some_stream();
        let len = self.model.stream(&stream).len() as u64;
        let name = stream.clone();
        let refusal = self.make_change(|store| {
            Box::pin(async move { store.delete_stream(&name, Expected::Any).await })
        });
        if len == 0 {
            return assert_eq!(refusal.map(|error| error.code()), Some("wrong_version"));
        }
        let setting = self.model.retention.get(&stream).copied();
        let setting = setting.unwrap_or(StreamSetting::Retention(Default::default()));
        if refusal.is_none() {
            self.model.deleted.insert(stream.clone(), len);
        }
        self.apply_setting(stream, setting, refusal);
    }

    fn change_a_rule(&mut self) {
        let rule = self.some_rule();
        let name = rule.name.clone();
        let drop_it = self.model.rules.contains_key(&name) && self.random.one_in(2);
        let defined = rule.clone();
        let refusal = self.make_change(|store| {
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
        self.model.log.push(LogEvent::System("$retention"));
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
        assert!(!all || left.events == 0, "scavenging left payloads that it should have removed");
    }

    /// Adds scavenged events to the model. Each of them must have been hidden.
    pub(crate) fn note_scavenged(&mut self) {
        let hidden = self.model.hidden();
        for raw in super::raw::read(&self.disk).iter().filter(|raw| raw.scavenged) {
            assert!(hidden.contains(&raw.position), "{raw:?} was scavenged but not dropped");
            self.model.scavenged.insert(raw.position);
        }
    }
}
