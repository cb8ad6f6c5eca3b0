//! Compares the store with the model: everything that can be read.

use leftfold_api::{Coded, Point, Query, Read, Streams};

use super::model::{LogEvent, StreamSetting};
use super::run::Run;

impl Run<'_> {
    pub(crate) fn compare(&mut self) {
        let query = self.some_query();
        let expected = self.model.visible(&query);
        self.tally.hidden += u64::from(expected.len() < self.model.found(&query).len());
        let from = self.random.below(self.model.head() + 1);
        let limit = 1 + self.random.below(6) as usize;
        let (forward, backward): (Vec<u64>, Vec<u64>) = {
            let after: Vec<u64> = expected.iter().copied().filter(|at| *at > from).collect();
            let before: Vec<u64> = expected.iter().rev().copied().filter(|at| *at < from).collect();
            (after, before)
        };
        let at = Point::Position(from);
        self.same_pages(Read::forward(query.clone()).excluding(at.clone()).limit(limit), &forward);
        self.same_pages(Read::backward(query).excluding(at).limit(limit), &backward);
        self.compare_streams();
        for name in ["c0", "c1"] {
            let is = self.store().blocking().checkpoint(name).unwrap();
            // A restored store keeps the cursors of the incarnation that moved its checkpoints.
            let position = is.map(|cursor| cursor.position().unwrap());
            assert_eq!(position, self.model.checkpoints.get(name).copied(), "{name}");
        }
        for (name, query) in self.model.indexes.clone() {
            self.compare_ordinals(&name, &query);
        }
        self.follow();
    }

    /// Compares the first visible event from the n-th event of an index on.
    fn compare_ordinals(&self, name: &str, query: &Query) {
        let (expected, seen) = (self.model.found(query), self.model.visible(query));
        if expected.is_empty() {
            return;
        }
        let ordinal = self.random.below(expected.len() as u64);
        let from = expected[ordinal as usize];
        let mut read =
            Read::forward(Query::index(name)).including(Point::Ordinal(ordinal)).limit(1);
        loop {
            match self.store().blocking().read(read) {
                Ok(page) if page.events.is_empty() && page.more => {
                    read = Read::forward(Query::index(name)).limit(1).after(page.cursor);
                }
                Ok(page) => {
                    let found = page.events.first().map(|event| event.position());
                    let first = seen.into_iter().find(|at| *at >= from);
                    assert_eq!(found, first, "{query} at {ordinal}: {expected:?}");
                    return;
                }
                Err(error) => return assert_eq!(error.code(), "index_building"),
            }
        }
    }

    fn same_pages(&self, first: Read, expected: &[u64]) {
        let (mut found, mut read) = (Vec::new(), first.clone());
        loop {
            let page = match self.store().blocking().read(read) {
                Ok(page) => page,
                Err(error) if error.code() == "index_building" => return,
                Err(error) => panic!("{error}"),
            };
            for event in &page.events {
                if let LogEvent::User(model) = &self.model.log[event.position() as usize - 1] {
                    assert!(model.is(event), "{model:?} {event:?}");
                }
                found.push(event.position());
            }
            if !page.more {
                break;
            }
            read = Read {
                from: leftfold_api::Start::Excluding(Point::Cursor(page.cursor)),
                ..first.clone()
            };
        }
        assert_eq!(found, expected, "{}", first.query);
    }

    fn compare_streams(&self) {
        let page = self.store().blocking().streams(&Streams::default()).unwrap();
        for info in page.streams.iter().filter(|info| !info.name.starts_with('$')) {
            let stored = self.model.stream(&info.name);
            assert_eq!(info.version + 1, stored.len() as u64, "{info:?}");
            let kept = self.model.retention.get(&info.name).copied();
            assert_eq!(info.tombstoned, kept == Some(StreamSetting::Tombstone));
            if let Some(StreamSetting::Retention(retention)) = kept {
                let deleted = self.model.deleted.get(&info.name).copied();
                let truncate_before = retention.truncate_before.max(deleted);
                assert_eq!(
                    info.retention,
                    leftfold_api::Retention { truncate_before, ..retention }
                );
            }
            assert_eq!(
                (info.first_position, info.last_position),
                (stored[0].0, stored[stored.len() - 1].0)
            );
        }
        let expected = (0..3)
            .flat_map(|n| [format!("a-{n}"), format!("b-{n}")])
            .filter(|name| !self.model.stream(name).is_empty())
            .count();
        let found = page.streams.iter().filter(|info| !info.name.starts_with('$')).count();
        assert_eq!(found, expected);
    }

    pub(crate) fn verify(&mut self) {
        while self.manual().maintain() {}
        let stat = self.store().stat().unwrap();
        self.tally.merged += u64::from(stat.index_files + 1 < stat.segments);
        let verified = self.store().verify(|_, _| ());
        assert_eq!(verified.problem_count, 0, "{:?}", verified.problems);
        assert_eq!(verified.events, self.model.head());
    }
}
