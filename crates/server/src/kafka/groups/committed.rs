//! The committed offsets of consumer groups. Each commit is an event that holds all offsets of its group, so that the last
//! one is all that counts; those before it are scavenged.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use leftfold_api::{
    Append, AppendError, Conflict, Engine, EventStore, Expected, NewEvent, Query, Read, ReadError,
    Streams, names,
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The type of a commit.
const COMMITTED: &str = "$OffsetsCommitted";
/// Groups whose offsets are kept in memory.
const REMEMBERED: usize = 10_000;
/// Bytes of their commits.
const REMEMBERED_BYTES: usize = 32 << 20;
/// Partitions of which a group has offsets.
pub(in crate::kafka) const MOST_PARTITIONS: usize = 10_000;
/// Bytes of a commit.
pub(in crate::kafka) const MOST_BYTES: usize = 4 << 20;
/// Attempts of a commit that meets those of another node.
const ATTEMPTS: usize = 8;

/// An offset that a group has committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Committed {
    /// The offset of the next record.
    pub(super) offset: i64,
    #[serde(default = "no_epoch", skip_serializing_if = "is_no_epoch")]
    pub(super) leader_epoch: i32,
    /// What the consumer has noted with it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) metadata: String,
}

fn no_epoch() -> i32 {
    -1
}

fn is_no_epoch(epoch: &i32) -> bool {
    *epoch < 0
}

/// The offsets of a group, by topic and partition.
pub(super) type Offsets = BTreeMap<String, BTreeMap<i32, Committed>>;

#[derive(Default, Serialize, Deserialize)]
struct Commit {
    /// The term of the coordinator: that of the owner of partition 0 of a cluster.
    #[serde(default, skip_serializing_if = "is_no_term")]
    term: u64,
    topics: Offsets,
}

fn is_no_term(term: &u64) -> bool {
    *term == 0
}

#[derive(Default)]
struct Group {
    /// The version of the commit that the offsets are of; `None` before the first, or before they were read.
    version: Option<u64>,
    /// The term of that commit.
    term: u64,
    is_read: bool,
    offsets: Offsets,
    weight: Weight,
}

/// The bytes of a group's last commit, which count among those of all groups until it is forgotten.
#[derive(Default)]
struct Weight {
    all: Arc<AtomicUsize>,
    own: usize,
}

impl Weight {
    fn set(&mut self, own: usize) {
        self.all.fetch_add(own, Ordering::Relaxed);
        self.all.fetch_sub(self.own, Ordering::Relaxed);
        self.own = own;
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.set(0);
    }
}

impl Group {
    fn set(&mut self, version: Option<u64>, commit: Commit, bytes: usize) {
        let Commit { term, topics } = commit;
        (self.version, self.term, self.is_read, self.offsets) = (version, term, true, topics);
        self.weight.set(bytes);
    }
}

/// Why offsets can't be read or committed.
#[derive(Debug, Error)]
pub(super) enum OffsetsError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(
        "the group's coordinator of term {found} has committed, expected none after term {expected}; look for it"
    )]
    Deposed { expected: u64, found: u64 },
    #[error("the last commit of the group can't be read: {0}")]
    Damaged(serde_json::Error),
    #[error(
        "a group can have offsets of {MOST_PARTITIONS} partitions, in {MOST_BYTES} bytes with their metadata"
    )]
    TooLarge,
}

/// The committed offsets of all groups.
pub(in crate::kafka) struct CommittedOffsets {
    store: Arc<dyn Engine>,
    groups: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Group>>>>,
    /// Bytes of the last commits of the groups that are kept in memory.
    bytes: Arc<AtomicUsize>,
}

impl CommittedOffsets {
    pub(in crate::kafka) fn new(store: Arc<dyn Engine>) -> Self {
        CommittedOffsets { store, groups: Mutex::default(), bytes: Arc::default() }
    }

    fn group(&self, name: &str) -> Arc<tokio::sync::Mutex<Group>> {
        let mut groups = self.groups.lock();
        let are_many =
            groups.len() >= REMEMBERED || self.bytes.load(Ordering::Relaxed) > REMEMBERED_BYTES;
        if are_many && !groups.contains_key(name) {
            // Those that no request uses at the moment are read again when one does.
            groups.retain(|_, group| Arc::strong_count(group) > 1);
        }
        let new = || {
            let weight = Weight { all: self.bytes.clone(), own: 0 };
            Arc::new(tokio::sync::Mutex::new(Group { weight, ..Group::default() }))
        };
        groups.entry(name.to_owned()).or_insert_with(new).clone()
    }

    /// Returns the offsets of a group.
    pub(super) async fn of(&self, name: &str) -> Result<Offsets, OffsetsError> {
        let group = self.group(name);
        let mut group = group.lock().await;
        if !group.is_read || self.store.cluster().is_some() {
            // On a cluster another node may have committed.
            self.read(name, &mut group).await?;
        }
        Ok(group.offsets.clone())
    }

    async fn read(&self, name: &str, group: &mut Group) -> Result<(), OffsetsError> {
        let query = Query::System.and(Query::stream(stream_of(name)));
        let page = self.store.read(Read::backward(query).limit(1)).await?;
        let (version, commit, bytes) = match page.events.first() {
            Some(event) => {
                let data = event.data();
                let commit: Commit =
                    serde_json::from_slice(&data).map_err(OffsetsError::Damaged)?;
                (Some(event.version()), commit, data.len())
            }
            None => (None, Commit::default(), 0),
        };
        group.set(version, commit, bytes);
        Ok(())
    }

    /// Changes the offsets of a group, durably, as its coordinator of a term. A change that leaves them as they are
    /// writes nothing.
    ///
    /// On a cluster a coordinator may not know yet that it has a successor. The version of the group's stream and the term
    /// of its last event fence it: once a later term has committed, an earlier one can't.
    ///
    /// # Errors
    /// Those of the store; the offsets are too large; a later coordinator has committed.
    pub(super) async fn change(
        &self,
        name: &str,
        term: u64,
        change: impl Fn(&mut Offsets),
    ) -> Result<(), OffsetsError> {
        let group = self.group(name);
        let mut group = group.lock().await;
        let (mut attempt, mut is_fresh) = (0, self.store.cluster().is_none());
        loop {
            if !group.is_read {
                self.read(name, &mut group).await?;
                is_fresh = true;
            }
            if group.term > term {
                return Err(OffsetsError::Deposed { expected: term, found: group.term });
            }
            let mut offsets = group.offsets.clone();
            change(&mut offsets);
            offsets.retain(|_, partitions| !partitions.is_empty());
            if offsets == group.offsets && group.version.is_some() {
                if is_fresh {
                    return Ok(());
                }
                // Another node may have changed them since.
                group.is_read = false;
                continue;
            }
            let partitions: usize = offsets.values().map(BTreeMap::len).sum();
            let commit = Commit { term, topics: offsets };
            let data = serde_json::to_vec(&commit).map_err(OffsetsError::Damaged)?;
            if partitions > MOST_PARTITIONS || data.len() > MOST_BYTES {
                return Err(OffsetsError::TooLarge);
            }
            let (stream, bytes) = (stream_of(name), data.len());
            let expected = group.version.map_or(Expected::NoStream, Expected::Exactly);
            let append = Append::new().event(stream.as_str(), NewEvent::json(COMMITTED, data));
            // Until it is known to be written, what is remembered may be old.
            group.is_read = false;
            attempt += 1;
            match self.store.append_system(append.expect(stream.as_str(), expected)).await {
                Ok(appended) => {
                    let version = appended.streams.first().map(|versions| versions.last);
                    group.set(version, commit, bytes);
                    return Ok(());
                }
                Err(AppendError::Conflict(Conflict::Version { .. })) if attempt < ATTEMPTS => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Returns the names of the groups that have committed offsets.
    pub(super) async fn groups(&self) -> Result<Vec<String>, OffsetsError> {
        let (mut groups, mut after) = (Vec::new(), None);
        loop {
            let category = Some(names::KAFKA.to_owned());
            let page =
                self.store.streams(Streams { category, system: true, after, limit: 0 }).await?;
            for stream in &page.streams {
                let Some((_, name)) = stream.name.split_once('-') else { continue };
                if !self.of(name).await?.is_empty() {
                    groups.push(name.to_owned());
                }
            }
            if !page.more {
                return Ok(groups);
            }
            after = Some(page.cursor);
        }
    }
}

fn stream_of(group: &str) -> String {
    format!("{}-{group}", names::KAFKA)
}

#[cfg(test)]
mod tests {
    use leftfold_io::SystemClock;
    use leftfold_io::fake::{FakeDisk, SeededRandom};
    use leftfold_store::{Embedded, Options};

    use super::*;

    fn store(disk: &Arc<FakeDisk>) -> Arc<Embedded> {
        let (clock, random) = (Arc::new(SystemClock), Arc::new(SeededRandom::new(7)));
        Arc::new(Embedded::open_on(disk.clone(), clock, random, Options::default()).unwrap())
    }

    fn commit(offset: i64, metadata: &str) -> Committed {
        Committed { offset, leader_epoch: -1, metadata: metadata.to_owned() }
    }

    async fn set(offsets: &CommittedOffsets, group: &str, partition: i32, committed: &Committed) {
        let change = |offsets: &mut Offsets| {
            offsets.entry("order".to_owned()).or_default().insert(partition, committed.clone());
        };
        offsets.change(group, 0, change).await.unwrap();
    }

    #[tokio::test]
    async fn offsets_outlive_the_server() {
        let disk = Arc::new(FakeDisk::new());
        let first = store(&disk);
        let offsets = CommittedOffsets::new(first.clone());
        set(&offsets, "billing", 0, &commit(5, "noted")).await;
        set(&offsets, "billing", 1, &commit(7, "")).await;
        set(&offsets, "mail", 0, &commit(1, "")).await;
        drop((offsets, first));
        let offsets = CommittedOffsets::new(store(&disk));
        let expected = BTreeMap::from([(0, commit(5, "noted")), (1, commit(7, ""))]);
        assert_eq!(
            offsets.of("billing").await.unwrap(),
            BTreeMap::from([("order".to_owned(), expected)])
        );
        assert_eq!(offsets.groups().await.unwrap(), ["billing", "mail"]);
        offsets.change("billing", 0, BTreeMap::clear).await.unwrap();
        assert_eq!(offsets.groups().await.unwrap(), ["mail"]);
    }

    #[tokio::test]
    async fn the_memory_of_groups_is_bounded() {
        let offsets = CommittedOffsets::new(store(&Arc::new(FakeDisk::new())));
        let note = "n".repeat(MOST_BYTES - 1_000);
        for n in 0..REMEMBERED_BYTES / MOST_BYTES + 3 {
            set(&offsets, &n.to_string(), 0, &commit(n as i64, &note)).await;
            assert!(offsets.bytes.load(Ordering::Relaxed) <= REMEMBERED_BYTES + MOST_BYTES);
        }
        // One that was forgotten is read again.
        assert!(!offsets.groups.lock().contains_key("0"));
        assert_eq!(offsets.of("0").await.unwrap()["order"][&0].offset, 0);
    }

    #[tokio::test]
    async fn two_who_commit_lose_nothing() {
        let disk = Arc::new(FakeDisk::new());
        let store = store(&disk);
        let (one, other) = (CommittedOffsets::new(store.clone()), CommittedOffsets::new(store));
        set(&one, "g", 0, &commit(1, "")).await;
        set(&other, "g", 1, &commit(2, "")).await;
        set(&one, "g", 2, &commit(3, "")).await;
        let partitions = CommittedOffsets::new(one.store.clone()).of("g").await.unwrap();
        assert_eq!(partitions["order"].len(), 3);
    }

    #[tokio::test]
    async fn a_coordinator_of_an_earlier_term_commits_nothing_after_a_later_one() {
        let disk = Arc::new(FakeDisk::new());
        let store = store(&disk);
        let (old, new) = (CommittedOffsets::new(store.clone()), CommittedOffsets::new(store));
        let set = async |by: &CommittedOffsets, term, offset| {
            let change = |offsets: &mut Offsets| {
                offsets.entry("order".to_owned()).or_default().insert(0, commit(offset, ""));
            };
            by.change("g", term, change).await
        };
        set(&old, 3, 10).await.unwrap();
        // Until its successor has committed it still can.
        set(&old, 3, 11).await.unwrap();
        set(&new, 5, 7).await.unwrap();
        for offset in [12, 7] {
            let refused = set(&old, 3, offset).await.unwrap_err();
            assert!(
                matches!(refused, OffsetsError::Deposed { expected: 3, found: 5 }),
                "{refused}"
            );
        }
        // It may read them, and is not the coordinator for that.
        assert_eq!(old.of("g").await.unwrap()["order"][&0], commit(7, ""));
        assert!(set(&old, 3, 13).await.is_err());
        set(&old, 6, 14).await.unwrap();
        assert!(set(&new, 5, 15).await.is_err());
        assert_eq!(new.of("g").await.unwrap()["order"][&0], commit(14, ""));
    }
}
