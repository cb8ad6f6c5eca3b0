//! Draws the steps of a run from the seed.

use leftfold_api::{Expected, Query, Retention, RetentionRule};

use super::model::{Event, Op};
use super::run::Run;

impl Run<'_> {
    pub(crate) fn some_query(&self) -> Query {
        let n = self.random.below(4);
        let text = match self.random.below(12) {
            0 if n < 2 => "system:true".to_owned(),
            0 => "*".to_owned(),
            1 => format!("stream:a-{n}"),
            2 => "category:a".to_owned(),
            3 => format!("type:T{n}"),
            4 => format!("tag:t={n}"),
            5 => format!("category:b tag:t={n}"),
            6 => format!("type:T{n} or stream:a-1,b-2"),
            7 => format!("not stream:a* type:T1,T{n}"),
            8 => format!("system:true not tag:t={n}"),
            9 => "stream:b-*".to_owned(),
            10 => format!("category:a type:T1 tag:t={n}"),
            _ => match self.model.indexes.keys().next() {
                Some(name) => format!("index:{name} not type:T{n}"),
                None => format!("not (category:a or tag:t={n})"),
            },
        };
        text.parse().unwrap()
    }

    pub(crate) fn some_query_without_index(&self) -> Query {
        match self.some_query().to_string() {
            text if text.contains("index:") => "type:T1".parse().unwrap(),
            text => text.parse().unwrap(),
        }
    }

    fn some_event(&mut self) -> Event {
        let letter = if self.random.one_in(2) { "a" } else { "b" };
        let id = match self.random.below(6) {
            0 => {
                self.next_id += 1;
                None
            }
            1 => Some(1 + u128::from(self.random.below(self.next_id as u64))),
            _ => {
                self.next_id += 1;
                Some(self.next_id)
            }
        };
        Event {
            stream: format!("{letter}-{}", self.random.below(3)),
            id,
            kind: self.random.below(4),
            tag: self.random.below(4),
            // Events without ids must still differ.
            content: self.random.below(8) + if id.is_none() { 8 * self.next_id as u64 } else { 0 },
        }
    }

    fn some_expectation(&self, stream: &str) -> Expected {
        let len = self.model.stream(stream).len() as u64;
        match self.random.below(8) {
            0 => Expected::NoStream,
            1 => Expected::Exists,
            2 => Expected::Exactly(self.random.below(len + 2)),
            3..6 => len.checked_sub(1).map_or(Expected::NoStream, Expected::Exactly),
            _ => Expected::Any,
        }
    }

    /// Returns stored events of a stream, to append them again.
    fn some_repeat(&self) -> Option<Op> {
        let stream = format!("a-{}", self.random.below(3));
        let stored = self.model.stream(&stream);
        let first = self.random.below(stored.len() as u64) as usize;
        let events: Vec<_> = stored
            .iter()
            .skip(first)
            .take(1 + self.random.below(3) as usize)
            .map(|(_, event)| (*event).clone())
            .collect();
        if events.is_empty() || events.iter().any(|event| event.id.is_none()) || twice(&events) {
            return None;
        }
        let slot = (first as u64).checked_sub(1).map_or(Expected::NoStream, Expected::Exactly);
        let expected = if self.random.one_in(2) { slot } else { Expected::Any };
        Some(Op { events, expected: vec![(stream, expected)], ..Op::default() })
    }

    fn some_op(&mut self) -> Op {
        if self.random.one_in(4)
            && let Some(op) = self.some_repeat()
        {
            return op;
        }
        let mut op = Op::default();
        for _ in 0..self.random.below(4) {
            let event = self.some_event();
            op.events.push(event);
        }
        if twice(&op.events) {
            op.events.truncate(1);
        }
        let checked = ["a-0", "b-1"].map(str::to_owned);
        for stream in op.events.iter().map(|e| e.stream.clone()).chain(checked) {
            if self.random.one_in(2) && !op.expected.iter().any(|(of, _)| *of == stream) {
                let expected = self.some_expectation(&stream);
                op.expected.push((stream, expected));
            }
        }
        let head = self.model.head();
        if self.random.one_in(4) {
            op.none_after = Some((self.some_query(), self.random.below(head + 1)));
        }
        if self.random.one_in(4) || op.events.is_empty() {
            let name = format!("c{}", self.random.below(2));
            let is = self.model.checkpoints.get(&name).copied();
            let expected = if self.random.one_in(4) { None } else { is };
            let to = self.random.below(head + 1);
            // A move to the current place could come before or after another one, so it is not drawn.
            let to = if expected == Some(to) { to.checked_sub(1).unwrap_or(head) } else { to };
            op.checkpoint = (expected != Some(to)).then_some((name, expected, to));
        }
        if op.events.is_empty() && op.checkpoint.is_none() {
            let event = self.some_event();
            op.events.push(event);
        }
        op
    }

    pub(crate) fn some_ops(&mut self) -> Vec<Op> {
        (0..1 + self.random.below(5)).map(|_| self.some_op()).collect()
    }

    pub(crate) fn some_stream(&self) -> String {
        format!("{}-{}", if self.random.one_in(2) { "a" } else { "b" }, self.random.below(3))
    }

    pub(crate) fn some_retention(&self) -> Retention {
        match self.random.below(4) {
            0 => Retention::default(),
            1 => Retention::default().truncate_before(self.random.below(6)),
            _ => Retention::default().max_count(1 + self.random.below(4)),
        }
    }

    pub(crate) fn some_rule(&self) -> RetentionRule {
        let query = ["category:a", "stream:b-1 or stream:a-*", "not category:b"];
        RetentionRule {
            name: format!("r{}", self.random.below(2)),
            query: query[self.random.below(3) as usize].parse().unwrap(),
            retention: Retention::default().max_count(1 + self.random.below(5)),
        }
    }
}

fn twice(events: &[Event]) -> bool {
    let mut seen = std::collections::HashSet::new();
    events.iter().any(|event| event.id.is_some_and(|id| !seen.insert((&event.stream, id))))
}
