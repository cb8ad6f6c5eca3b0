use std::time::Duration;

use tokio::io::{AsyncReadExt, DuplexStream};

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

/// Returns a link and its peer, with a buffer of this size between them.
fn link(buffer: usize) -> (Link, DuplexStream) {
    let (near, far) = tokio::io::duplex(buffer);
    let (incoming, outgoing) = tokio::io::split(near);
    (Link::start(Address::new("peer", 1), incoming, outgoing), far)
}

fn send(link: &Link, size: usize) -> Result<oneshot::Receiver<Bytes>, KafkaError> {
    link.send(|_| Ok(Bytes::from(vec![0; size])))
}

fn answer(id: i32) -> [u8; 8] {
    let mut bytes = [0, 0, 0, 4, 0, 0, 0, 0];
    bytes[4..].copy_from_slice(&id.to_be_bytes());
    bytes
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap()
}

#[tokio::test]
async fn answers_reach_their_callers_by_id() {
    let (link, mut peer) = link(1 << 10);
    let (first, second) = (send(&link, 8).unwrap(), send(&link, 8).unwrap());
    for id in [2, 1] {
        peer.write_all(&answer(id)).await.unwrap();
    }
    assert_eq!(within(first).await.unwrap(), &answer(1)[4..]);
    assert_eq!(within(second).await.unwrap(), &answer(2)[4..]);
}

#[tokio::test]
async fn an_answer_that_was_not_asked_for_closes_the_link() {
    let (link, mut peer) = link(1 << 10);
    let waiting = send(&link, 8).unwrap();
    peer.write_all(&answer(7)).await.unwrap();
    assert!(within(waiting).await.is_err());
    assert!(!link.is_open());
    assert!(matches!(send(&link, 8), Err(KafkaError::Closed(_))));
}

#[tokio::test]
async fn requests_beyond_the_bounds_are_refused_unsent() {
    let (link, _peer) = link(1);
    let _large = send(&link, MOST_QUEUED_BYTES + 1).unwrap();
    assert!(matches!(send(&link, 1), Err(KafkaError::Busy(1))));
    let (link, _peer) = self::link(1);
    let waiting: Vec<_> = (0..MOST_IN_FLIGHT).map(|_| send(&link, 1).unwrap()).collect();
    assert!(matches!(send(&link, 1), Err(KafkaError::Busy(MOST_IN_FLIGHT))));
    drop(waiting);
}

#[tokio::test]
async fn a_dropped_link_writes_what_is_queued_and_ends() {
    let (link, mut peer) = link(16);
    let waiting = send(&link, 100).unwrap();
    drop(link);
    assert!(within(waiting).await.is_err());
    let mut written = Vec::new();
    within(peer.read_to_end(&mut written)).await.unwrap();
    assert_eq!(written.len(), 100);
}

#[tokio::test]
async fn a_closed_link_fails_all_who_wait_and_frees_the_stream() {
    let (link, mut peer) = link(16);
    let waiting = send(&link, 100).unwrap();
    link.close();
    assert!(within(waiting).await.is_err());
    let mut written = Vec::new();
    within(peer.read_to_end(&mut written)).await.unwrap();
    assert!(written.len() < 100);
}

#[tokio::test]
async fn a_peer_that_ends_closes_the_link() {
    let (link, peer) = link(16);
    let waiting = send(&link, 8).unwrap();
    drop(peer);
    assert!(within(waiting).await.is_err());
    assert!(!link.is_open());
}

#[tokio::test]
async fn requests_whose_callers_gave_up_are_forgotten_with_the_next_answer() {
    let (link, mut peer) = link(1 << 10);
    drop(send(&link, 8).unwrap());
    let second = send(&link, 8).unwrap();
    drop(send(&link, 8).unwrap());
    let fourth = send(&link, 8).unwrap();
    peer.write_all(&answer(2)).await.unwrap();
    within(second).await.unwrap();
    assert_eq!(link.flight.0.lock().as_ref().unwrap().pending.len(), 2);
    for id in [3, 4] {
        peer.write_all(&answer(id)).await.unwrap();
    }
    within(fourth).await.unwrap();
}
