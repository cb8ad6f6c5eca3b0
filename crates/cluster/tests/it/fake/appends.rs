//! Appends: clients that send them again, and the leader that they reach.

use std::collections::VecDeque;
use std::sync::Arc;

use leftfold_kafka::{KafkaError, ResponseError, StoredBatch};

use super::network::{Answer, MILLI, Network, PATIENCE, SECOND, timeout};

/// The time within which a client delivers an append.
const DELIVERY: i64 = 30 * SECOND;
/// The batches of a client that may be on their way: brokers know that many again.
const MAX_IN_FLIGHT: usize = 5;

/// One process.
pub(super) struct Client {
    unanswered: VecDeque<Unanswered>,
    next: u64,
    connection: u64,
    is_connected: bool,
    /// The moments of the last request and the last answer on this connection: TCP keeps the order.
    last_arrival: i64,
    last_answer: i64,
    /// Requests on connections before this one are lost.
    cut_before: u64,
    /// An append has failed, so later ones do too, until the next takeover.
    pub(super) has_failed: bool,
    is_closed: bool,
    /// The end that a deposed leader knows, and until when the client reaches only it.
    pub(super) stale: Option<(i64, i64)>,
}

/// An append without an answer.
struct Unanswered {
    id: u64,
    batch: Arc<StoredBatch>,
    answer: Answer<i64>,
    is_sent: bool,
}

impl Client {
    pub(super) fn new() -> Self {
        Client {
            unanswered: VecDeque::new(),
            next: 0,
            connection: 1,
            is_connected: true,
            last_arrival: 0,
            last_answer: 0,
            cut_before: 0,
            has_failed: false,
            is_closed: false,
            stale: None,
        }
    }

    /// Ends the process.
    pub(super) fn close(&mut self) {
        self.is_closed = true;
        self.unanswered.clear();
    }
}

impl Network {
    /// Queues an append of a client behind its others.
    pub(super) fn append(&mut self, client: usize, batch: StoredBatch, answer: Answer<i64>) {
        let now = self.now();
        let state = &mut self.clients[client];
        if state.has_failed {
            _ = answer.send(Err(timeout("ProduceRequest")));
            return;
        }
        let id = state.next;
        state.next += 1;
        state.unanswered.push_back(Unanswered {
            id,
            batch: Arc::new(batch),
            answer,
            is_sent: false,
        });
        self.at(now + DELIVERY, move |network| network.expire(client, id));
        self.transmit(client);
    }

    /// Sends what may be on its way.
    fn transmit(&mut self, client: usize) {
        loop {
            let arrival = self.arrival();
            let state = &mut self.clients[client];
            if !state.is_connected || state.is_closed {
                return;
            }
            let next = state.unanswered.iter_mut().take(MAX_IN_FLIGHT).find(|next| !next.is_sent);
            let Some(next) = next else { return };
            next.is_sent = true;
            let (id, batch, connection) = (next.id, next.batch.clone(), state.connection);
            state.last_arrival = state.last_arrival.max(arrival);
            let arrival = state.last_arrival;
            self.at(arrival, move |network| network.deliver(client, connection, id, &batch));
            let impatient = self.now() + PATIENCE;
            self.at(impatient, move |network| network.reconnect(client, connection, id));
        }
    }

    /// An append arrives at a leader.
    fn deliver(&mut self, client: usize, connection: u64, id: u64, batch: &StoredBatch) {
        if connection < self.clients[client].cut_before {
            return;
        }
        if self.stale_end(client).is_some() {
            // A deposed leader can't replicate the batch.
            self.count("append at a deposed leader");
            return self.lose_connection(client, connection);
        }
        if self.happens("lost request", self.faults.lost_requests) {
            return self.lose_connection(client, connection);
        }
        let answer = match self.append_at_leader(batch) {
            _ if self.happens("lost answer", self.faults.lost_answers) => {
                return self.lose_connection(client, connection);
            }
            Ok(_) if self.happens("false refusal", self.faults.false_refusals) => {
                Err(ResponseError::NotEnoughReplicasAfterAppend)
            }
            answer => answer,
        };
        let request = "ProduceRequest";
        let answer =
            answer.map_err(|code| KafkaError::Refused { request, code, message: String::new() });
        let arrival = self.arrival();
        let state = &mut self.clients[client];
        if state.connection == connection {
            state.last_answer = state.last_answer.max(arrival);
            let arrival = state.last_answer;
            self.at(arrival, move |network| network.receive(client, connection, id, answer));
        }
    }

    fn append_at_leader(&mut self, batch: &StoredBatch) -> Result<i64, ResponseError> {
        if self.now() < self.refuses_until || self.happens("refusal", self.faults.refusals) {
            let codes = [ResponseError::NotLeaderOrFollower, ResponseError::NotEnoughReplicas];
            return Err(codes[self.random.below(2) as usize]);
        }
        let end = self.partition.end();
        let appended = self.partition.append(batch);
        self.answer_fetches();
        match appended {
            Ok(offset) if offset < end => self.count("repeat of a known batch"),
            Ok(_) => self.count("append"),
            Err(ResponseError::InvalidProducerEpoch) => self.count("fenced append"),
            Err(_) => self.count("append out of order"),
        }
        appended
    }

    /// Ends a connection on which an append was not answered in time, to send it again.
    fn reconnect(&mut self, client: usize, connection: u64, id: u64) {
        let state = &self.clients[client];
        let waits = state.unanswered.iter().any(|unanswered| unanswered.id == id);
        if waits && state.connection == connection {
            self.break_connection(client);
        }
    }

    /// Ends a connection at the leader, with all that is on its way. The client notices later.
    fn lose_connection(&mut self, client: usize, connection: u64) {
        let state = &mut self.clients[client];
        state.cut_before = state.cut_before.max(connection + 1);
        let noticed = self.arrival() + self.random.below(2 * SECOND as u64) as i64;
        self.at(noticed, move |network| {
            if network.clients[client].connection == connection {
                network.break_connection(client);
            }
        });
    }

    /// Ends a connection at the client. What is on its way may still arrive, while the client sends it again.
    pub(super) fn break_connection(&mut self, client: usize) {
        let pause = MILLI + self.random.below(400 * MILLI as u64) as i64;
        let state = &mut self.clients[client];
        if self.random.one_in(2) {
            state.cut_before = state.connection + 1;
        }
        state.connection += 1;
        state.is_connected = false;
        (state.last_arrival, state.last_answer) = (0, 0);
        state.unanswered.iter_mut().for_each(|unanswered| unanswered.is_sent = false);
        let connection = state.connection;
        let at = self.now() + pause;
        self.at(at, move |network| {
            let state = &mut network.clients[client];
            if state.connection == connection {
                state.is_connected = true;
                network.transmit(client);
            }
        });
    }

    /// An answer arrives at a client.
    fn receive(
        &mut self,
        client: usize,
        connection: u64,
        id: u64,
        answer: Result<i64, KafkaError>,
    ) {
        let state = &mut self.clients[client];
        if state.connection != connection
            || state.unanswered.front().is_none_or(|first| first.id != id)
        {
            return;
        }
        match answer {
            Err(error) if is_retriable(&error) => self.break_connection(client),
            Err(error) => self.fail(client, error),
            Ok(offset) => {
                if let Some(first) = state.unanswered.pop_front() {
                    first.answer.send(Ok(offset));
                }
                self.transmit(client);
            }
        }
    }

    /// Gives up an append that was not answered in time, and all behind it.
    fn expire(&mut self, client: usize, id: u64) {
        if self.clients[client].unanswered.iter().any(|unanswered| unanswered.id == id) {
            self.fail(client, timeout("ProduceRequest"));
        }
    }

    /// Fails the first append with this error, and all behind it. Later ones use another connection.
    pub(super) fn fail(&mut self, client: usize, error: KafkaError) {
        let state = &mut self.clients[client];
        state.has_failed = true;
        let mut error = Some(error);
        for unanswered in std::mem::take(&mut state.unanswered) {
            let error = error.take().unwrap_or_else(|| timeout("ProduceRequest"));
            unanswered.answer.send(Err(error));
        }
        self.break_connection(client);
    }
}

/// Whether a client sends an append again after this error.
fn is_retriable(error: &KafkaError) -> bool {
    let retriable = [
        ResponseError::NotLeaderOrFollower,
        ResponseError::NotEnoughReplicas,
        ResponseError::NotEnoughReplicasAfterAppend,
    ];
    error.code().is_some_and(|code| retriable.contains(&code))
}
