use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use leftfold_api::{AppendError, Appended, Cursor, EventStore};
use leftfold_io::fake::{Crash, FakeDisk, ManualClock, SeededRandom};
use leftfold_store::{Compression, Embedded, Manual, OpenError, Options};

use super::backup::Backups;
use super::model::{LogEvent, Model};
use super::subscriber::Subscriber;
use super::tally::Tally;

/// The number of steps of a run.
const STEPS: u64 = 30;

pub(crate) struct Run<'a> {
    pub(crate) random: SeededRandom,
    pub(crate) seed: u64,
    pub(crate) disk: FakeDisk,
    clock: Arc<ManualClock>,
    pub(crate) store: Option<(Embedded, Manual)>,
    pub(crate) model: Model,
    pub(crate) next_id: u128,
    /// Whether retention is part of this run.
    pub(crate) retains: bool,
    pub(crate) subscriber: Subscriber,
    pub(crate) backups: Backups,
    pub(crate) tally: &'a mut Tally,
}

pub(crate) type PendingAppend<'a> =
    Pin<Box<dyn Future<Output = Result<Appended, AppendError>> + 'a>>;

/// Does a run on these disks: of the store, and of its backups.
pub(crate) fn run(seed: u64, [disk, backups]: [FakeDisk; 2], tally: &mut Tally) {
    let mut run = Run {
        random: SeededRandom::new(seed),
        seed,
        disk,
        clock: Arc::new(ManualClock::at(1_000_000)),
        store: None,
        model: Model::default(),
        next_id: 1,
        retains: !seed.is_multiple_of(3),
        subscriber: Subscriber::default(),
        backups: Backups::on(backups),
        tally,
    };
    run.subscriber.query = run.some_query_without_index();
    run.open();
    for _ in 0..STEPS {
        run.step();
    }
    run.reopen();
    run.compare();
    run.verify();
    run.rot();
    run.restore();
}

pub(crate) fn poll<T>(future: &mut (impl Future<Output = T> + Unpin + ?Sized)) -> Poll<T> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

impl Run<'_> {
    pub(crate) fn open(&mut self) {
        let opened = self.open_on(&self.disk);
        self.store = Some(opened.unwrap_or_else(|error| panic!("{error}")));
    }

    pub(crate) fn open_on(&self, disk: &FakeDisk) -> Result<(Embedded, Manual), OpenError> {
        let compression =
            [Compression::Fast, Compression::Small, Compression::Off][self.seed as usize % 3];
        let mut options = Options { compression, ..Options::default() };
        options.log.segment_bytes = 600 + 2_000 * (self.seed % 4);
        options.log.preallocate = 1024 * (self.seed % 3);
        options.limits.page_scanned = 1 + self.seed as usize % 7;
        let random = Arc::new(SeededRandom::new(self.random.next_u64()));
        Embedded::open_manual(Arc::new(disk.clone()), self.clock.clone(), random, options)
    }

    pub(crate) fn store(&self) -> &Embedded {
        &self.store.as_ref().unwrap().0
    }

    pub(crate) fn manual(&mut self) -> &mut Manual {
        &mut self.store.as_mut().unwrap().1
    }

    /// Returns the cursor of a position, encoded by `docs/format.md`.
    pub(crate) fn cursor(&self, position: u64) -> Cursor {
        if position == 0 {
            return Cursor::START;
        }
        let header = self.disk.bytes("STORE").unwrap();
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let (store, incarnation) = (hex(&header[32..36]), hex(&header[48..52]));
        format!("02{store}{incarnation}0001{position:016x}").parse().unwrap()
    }

    fn step(&mut self) {
        self.clock.advance(self.random.below(2_000) as i64 - 500);
        match self.random.below(26) {
            0..10 => self.append_some(),
            10..12 => self.crash_while_appending(),
            12 => self.reopen(),
            13 => self.change_an_index(),
            14..17 => self.tally.maintenance += u64::from(self.manual().maintain()),
            17 => self.manual().rest(),
            18 => self.crash_during_maintenance(),
            19..21 if self.retains => self.change_retention(),
            21 if self.retains => self.scavenge(),
            22..24 => self.back_up(),
            _ => {}
        }
        self.compare();
    }

    /// Lets several callers append at a time, and checks all answers.
    fn append_some(&mut self) {
        let ops = self.some_ops();
        let appends: Vec<_> = ops.iter().map(|op| op.append(|at| self.cursor(at))).collect();
        let (store, mut manual) = self.store.take().unwrap();
        let answers = {
            let mut waiting: Vec<PendingAppend<'_>> = Vec::new();
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

    pub(crate) fn reopen(&mut self) {
        self.subscriber.disconnect();
        self.tally.reopened += 1;
        let (store, manual) = self.store.take().unwrap();
        manual.close();
        drop(store);
        self.disk = self.disk.after(Crash::Forgets);
        self.open();
    }

    fn change_an_index(&mut self) {
        let name = format!("i{}", self.random.below(2));
        let query = self.some_query_without_index();
        let known = self.model.indexes.contains_key(&name);
        let (store, mut manual) = self.store.take().unwrap();
        {
            let mut change: Pin<Box<dyn Future<Output = Result<(), AppendError>> + '_>> =
                match known {
                    true => Box::pin(store.drop_index(&name)),
                    false => Box::pin(
                        store
                            .define_index(leftfold_api::IndexDefinition::new(&name, query.clone())),
                    ),
                };
            while poll(&mut change).is_pending() {
                manual.write();
                manual.maintain();
            }
        }
        self.store = Some((store, manual));
        self.tally.indexes += 1;
        self.model.log.push(LogEvent::System("$index"));
        match known {
            true => _ = self.model.indexes.remove(&name),
            false => _ = self.model.indexes.insert(name, query),
        }
    }
}
