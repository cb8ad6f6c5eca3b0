use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use leftfold_io::fake::{Crash, FakeDisk, ManualClock, SeededRandom};
use leftfold_store::{
    AppendError, Appended, Coded, Cursor, Embedded, EventStore, Expected, Manual, Options, Point,
    Query, Read, Streams,
};

use super::model::{Event, Model, Op, Outcome};

/// Steps of a run.
const STEPS: u64 = 30;

/// How often things were met, over all runs: a simulation that meets nothing proves nothing.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Tally {
    written: u64,
    repeated: u64,
    refused: u64,
    conflicts: u64,
    crashes: u64,
    torn: u64,
    unanswered_kept: u64,
    unanswered_lost: u64,
    reopened: u64,
    indexes: u64,
    sealed: u64,
}

impl Tally {
    pub(crate) fn plus(self, other: Tally) -> Tally {
        Tally {
            written: self.written + other.written,
            repeated: self.repeated + other.repeated,
            refused: self.refused + other.refused,
            conflicts: self.conflicts + other.conflicts,
            crashes: self.crashes + other.crashes,
            torn: self.torn + other.torn,
            unanswered_kept: self.unanswered_kept + other.unanswered_kept,
            unanswered_lost: self.unanswered_lost + other.unanswered_lost,
            reopened: self.reopened + other.reopened,
            indexes: self.indexes + other.indexes,
            sealed: self.sealed + other.sealed,
        }
    }

    pub(crate) fn must_have_met_everything(&self) {
        let Tally { written, repeated, refused, conflicts, crashes, torn, .. } = *self;
        let Tally { unanswered_kept, unanswered_lost, reopened, indexes, sealed, .. } = *self;
        let met = [written, repeated, refused, conflicts, crashes, torn, unanswered_kept];
        let met = met.into_iter().chain([unanswered_lost, reopened, indexes, sealed]);
        assert!(met.into_iter().all(|count| count > 100), "{self:?}");
    }
}

struct Run<'a> {
    random: SeededRandom,
    seed: u64,
    disk: FakeDisk,
    clock: Arc<ManualClock>,
    store: Option<(Embedded, Manual)>,
    model: Model,
    next_id: u128,
    tally: &'a mut Tally,
}

type Waiting<'a> = Pin<Box<dyn Future<Output = Result<Appended, AppendError>> + 'a>>;

pub(crate) fn run(seed: u64, tally: &mut Tally) {
    let mut run = Run {
        random: SeededRandom::new(seed),
        seed,
        disk: FakeDisk::new(),
        clock: Arc::new(ManualClock::at(1_000_000)),
        store: None,
        model: Model::default(),
        next_id: 1,
        tally,
    };
    run.open();
    for _ in 0..STEPS {
        run.step();
    }
    run.reopen();
    run.compare();
    run.verify();
}

fn poll<T>(future: &mut (impl Future<Output = T> + Unpin + ?Sized)) -> Poll<T> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

impl Run<'_> {
    fn open(&mut self) {
        let mut options = Options::default();
        options.log.segment_bytes = 600 + 2_000 * (self.seed % 4);
        options.log.preallocate = 1024 * (self.seed % 3);
        options.limits.page_scanned = 1 + self.seed as usize % 7;
        let random = Arc::new(SeededRandom::new(self.random.next_u64()));
        let disk = Arc::new(self.disk.clone());
        let opened = Embedded::open_manual(disk, self.clock.clone(), random, options);
        self.store = Some(opened.unwrap_or_else(|error| panic!("{error}")));
    }

    fn store(&self) -> &Embedded {
        &self.store.as_ref().unwrap().0
    }

    fn manual(&mut self) -> &mut Manual {
        &mut self.store.as_mut().unwrap().1
    }

    fn cursor(&self, position: u64) -> Cursor {
        if position == 0 {
            return Cursor::START;
        }
        let read = Read::forward(Query::All).including(Point::Position(position)).limit(1);
        let page = self.store().blocking().read(read).unwrap();
        assert_eq!(page.events[0].position(), position);
        page.cursor
    }

    fn step(&mut self) {
        self.clock.advance(self.random.below(2_000) as i64 - 500);
        match self.random.below(20) {
            0..10 => self.append_some(),
            10..12 => self.crash_while_appending(),
            12 => self.reopen(),
            13 => self.change_an_index(),
            14..16 => self.tally.sealed += u64::from(self.manual().upkeep()),
            16 => self.manual().rest(),
            _ => {}
        }
        self.compare();
    }

    fn some_query(&self) -> Query {
        let n = self.random.below(4);
        let text = match self.random.below(12) {
            0 => "*".to_owned(),
            1 => format!("stream:a-{n}"),
            2 => "category:a".to_owned(),
            3 => format!("type:T{n}"),
            4 => format!("tag:t={n}"),
            5 => format!("category:b tag:t={n}"),
            6 => format!("type:T{n} or stream:a-1,b-2"),
            7 => format!("not stream:a* type:T1,T{n}"),
            8 => format!("not category:$index not tag:t={n}"),
            9 => "stream:b-*".to_owned(),
            10 => format!("category:a type:T1 tag:t={n}"),
            _ => match self.model.indexes.keys().next() {
                Some(name) => format!("index:{name} not type:T{n}"),
                None => format!("not (category:a or tag:t={n})"),
            },
        };
        text.parse().unwrap()
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
            // Events without ids must still be told apart.
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

    /// A stored stretch of a stream, to be appended again.
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
            // A move to where it is could come before or after another: nobody could tell.
            let to = if expected == Some(to) { to.checked_sub(1).unwrap_or(head) } else { to };
            op.checkpoint = (expected != Some(to)).then_some((name, expected, to));
        }
        if op.events.is_empty() && op.checkpoint.is_none() {
            let event = self.some_event();
            op.events.push(event);
        }
        op
    }

    fn some_ops(&mut self) -> Vec<Op> {
        (0..1 + self.random.below(5)).map(|_| self.some_op()).collect()
    }

    /// Several callers append at a time; all are answered.
    fn append_some(&mut self) {
        let ops = self.some_ops();
        let appends: Vec<_> = ops.iter().map(|op| op.append(|at| self.cursor(at))).collect();
        let (store, mut manual) = self.store.take().unwrap();
        let answers = {
            let mut waiting: Vec<Waiting<'_>> = Vec::new();
            for append in appends {
                waiting.push(Box::pin(store.append(append)));
            }
            let mut answers = vec![None; waiting.len()];
            while answers.iter().any(Option::is_none) {
                for (future, answer) in waiting.iter_mut().zip(&mut answers) {
                    if answer.is_none()
                        && let Poll::Ready(ready) = poll(future)
                    {
                        *answer = Some(ready);
                    }
                }
                manual.write();
            }
            answers
        };
        self.store = Some((store, manual));
        self.judge(ops, answers.into_iter().flatten().collect());
    }

    /// What was written must be what the model writes, in the order of positions; what was refused
    /// must have been refusable at some moment in between.
    fn judge(&mut self, ops: Vec<Op>, answers: Vec<Result<Appended, AppendError>>) {
        let mut moments = vec![self.model.clone()];
        let mut answered: Vec<_> = ops.into_iter().zip(answers).collect();
        answered.sort_by_key(|(_, answer)| match answer {
            Ok(Appended { positions: Some((first, _)), repeated: false, .. }) => *first,
            _ => u64::MAX,
        });
        let (mut undecided, mut moved) = (Vec::new(), Vec::new());
        for (op, answer) in answered {
            match answer {
                Ok(Appended { positions: Some((first, _)), repeated: false, .. }) => {
                    // Moves without events stand at no position: they may have come before.
                    while self.model.outcome(&op) != Outcome::Written(first) && !moved.is_empty() {
                        let earlier: Op = moved.remove(0);
                        self.model.write(&earlier);
                        moments.push(self.model.clone());
                    }
                    assert_eq!(self.model.outcome(&op), Outcome::Written(first), "{op:?}");
                    self.model.write(&op);
                    self.tally.written += 1;
                    moments.push(self.model.clone());
                }
                Ok(Appended { positions: None, .. }) => moved.push(op),
                other => undecided.push((op, other)),
            }
        }
        for op in moved {
            let possible = moments.iter().any(|m| matches!(m.outcome(&op), Outcome::Written(_)))
                || matches!(self.model.outcome(&op), Outcome::Written(_));
            assert!(possible, "{op:?}");
            self.model.write(&op);
            moments.push(self.model.clone());
        }
        for (op, answer) in undecided {
            let outcome = match &answer {
                Ok(Appended { positions, .. }) => {
                    self.tally.repeated += 1;
                    let (first, last) = positions.unwrap();
                    Outcome::Repeated(first, last)
                }
                Err(error) => {
                    self.tally.refused += 1;
                    self.tally.conflicts += u64::from(matches!(error, AppendError::Conflict(_)));
                    Outcome::Refused(error.code())
                }
            };
            // A move without events stands at no position: it may have come before any write.
            let checkpoints = moments.iter().map(|model| &model.checkpoints);
            let possible = checkpoints.into_iter().any(|checkpoints| {
                moments.iter().any(|model| {
                    let model = Model { checkpoints: checkpoints.clone(), ..model.clone() };
                    model.outcome(&op) == outcome
                })
            });
            assert!(possible, "{op:?} was answered {answer:?}");
        }
    }

    /// The power goes while several callers append. Afterwards each of their appends is there,
    /// whole, or not at all.
    fn crash_while_appending(&mut self) {
        let ops = self.some_ops();
        let appends: Vec<_> = ops.iter().map(|op| op.append(|at| self.cursor(at))).collect();
        let (store, mut manual) = self.store.take().unwrap();
        self.disk.cut_power_at(self.disk.counts().changes + 1 + self.random.below(6));
        let answers = {
            let mut waiting: Vec<Waiting<'_>> = Vec::new();
            for append in appends {
                waiting.push(Box::pin(store.append(append)));
            }
            let mut answers = vec![None; waiting.len()];
            for _ in 0..4 {
                for (future, answer) in waiting.iter_mut().zip(&mut answers) {
                    if answer.is_none()
                        && let Poll::Ready(ready) = poll(future)
                    {
                        *answer = Some(ready);
                    }
                }
                manual.write();
                manual.upkeep();
                manual.rest();
            }
            answers
        };
        drop((store, manual));
        self.tally.crashes += 1;
        let seed = self.random.next_u64();
        let crash = match self.random.below(4) {
            0 => Crash::Forgets,
            1 => Crash::Keeps,
            _ => Crash::Tears(seed),
        };
        self.tally.torn += u64::from(matches!(crash, Crash::Tears(_)));
        self.disk = self.disk.after(crash);
        self.open();
        self.adopt_survivors(ops.into_iter().zip(answers).collect());
    }

    /// Takes into the model what came through the crash: all that was acknowledged, and of the
    /// rest whole appends only.
    fn adopt_survivors(&mut self, ops: Vec<(Op, Option<Result<Appended, AppendError>>)>) {
        let acknowledged = self.model.head();
        let found = self.everything();
        assert!(found.len() as u64 >= acknowledged, "acknowledged events are lost");
        let mut rest = &found[acknowledged as usize..];
        // Refused and repeated appends were not written; of a failed one nobody knows.
        let mut possible: Vec<_> = ops
            .into_iter()
            .filter(|(_, answer)| match answer {
                None | Some(Err(AppendError::Failure(_))) => true,
                Some(Ok(appended)) => !appended.repeated,
                Some(Err(_)) => false,
            })
            .collect();
        while !rest.is_empty() {
            let survivor = possible.iter().position(|(op, _)| {
                let events = &op.events;
                !events.is_empty()
                    && events.len() <= rest.len()
                    && events.iter().zip(rest).all(|(event, stored)| event.is(stored))
            });
            let (op, answer) =
                possible.remove(survivor.unwrap_or_else(|| panic!("half an append: {rest:?}")));
            rest = &rest[op.events.len()..];
            let written = Outcome::Written(self.model.head() + 1);
            assert!(op.checkpoint.is_some() || self.model.outcome(&op) == written, "{op:?}");
            self.model.write(&op);
            self.tally.unanswered_kept += u64::from(!matches!(answer, Some(Ok(_))));
        }
        for (op, answer) in &possible {
            let lost = !op.events.is_empty();
            assert!(!(lost && matches!(answer, Some(Ok(_)))), "acknowledged and lost: {op:?}");
            self.tally.unanswered_lost += u64::from(lost);
        }
        self.adopt_moves(&possible);
    }

    /// A move without events leaves no trace but where the checkpoint is.
    fn adopt_moves(&mut self, ops: &[(Op, Option<Result<Appended, AppendError>>)]) {
        for name in ["c0", "c1"] {
            let is = self.store().blocking().checkpoint(name).unwrap();
            let to = |op: &Op| op.checkpoint.as_ref().filter(|to| to.0 == name).map(|to| to.2);
            let moves =
                ops.iter().filter(|(op, _)| op.events.is_empty()).filter_map(|(op, _)| to(op));
            let before = self.model.checkpoints.get(name).copied();
            let candidates: Vec<_> = before.into_iter().chain(moves).collect();
            match candidates.iter().find(|at| is == Some(self.cursor(**at))) {
                Some(at) => _ = self.model.checkpoints.insert(name.to_owned(), *at),
                None => assert!(is.is_none() && before.is_none(), "{name}: {is:?}, {candidates:?}"),
            }
        }
    }

    fn everything(&self) -> Vec<leftfold_store::Recorded> {
        let (mut all, mut read) = (Vec::new(), Read::forward(Query::All));
        loop {
            let page = self.store().blocking().read(read).unwrap();
            all.extend(page.events);
            if !page.more {
                return all;
            }
            read = Read::forward(Query::All).after(page.cursor);
        }
    }

    fn reopen(&mut self) {
        self.tally.reopened += 1;
        let (store, manual) = self.store.take().unwrap();
        manual.close();
        drop(store);
        self.disk = self.disk.after(Crash::Forgets);
        self.open();
    }

    fn change_an_index(&mut self) {
        let name = format!("i{}", self.random.below(2));
        let query: Query = match self.some_query().to_string() {
            text if text.contains("index:") => "type:T1".parse().unwrap(),
            text => text.parse().unwrap(),
        };
        let known = self.model.indexes.contains_key(&name);
        let (store, mut manual) = self.store.take().unwrap();
        {
            let mut change: Pin<Box<dyn Future<Output = Result<(), AppendError>> + '_>> =
                match known {
                    true => Box::pin(store.drop_index(&name)),
                    false => Box::pin(store.define_index(&name, query.clone())),
                };
            while poll(&mut change).is_pending() {
                manual.write();
                manual.upkeep();
            }
        }
        self.store = Some((store, manual));
        self.tally.indexes += 1;
        self.model.log.push(None);
        match known {
            true => _ = self.model.indexes.remove(&name),
            false => _ = self.model.indexes.insert(name, query),
        }
    }

    fn compare(&mut self) {
        let query = self.some_query();
        let expected = self.model.found(&query);
        let from = self.random.below(self.model.head() + 2);
        let limit = 1 + self.random.below(6) as usize;
        let (forward, backward): (Vec<u64>, Vec<u64>) = {
            let after: Vec<u64> = expected.iter().copied().filter(|at| *at > from).collect();
            let before: Vec<u64> = expected.iter().rev().copied().filter(|at| *at < from).collect();
            (after, before)
        };
        let at = Point::Position(from);
        self.same_pages(Read::forward(query.clone()).excluding(at).limit(limit), &forward);
        if from <= self.model.head() {
            self.same_pages(Read::backward(query).excluding(at).limit(limit), &backward);
        }
        self.compare_streams();
        for name in ["c0", "c1"] {
            let is = self.store().blocking().checkpoint(name).unwrap();
            let expected = self.model.checkpoints.get(name).map(|at| self.cursor(*at));
            assert_eq!(is, expected, "{name}");
        }
        for (name, query) in &self.model.indexes {
            let expected = self.model.found(query);
            if expected.is_empty() {
                continue;
            }
            let ordinal = self.random.below(expected.len() as u64);
            let read =
                Read::forward(Query::index(name)).including(Point::Ordinal(ordinal)).limit(1);
            match self.store().blocking().read(read) {
                Ok(page) => {
                    let (found, at) = (page.events[0].position(), ordinal as usize);
                    assert_eq!(found, expected[at], "{query} at {ordinal}: {expected:?}");
                }
                Err(error) => assert_eq!(error.code(), "index_building"),
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
                if let Some(model) = &self.model.log[event.position() as usize - 1] {
                    assert!(model.is(event), "{model:?} {event:?}");
                }
                found.push(event.position());
            }
            if !page.more {
                break;
            }
            read = Read {
                from: leftfold_store::From::Excluding(Point::Cursor(page.cursor)),
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

    fn verify(&mut self) {
        while self.manual().upkeep() {}
        let verified = self.store().verify(|_, _| ()).unwrap();
        assert_eq!(verified.wrong, 0, "{:?}", verified.findings);
        assert_eq!(verified.events, self.model.head());
    }
}

fn twice(events: &[Event]) -> bool {
    let mut seen = std::collections::HashSet::new();
    events.iter().any(|event| event.id.is_some_and(|id| !seen.insert((&event.stream, id))))
}
