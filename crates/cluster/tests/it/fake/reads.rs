//! Fetches and ends, of the leader or of a deposed one.

use leftfold_cluster::broker::Fetched;
use leftfold_kafka::{KafkaError, ResponseError};

use super::network::{Answer, Network, timeout};

/// Batches of an answer at most.
const MAX_BATCHES: usize = 200;

/// A fetch that waits at the leader for records.
pub(super) struct WaitingFetch {
    client: usize,
    from: i64,
    until: i64,
    answer: Answer<Fetched>,
}

impl Network {
    /// Reads from an offset on; waits for records at the leader.
    pub(super) fn fetch(&mut self, client: usize, from: i64, wait: i64, answer: Answer<Fetched>) {
        let arrival = self.arrival();
        self.at(arrival, move |network| {
            if network.happens("lost request", network.faults.lost_requests) {
                return network.answer_later(answer, Err(timeout("FetchRequest")));
            }
            let until = network.now().saturating_add(wait);
            network.fetches.push(WaitingFetch { client, from, until, answer });
            network.answer_fetches();
            network.at(until, Network::answer_fetches);
        });
    }

    /// Answers the fetches that need not wait any longer.
    pub(super) fn answer_fetches(&mut self) {
        for fetch in std::mem::take(&mut self.fetches) {
            let end = self.end_for(fetch.client);
            if fetch.from == end && self.now() < fetch.until {
                self.fetches.push(fetch);
                continue;
            }
            let result = self.read(fetch.from, end);
            self.answer_later(fetch.answer, result);
        }
    }

    fn read(&mut self, from: i64, end: i64) -> Result<Fetched, KafkaError> {
        if from > end || from < 0 {
            let (request, code) = ("FetchRequest", ResponseError::OffsetOutOfRange);
            return Err(KafkaError::Refused { request, code, message: String::new() });
        }
        let most = match self.happens("part of a fetch", self.faults.parts) {
            true => 1 + self.random.below(3) as usize,
            false => MAX_BATCHES,
        };
        Ok(Fetched { start: 0, end, batches: self.partition.read(from, end, most) })
    }

    /// Returns the offset behind the last record, as the leader knows it.
    pub(super) fn end(&mut self, client: usize, answer: Answer<i64>) {
        let arrival = self.arrival();
        self.at(arrival, move |network| {
            let lost = network.happens("lost request", network.faults.lost_requests);
            let end = network.end_for(client);
            if end < network.partition.end() {
                network.count("end of a deposed leader");
            }
            let result = if lost { Err(timeout("ListOffsetsRequest")) } else { Ok(end) };
            network.answer_later(answer, result);
        });
    }

    /// Returns the end that the leader knows which a client reaches.
    fn end_for(&self, client: usize) -> i64 {
        self.stale_end(client).unwrap_or_else(|| self.partition.end())
    }
}
