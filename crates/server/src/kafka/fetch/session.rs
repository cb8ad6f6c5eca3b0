//! Fetch sessions (KIP-227): a consumer names its partitions once, and then only what has changed.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use kafka_protocol::messages::FetchRequest;
use leftfold_kafka::ResponseError;
use parking_lot::Mutex;
use uuid::Uuid;

use crate::kafka::topics::MAX_NAME;

/// Sessions at the same time; further consumers name all partitions each time.
const MOST: usize = 2_000;
/// Partitions of a session, and of a request.
pub(super) const MOST_PARTITIONS: usize = 10_000;
/// Partitions of all sessions together; further consumers name all partitions each time.
const MOST_IN_SESSIONS: usize = 500_000;
/// A session that was not used for this time gives its place to another one.
const IDLE: Duration = Duration::from_secs(120);
/// The epoch of a request that ends its session.
const FINAL: i32 = -1;

/// A topic as a request names it: by name, or from version 13 on by id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct TopicRef {
    pub(super) name: Arc<str>,
    pub(super) id: Uuid,
}

/// A partition that a consumer reads.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) topic: TopicRef,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) leader_epoch: i32,
    pub(super) max_bytes: i32,
    /// The end that the consumer was told last.
    pub(super) told_end: i64,
}

#[derive(Debug)]
pub(super) struct FetchSession {
    id: i32,
    epoch: i32,
    partitions: Vec<Wanted>,
    /// Its part of the partitions of all sessions.
    counted: Counted,
}

/// Partitions that count for a session until it ends.
#[derive(Debug)]
struct Counted {
    all: Arc<AtomicUsize>,
    own: usize,
}

impl Counted {
    fn new(all: &Arc<AtomicUsize>) -> Self {
        Counted { all: all.clone(), own: 0 }
    }

    /// Counts this many, unless all would be too many.
    fn set(&mut self, own: usize) -> bool {
        let more = own.saturating_sub(self.own);
        let before = self.all.fetch_add(more, Ordering::Relaxed);
        if more > 0 && before + more > MOST_IN_SESSIONS {
            self.all.fetch_sub(more, Ordering::Relaxed);
            return false;
        }
        self.all.fetch_sub(self.own.saturating_sub(own), Ordering::Relaxed);
        self.own = own;
        true
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.all.fetch_sub(self.own, Ordering::Relaxed);
    }
}

type SharedSession = Arc<Mutex<FetchSession>>;

/// The sessions of all consumers.
#[derive(Debug, Default)]
pub(in crate::kafka) struct FetchSessions {
    sessions: Mutex<HashMap<i32, (Instant, SharedSession)>>,
    next: AtomicI32,
    /// The partitions of all sessions.
    partitions: Arc<AtomicUsize>,
}

/// What a request asks for, in its session or without one.
#[derive(Debug)]
pub(super) struct Opened {
    /// 0 without a session.
    pub(super) id: i32,
    /// Whether only what has changed is answered.
    pub(super) is_incremental: bool,
    pub(super) partitions: Vec<Wanted>,
    session: Option<SharedSession>,
}

impl Opened {
    /// Notes what was answered: the ends, and the partitions that are read first the next time.
    pub(super) fn close(&self, ends: impl Iterator<Item = (usize, i64)>, rotated: usize) {
        let Some(session) = &self.session else { return };
        let mut session = session.lock();
        // If the session was changed meanwhile, the consumer is told the ends once more.
        if session.partitions.len() != self.partitions.len() {
            return;
        }
        for (at, end) in ends {
            if let Some(partition) = session.partitions.get_mut(at) {
                partition.told_end = end;
            }
        }
        let count = session.partitions.len();
        session.partitions.rotate_left(rotated.min(count));
    }
}

impl FetchSessions {
    /// Returns what a request asks for.
    ///
    /// # Errors
    /// The session is not known, or the request is not its next one.
    pub(super) fn open(&self, request: &FetchRequest) -> Result<Opened, ResponseError> {
        let wanted = wanted(request)?;
        let without =
            |partitions| Opened { id: 0, is_incremental: false, partitions, session: None };
        match (request.session_id, request.session_epoch) {
            (id, FINAL) => {
                self.sessions.lock().remove(&id);
                Ok(without(wanted))
            }
            (id, 0) => {
                self.sessions.lock().remove(&id);
                Ok(self.begin(&wanted).unwrap_or_else(|| without(wanted)))
            }
            (id, epoch) => self.go_on(id, epoch, wanted, request),
        }
    }

    fn begin(&self, wanted: &[Wanted]) -> Option<Opened> {
        let mut sessions = self.sessions.lock();
        if sessions.len() >= MOST {
            sessions.retain(|_, (used, _)| used.elapsed() < IDLE);
        }
        if sessions.len() >= MOST || wanted.is_empty() {
            return None;
        }
        let mut counted = Counted::new(&self.partitions);
        if !counted.set(wanted.len()) {
            return None;
        }
        let mut id = 0;
        while id <= 0 || sessions.contains_key(&id) {
            id = self.next.fetch_add(1, Ordering::Relaxed) & i32::MAX;
        }
        let session = FetchSession { id, epoch: 1, partitions: wanted.to_vec(), counted };
        let session = Arc::new(Mutex::new(session));
        sessions.insert(id, (Instant::now(), session.clone()));
        let partitions = wanted.to_vec();
        Some(Opened { id, is_incremental: false, partitions, session: Some(session) })
    }

    fn go_on(
        &self,
        id: i32,
        epoch: i32,
        changed: Vec<Wanted>,
        request: &FetchRequest,
    ) -> Result<Opened, ResponseError> {
        let shared = match self.sessions.lock().get_mut(&id) {
            Some((used, session)) => {
                *used = Instant::now();
                session.clone()
            }
            None => return Err(ResponseError::FetchSessionIdNotFound),
        };
        let mut session = shared.lock();
        if session.epoch != epoch {
            return Err(ResponseError::InvalidFetchSessionEpoch);
        }
        session.epoch = if epoch == i32::MAX { 1 } else { epoch + 1 };
        // One that would have too many ends: its consumer begins anew, and names all each time.
        if !session.change(changed, request) {
            drop(session);
            self.sessions.lock().remove(&id);
            return Err(ResponseError::FetchSessionIdNotFound);
        }
        let partitions = session.partitions.clone();
        let id = session.id;
        drop(session);
        Ok(Opened { id, is_incremental: true, partitions, session: Some(shared) })
    }
}

impl FetchSession {
    /// Forgets and takes up partitions. Returns whether there is room for all.
    fn change(&mut self, changed: Vec<Wanted>, request: &FetchRequest) -> bool {
        for topic in &request.forgotten_topics_data {
            let topic_ref = TopicRef { name: (&*topic.topic.0).into(), id: topic.topic_id };
            let numbers: HashSet<i32> = topic.partitions.iter().copied().collect();
            self.partitions
                .retain(|known| known.topic != topic_ref || !numbers.contains(&known.partition));
        }
        let mut places: HashMap<(TopicRef, i32), usize> = HashMap::new();
        for (at, known) in self.partitions.iter().enumerate() {
            if !changed.is_empty() {
                places.insert((known.topic.clone(), known.partition), at);
            }
        }
        for wanted in changed {
            match places.entry((wanted.topic.clone(), wanted.partition)) {
                Entry::Occupied(at) => {
                    if let Some(known) = self.partitions.get_mut(*at.get()) {
                        *known = Wanted { told_end: known.told_end, ..wanted };
                    }
                }
                Entry::Vacant(place) => {
                    place.insert(self.partitions.len());
                    self.partitions.push(wanted);
                }
            }
        }
        self.partitions.len() <= MOST_PARTITIONS && self.counted.set(self.partitions.len())
    }
}

fn wanted(request: &FetchRequest) -> Result<Vec<Wanted>, ResponseError> {
    let mut wanted = Vec::new();
    for topic in &request.topics {
        if topic.topic.len() > MAX_NAME {
            return Err(ResponseError::InvalidRequest);
        }
        // Kept once, however many partitions there are.
        let topic_ref = TopicRef { name: (&*topic.topic.0).into(), id: topic.topic_id };
        for partition in &topic.partitions {
            wanted.push(Wanted {
                topic: topic_ref.clone(),
                partition: partition.partition,
                offset: partition.fetch_offset,
                leader_epoch: partition.current_leader_epoch,
                max_bytes: partition.partition_max_bytes,
                told_end: -1,
            });
        }
    }
    match wanted.len() > MOST_PARTITIONS {
        true => Err(ResponseError::InvalidRequest),
        false => Ok(wanted),
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::TopicName;
    use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
    use kafka_protocol::protocol::StrBytes;

    use super::*;

    fn request(id: i32, epoch: i32, partitions: &[(i32, i64)]) -> FetchRequest {
        let partitions = partitions.iter().map(|(number, offset)| {
            FetchPartition::default().with_partition(*number).with_fetch_offset(*offset)
        });
        let topic = TopicName(StrBytes::from_static_str("t"));
        let topic = FetchTopic::default().with_topic(topic).with_partitions(partitions.collect());
        FetchRequest::default()
            .with_session_id(id)
            .with_session_epoch(epoch)
            .with_topics(vec![topic])
    }

    fn offsets(opened: &Opened) -> Vec<(i32, i64)> {
        opened.partitions.iter().map(|wanted| (wanted.partition, wanted.offset)).collect()
    }

    #[test]
    fn a_session_remembers_what_is_not_named_again() {
        let sessions = FetchSessions::default();
        let opened = sessions.open(&request(0, 0, &[(0, 5), (1, 6)])).unwrap();
        assert!(opened.id > 0 && !opened.is_incremental);
        let id = opened.id;
        opened.close([(0, 9), (1, 6)].into_iter(), 1);
        let opened = sessions.open(&request(id, 1, &[(0, 7)])).unwrap();
        assert!(opened.is_incremental);
        assert_eq!(offsets(&opened), [(1, 6), (0, 7)]);
        assert_eq!(
            opened.partitions.iter().map(|wanted| wanted.told_end).collect::<Vec<_>>(),
            [6, 9]
        );
        let name = TopicName(StrBytes::from_static_str("t"));
        let forgotten = ForgottenTopic::default().with_topic(name).with_partitions(vec![1]);
        let next = request(id, 2, &[(2, 0)]).with_forgotten_topics_data(vec![forgotten]);
        assert_eq!(offsets(&sessions.open(&next).unwrap()), [(0, 7), (2, 0)]);
    }

    #[test]
    fn a_request_out_of_order_is_refused() {
        let sessions = FetchSessions::default();
        let id = sessions.open(&request(0, 0, &[(0, 5)])).unwrap().id;
        let refused = |epoch| sessions.open(&request(id, epoch, &[])).unwrap_err();
        assert_eq!(refused(2), ResponseError::InvalidFetchSessionEpoch);
        sessions.open(&request(id, 1, &[])).unwrap();
        assert_eq!(refused(1), ResponseError::InvalidFetchSessionEpoch);
        assert_eq!(sessions.open(&request(id, -1, &[(0, 1)])).unwrap().id, 0);
        assert_eq!(refused(2), ResponseError::FetchSessionIdNotFound);
    }

    #[test]
    fn the_partitions_of_all_sessions_are_bounded() {
        let sessions = FetchSessions::default();
        let partitions = |count: usize| (0..count as i32).map(|n| (n, 0)).collect::<Vec<_>>();
        let many = request(0, 0, &partitions(MOST_PARTITIONS));
        let ids: Vec<i32> = (0..MOST_IN_SESSIONS / MOST_PARTITIONS + 3)
            .map(|_| sessions.open(&many).unwrap().id)
            .collect();
        assert_eq!(ids.iter().filter(|id| **id == 0).count(), 3);
        // One that ends makes room, and one that grows too large ends.
        sessions.open(&request(ids[0], FINAL, &[])).unwrap();
        let id = sessions.open(&request(0, 0, &partitions(MOST_PARTITIONS - 1))).unwrap().id;
        let grown = request(id, 1, &partitions(MOST_PARTITIONS));
        assert_eq!(sessions.open(&grown).unwrap().partitions.len(), MOST_PARTITIONS);
        let grown = request(id, 2, &[(-1, 0)]);
        assert_eq!(sessions.open(&grown).unwrap_err(), ResponseError::FetchSessionIdNotFound);
        assert!(sessions.open(&many).unwrap().id > 0);
        assert_eq!(sessions.partitions.load(Ordering::Relaxed), MOST_IN_SESSIONS);
    }

    #[test]
    fn the_number_of_sessions_is_bounded() {
        let sessions = FetchSessions::default();
        let ids: Vec<i32> =
            (0..MOST + 5).map(|_| sessions.open(&request(0, 0, &[(0, 0)])).unwrap().id).collect();
        assert_eq!(ids.iter().filter(|id| **id == 0).count(), 5);
    }
}
