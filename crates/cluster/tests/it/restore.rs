//! A node without a copy takes one from another node, and reads the rest from Kafka. Whatever another node sends, the
//! node ends with a whole copy.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_core::future::BoxFuture;
use leftfold_api::{
    Administration, Append, Copies, Engine, EventStore, Failure, NewEvent, Query, Read, ReadError,
    ReadLevel,
};
use leftfold_cluster::group;
use leftfold_cluster::partition::{CopyPieces, CopySources, Role};
use leftfold_cluster::store::{ClusterStore, OwnPart};
use parking_lot::Mutex;
use pollster::block_on;
use tokio::sync::oneshot;

use crate::nodes::{FakeCache, Nodes, TestNode};

const EVENTS: u64 = 600;
const BEHIND: u64 = 40;

/// What a node sends when it is asked for its copy.
#[derive(Clone)]
enum Answer {
    Pieces(Vec<Bytes>),
    /// It vanishes after some pieces.
    Vanishes(Vec<Bytes>),
    Refuses,
    /// It gives as many copies as it may when it is asked first.
    IsBusy(Arc<AtomicBool>, Vec<Bytes>),
    /// It sends its pieces once the test lets it.
    Waits(Arc<Mutex<Option<oneshot::Receiver<()>>>>, Vec<Bytes>),
}

/// Nodes with their answers, in their order, and who was asked.
#[derive(Clone, Default)]
struct FakeSources {
    answers: Vec<(&'static str, Answer)>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl FakeSources {
    fn new(answers: &[(&'static str, Answer)]) -> Self {
        FakeSources { answers: answers.to_vec(), ..FakeSources::default() }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().clone()
    }
}

impl CopySources for FakeSources {
    fn nodes(&self) -> BoxFuture<'_, Vec<group::Node>> {
        let node = |(name, _): &(&str, Answer)| {
            let (name, url) = ((*name).to_owned(), String::new());
            group::Node { name, url, kafka: None, is_draining: false }
        };
        Box::pin(std::future::ready(self.answers.iter().map(node).collect()))
    }

    fn fetch<'a>(
        &'a self,
        node: &'a group::Node,
    ) -> BoxFuture<'a, Result<Box<dyn CopyPieces>, ReadError>> {
        self.asked.lock().push(node.name.clone());
        let answer = self.answers.iter().find(|(name, _)| *name == node.name);
        Box::pin(async move {
            let pieces = match answer.unwrap().1.clone() {
                Answer::Pieces(pieces) => pieces.into_iter().map(Ok).collect(),
                Answer::Vanishes(pieces) => {
                    let gone = Err(Failure::Closed.into());
                    pieces.into_iter().map(Ok).chain([gone]).collect()
                }
                Answer::Refuses => return Err(Failure::NotOwner.into()),
                Answer::IsBusy(is_busy, pieces) => {
                    if is_busy.swap(false, Ordering::Relaxed) {
                        let (code, message) = ("server_overloaded", String::new());
                        return Err(Failure::Remote { code, message, can_retry: true }.into());
                    }
                    pieces.into_iter().map(Ok).collect()
                }
                Answer::Waits(go_on, pieces) => {
                    let waiting = go_on.lock().take().unwrap();
                    waiting.await.unwrap();
                    pieces.into_iter().map(Ok).collect()
                }
            };
            Ok(Box::new(FakePieces(pieces)) as Box<dyn CopyPieces>)
        })
    }
}

struct FakePieces(std::collections::VecDeque<Result<Bytes, ReadError>>);

impl CopyPieces for FakePieces {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, ReadError>> {
        Box::pin(std::future::ready(self.0.pop_front().transpose()))
    }
}

fn append(store: &ClusterStore, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let event = NewEvent::new("Counted", format!("{number} ").repeat(40));
        let stream = format!("counter-{}", number % 7);
        block_on(store.append(Append::new().event(stream, event))).unwrap();
    }
}

/// Returns all events of a node's own copy, as lines.
fn events(store: &ClusterStore) -> Vec<String> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let mut read = Read::forward(Query::All).level(ReadLevel::Local);
        if let Some(cursor) = after {
            read = read.after(cursor);
        }
        let page = block_on(store.read(read)).unwrap();
        found.extend(page.events.iter().map(|event| format!("{event:?} {:?}", event.data())));
        if !page.more {
            return found;
        }
        after = Some(page.cursor);
    }
}

/// Returns the copy of a node, as it sends it.
fn copy_of(store: &ClusterStore) -> Vec<Bytes> {
    let mut pieces = Vec::new();
    let part = OwnPart(store.clone());
    let sent = part.send_copy(&mut |piece| {
        pieces.push(piece);
        true
    });
    assert!(sent.is_ok());
    pieces
}

/// An owner with sealed segments, a copy of it, and events that came later.
struct Filled {
    nodes: Nodes,
    owner: TestNode,
    copy: Vec<Bytes>,
    /// The position up to which the owner's log went when the copy was made.
    copied: u64,
}

fn filled() -> Filled {
    let nodes = Nodes::new();
    let owner = nodes.start("a", FakeCache::new(1));
    nodes.own(&owner);
    owner.wait_for(Role::Owner);
    append(&owner.store, 0..EVENTS);
    owner.store.seal().unwrap();
    append(&owner.store, EVENTS..EVENTS + BEHIND);
    let stat = owner.store.stat().unwrap();
    assert!(stat.sealed > 3, "{stat:?}");
    let (copy, copied) = (copy_of(&owner.store), stat.last_position);
    append(&owner.store, EVENTS + BEHIND..EVENTS + 2 * BEHIND);
    Filled { nodes, owner, copy, copied }
}

impl Filled {
    /// Starts a node whose copy comes from these, waits until it has all, and checks that it is equal to the owner's.
    /// Returns the least offset that was read from Kafka.
    fn restore(&self, cache: FakeCache, sources: &FakeSources) -> i64 {
        // The owner has nothing to write, so it reads nothing.
        self.nodes.kafka.take_read_from();
        let node = self.nodes.start_restoring("b", cache, sources.clone());
        let end = self.owner.partition.status().borrow().applied;
        node.wait_until("at the end", |status| {
            status.role == Role::Standby && status.applied >= end
        });
        assert_eq!(events(&node.store), events(&self.owner.store));
        assert_eq!(node.partition.status().borrow().restoring_from, None);
        let report = Administration::verify(&node.store, &mut || true).unwrap();
        assert_eq!(report.problem_count, 0, "{report:?}");
        self.nodes.kafka.take_read_from().unwrap()
    }
}

fn changed(pieces: &[Bytes], change: impl FnOnce(&mut Vec<u8>)) -> Vec<Bytes> {
    let mut bytes = pieces.concat();
    change(&mut bytes);
    bytes.chunks(1000).map(Bytes::copy_from_slice).collect()
}

#[test]
fn a_missing_copy_comes_from_another_node_and_only_the_tail_from_kafka() {
    let filled = filled();
    let sources = FakeSources::new(&[
        ("b", Answer::Refuses),
        ("c", Answer::Refuses),
        ("a", Answer::Pieces(filled.copy.clone())),
    ]);
    let from = filled.restore(FakeCache::new(2), &sources);
    assert_eq!(sources.asked(), ["c", "a"], "a node does not ask itself");
    // The copy ends at its last mark, which is near its end.
    let from = u64::try_from(from).unwrap();
    assert!(from >= EVENTS && from < filled.copied, "{from}");
}

#[test]
fn without_another_node_all_comes_from_kafka() {
    let filled = filled();
    assert_eq!(filled.restore(FakeCache::new(2), &FakeSources::default()), 0);
    let all_refuse = FakeSources::new(&[("a", Answer::Refuses), ("c", Answer::Refuses)]);
    assert_eq!(filled.restore(FakeCache::new(3), &all_refuse), 0);
    assert_eq!(all_refuse.asked(), ["a", "c"]);
}

#[test]
fn a_copy_that_was_cut_or_changed_is_refused_and_the_next_node_is_asked() {
    let filled = filled();
    let pieces = &filled.copy;
    let length = pieces.concat().len();
    let half = pieces.len() / 2;
    let cut = changed(pieces, |bytes| bytes.truncate(length - 10));
    let altered = changed(pieces, |bytes| bytes[length / 2] ^= 1);
    for bad in [
        Answer::Pieces(cut),
        Answer::Pieces(altered),
        Answer::Pieces(Vec::new()),
        Answer::Vanishes(pieces[..half].to_vec()),
    ] {
        let alone = FakeSources::new(&[("a", bad.clone())]);
        assert_eq!(filled.restore(FakeCache::new(2), &alone), 0);
        assert_eq!(alone.asked(), ["a"]);
        let good = Answer::Pieces(pieces.clone());
        let both = FakeSources::new(&[("a", bad), ("c", good)]);
        assert!(filled.restore(FakeCache::new(2), &both) >= EVENTS as i64);
        assert_eq!(both.asked(), ["a", "c"]);
    }
}

#[test]
fn a_copy_of_another_topic_is_refused() {
    let filled = filled();
    let others = Nodes::new();
    let other = others.start("a", FakeCache::of_another_topic(1));
    others.own(&other);
    other.wait_for(Role::Owner);
    append(&other.store, 0..10);
    let sources = FakeSources::new(&[("a", Answer::Pieces(copy_of(&other.store)))]);
    assert_eq!(filled.restore(FakeCache::new(2), &sources), 0);
}

#[test]
fn a_whole_copy_that_differs_from_the_log_is_made_anew_and_its_node_not_asked_again() {
    let filled = filled();
    // It has the identity of the topic, and other events.
    let others = Nodes::new();
    let other = others.start("a", FakeCache::new(1));
    others.own(&other);
    other.wait_for(Role::Owner);
    append(&other.store, 0..100);
    let wrong = Answer::Pieces(copy_of(&other.store));
    let alone = FakeSources::new(&[("a", wrong.clone())]);
    assert_eq!(filled.restore(FakeCache::new(2), &alone), 0);
    assert_eq!(alone.asked(), ["a"]);
    let good = Answer::Pieces(filled.copy.clone());
    let both = FakeSources::new(&[("a", wrong), ("c", good)]);
    filled.restore(FakeCache::new(3), &both);
    assert_eq!(both.asked(), ["a", "c"]);
}

#[test]
fn a_node_that_gives_as_many_copies_as_it_may_is_asked_again() {
    let filled = filled();
    let busy = Answer::IsBusy(Arc::new(AtomicBool::new(true)), filled.copy.clone());
    let sources = FakeSources::new(&[("a", busy), ("c", Answer::Refuses)]);
    assert!(filled.restore(FakeCache::new(2), &sources) >= EVENTS as i64);
    assert_eq!(sources.asked(), ["a", "c", "a"]);
}

#[test]
fn a_copy_that_is_there_is_used() {
    let filled = filled();
    let cache = FakeCache::new(2);
    filled.restore(cache.clone(), &FakeSources::default());
    let sources = FakeSources::new(&[("a", Answer::Pieces(filled.copy.clone()))]);
    assert!(filled.restore(cache, &sources) > 0);
    assert_eq!(sources.asked(), Vec::<String>::new());
}

#[test]
fn the_status_names_the_node_and_an_interrupted_restore_begins_anew() {
    let filled = filled();
    let cache = FakeCache::new(2);
    let (go_on, waiting) = oneshot::channel();
    let waits = Answer::Waits(Arc::new(Mutex::new(Some(waiting))), filled.copy.clone());
    let sources = FakeSources::new(&[("a", waits)]);
    let node = filled.nodes.start_restoring("b", cache.clone(), sources);
    node.wait_until("restoring", |status| status.restoring_from.as_deref() == Some("a"));
    let failure = Engine::failure(&node.store).unwrap().to_string();
    assert!(failure.ends_with("it comes from node a"), "{failure}");
    // A copy that is not open is not given to others.
    let refused = OwnPart(node.store.clone()).send_copy(&mut |_| true).unwrap_err();
    assert_eq!(refused.code(), "not_owner");
    drop((node, go_on));
    assert_eq!(cache.disk().names(), Vec::<String>::new());
    let sources = FakeSources::new(&[("a", Answer::Pieces(filled.copy.clone()))]);
    assert!(filled.restore(cache, &sources) >= EVENTS as i64);
}
