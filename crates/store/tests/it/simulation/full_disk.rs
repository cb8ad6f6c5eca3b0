//! A disk that fills up and gets space again while appends and all jobs run, without a restart. Once there is
//! space, everything that was begun ends, and nothing is left of the attempts.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::task::Poll;

use leftfold_api::{
    Append, AppendError, Coded, EventStore, Expected, IndexDefinition, NewEvent, Query, Read,
    Retention,
};
use leftfold_io::fake::{FakeDisk, SeededRandom};
use leftfold_store::{Compression, Embedded, Manual, Options};

use super::run::poll;
use super::seeds::{is_ci, run_seeds, seeds};
use crate::faults::support::{manual, small};

/// The number of runs in CI.
const SEEDS: u64 = 300;

/// The number of steps of a run.
const STEPS: u64 = 80;

/// The bytes of a segment's header.
const EMPTY_SEGMENT: usize = 64;

/// How often a full disk was in the way.
#[derive(Debug, Default)]
struct Tally {
    appends: u64,
    jobs: u64,
    scavenges: u64,
    indexes: u64,
}

struct Run<'a> {
    random: SeededRandom,
    disk: FakeDisk,
    store: Embedded,
    manual: Manual,
    /// The events that were sent, by id, and their lengths.
    sent: BTreeMap<u128, usize>,
    /// Those whose append was refused.
    refused: BTreeSet<u128>,
    /// The indexes that were defined, and whether that was acknowledged.
    indexes: BTreeMap<String, bool>,
    tally: &'a mut Tally,
}

fn options(seed: u64) -> Options {
    let compression = [Compression::Fast, Compression::Small, Compression::Off][seed as usize % 3];
    Options { compression, ..small() }
}

/// Runs a change to its end, or for some turns: a job that waits for space may never end.
fn drive<T>(manual: &mut Manual, change: impl Future<Output = T>) -> Option<T> {
    let mut change: Pin<Box<_>> = Box::pin(change);
    for _ in 0..20 {
        if let Poll::Ready(ready) = poll(&mut change) {
            return Some(ready);
        }
        manual.write();
        manual.maintain();
    }
    None
}

impl Run<'_> {
    fn step(&mut self) {
        match self.random.below(16) {
            0..5 => self.append_some(),
            5..8 => self.do_a_job(),
            8 => self.manual.rest(),
            9 => self.manual.close_segment(),
            10 => self.define_an_index(),
            11 => self.scavenge(),
            12..15 => {
                let bytes = self.disk.used() + self.random.below(3_000);
                self.disk.set_capacity(Some(bytes));
            }
            _ => self.disk.set_capacity(None),
        }
    }

    fn append_some(&mut self) {
        let id = self.sent.len() as u128 + 1;
        let bytes = [10, 100, 3_000][self.random.below(3) as usize];
        self.sent.insert(id, bytes);
        if self.send(id).is_err() {
            self.refused.insert(id);
            self.tally.appends += 1;
        }
    }

    fn send(&mut self, id: u128) -> Result<(), AppendError> {
        let event = NewEvent::new(format!("T{}", id % 3), vec![b'x'; self.sent[&id]]);
        let stream = format!("s-{}", id % 4);
        let append = Append::new()
            .event(&stream, event.id(uuid::Uuid::from_u128(id)))
            .expect(stream, Expected::Any);
        let sent = drive(&mut self.manual, self.store.append(append));
        let sent = sent.unwrap_or_else(|| panic!("an append waits for space"));
        if let Err(error) = &sent {
            assert_eq!(error.code(), "disk_full", "{error}");
        }
        sent.map(drop)
    }

    fn do_a_job(&mut self) {
        self.manual.maintain();
        if let Some(failure) = self.store.stat().unwrap().maintenance_failure {
            assert_eq!(failure.code(), "disk_full", "{failure}");
            self.tally.jobs += 1;
            self.check_files();
        }
    }

    fn define_an_index(&mut self) {
        let name = format!("i{}", self.indexes.len());
        let definition = IndexDefinition::new(&name, Query::event_type("T1"));
        let defined = drive(&mut self.manual, self.store.define_index(definition));
        let acknowledged = matches!(defined, Some(Ok(())));
        self.tally.indexes += u64::from(!acknowledged);
        self.indexes.insert(name, acknowledged);
    }

    fn scavenge(&mut self) {
        let retention = Retention::default().max_count(2);
        _ = drive(&mut self.manual, self.store.set_retention("s-3", retention));
        if let Err(error) = self.store.scavenge(|_, _| ()) {
            assert_eq!(error.code(), "disk_full", "{error}");
            self.tally.scavenges += 1;
            self.check_files();
        }
    }

    /// Checks that an attempt has left no segment that takes the space of others.
    fn check_files(&self) {
        let is_filled = |name: &String| {
            let bytes = self.disk.bytes(name).map_or(0, |bytes| bytes.len());
            name.ends_with(".seg") && bytes > EMPTY_SEGMENT
        };
        let filled = self.disk.names().iter().filter(|name| is_filled(name)).count() as u64;
        assert!(filled <= self.store.stat().unwrap().segments, "{:?}", self.disk.names());
    }

    /// Gives the disk space, and checks that everything ends.
    fn end(&mut self, seed: u64) {
        self.disk.set_capacity(None);
        self.manual.rest();
        assert!(self.store.failure().is_none(), "{:?}", self.store.failure());
        for id in std::mem::take(&mut self.refused) {
            self.send(id).unwrap_or_else(|error| panic!("{error}"));
        }
        self.manual.close_segment();
        while self.manual.maintain() {}
        self.store.scavenge(|_, _| ()).unwrap();
        while self.manual.maintain() {}
        let stat = self.store.stat().unwrap();
        assert!(stat.maintenance_failure.is_none(), "{:?}", stat.maintenance_failure);
        let compressed =
            if options(seed).compression == Compression::Off { 0 } else { stat.sealed };
        assert_eq!((stat.sealed, stat.compressed), (stat.segments - 1, compressed));
        let verified = self.store.verify(|_, _| ());
        assert_eq!(verified.problem_count, 0, "{:?}", verified.problems);
        self.check_events();
    }

    fn check_events(&self) {
        let found = self.ids(Query::All);
        let all: BTreeSet<u128> = self.sent.keys().copied().collect();
        let count = found.len();
        let found: BTreeSet<u128> = found.into_iter().collect();
        assert_eq!(found.len(), count, "an event is there twice");
        let is_limited = |id: &u128| id % 4 == 3;
        let missing: Vec<_> = all.difference(&found).filter(|id| !is_limited(id)).collect();
        assert!(missing.is_empty() && found.is_subset(&all), "{missing:?} are missing");
        let expected = self.ids(Query::event_type("T1"));
        for (name, acknowledged) in &self.indexes {
            match self.store.blocking().read(Read::forward(Query::index(name))) {
                Ok(_) => assert_eq!(self.ids(Query::index(name)), expected, "{name}"),
                Err(error) => assert_eq!((error.code(), *acknowledged), ("index_unknown", false)),
            }
        }
    }

    fn ids(&self, query: Query) -> Vec<u128> {
        let (mut found, mut read) = (Vec::new(), Read::forward(query.clone()));
        loop {
            let page = self.store.blocking().read(read).unwrap();
            found.extend(page.events.iter().map(|event| event.id().as_u128()));
            if !page.more {
                return found;
            }
            read = Read::forward(query.clone()).after(page.cursor);
        }
    }
}

fn run(seed: u64, tally: &mut Tally) {
    let disk = FakeDisk::new();
    let (store, manual_one) = manual(&disk, options(seed)).unwrap();
    let mut run = Run {
        random: SeededRandom::new(seed),
        disk: disk.clone(),
        store,
        manual: manual_one,
        sent: BTreeMap::new(),
        refused: BTreeSet::new(),
        indexes: BTreeMap::new(),
        tally,
    };
    for _ in 0..STEPS {
        run.step();
    }
    run.end(seed);
    let names = disk.names();
    let Run { store, manual: manual_one, .. } = run;
    manual_one.close();
    drop(store);
    // An opening removes what no manifest names.
    drop(manual(&disk, options(seed)).unwrap());
    assert_eq!(disk.names(), names, "the attempts have left files");
}

#[test]
fn everything_that_a_full_disk_has_interrupted_ends_without_a_restart() {
    let mut tally = Tally::default();
    run_seeds(seeds(SEEDS), |seed| run(seed, &mut tally));
    println!("{tally:?}");
    if is_ci() {
        let Tally { appends, jobs, scavenges, indexes } = tally;
        assert!([appends, jobs, scavenges, indexes].iter().all(|n| *n > 50), "{tally:?}");
    }
}
