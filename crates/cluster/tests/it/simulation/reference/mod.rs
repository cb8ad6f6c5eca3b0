//! The smallest node that keeps the rule of the log, with a copy in memory. It shows that the simulation passes right
//! nodes, and with a planted bug, that it catches wrong ones.

mod handle;
mod replica;

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::select;
use leftfold_api::{BoxFuture, Conflict, Expected, NewEvent, Recorded, Timestamp};
use leftfold_cluster::ledger::Stamp;
use leftfold_cluster::record::{Claimant, Decoded, Decoder, Encoder};
use leftfold_fold::time::Time;
use leftfold_kafka::{Batch, KafkaError, ProducerId, Record};
use leftfold_store::OwnAppend;

use super::machine::{NodeContext, StartNode, StartedNode};
use handle::{AppendAnswer, Handle, Request, Shared, failure};
use replica::{Decision, appended};

/// A bug of a node, which the checker must catch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// An append is acknowledged because a leader has acknowledged it.
    TrustsLeaders,
    /// An owner does not read the records that came before its claim after it had read to the end.
    SkipsToItsClaim,
    /// An owner takes any claim of its term for its own.
    TakesAnyClaim,
    /// A reader applies void records too.
    AppliesVoidRecords,
    /// A read does not cross a barrier.
    ReadsWithoutBarrier,
    /// A read asks the leader for the end of the log, which a deposed leader does not know.
    ReadsUpToTheEnd,
    /// An append whose outcome is not known is refused.
    RefusesUnknown,
    /// A retry is not looked for by the ids of its events.
    ForgetsIds,
}

/// Returns how to start a node, perhaps with a bug.
pub(crate) fn start(bug: Option<Bug>) -> StartNode {
    Rc::new(move |context| {
        let shared = Rc::new(Shared::default());
        let node =
            Owner { shared: shared.clone(), context, bug, encoder: Encoder::new("/leftfold/sim") };
        StartedNode { tasks: vec![Box::pin(node.run())], node: Rc::new(Handle(shared)) }
    })
}

/// Why a term ended.
enum Over {
    Kafka,
    Deposed,
}

impl From<KafkaError> for Over {
    fn from(_: KafkaError) -> Self {
        Over::Kafka
    }
}

/// A batch on its way.
struct Sent {
    landed: BoxFuture<'static, Result<i64, KafkaError>>,
    first: Stamp,
    records: u64,
    /// Nothing for a barrier.
    append: Option<(OwnAppend, AppendAnswer)>,
}

struct Owner {
    shared: Rc<Shared>,
    context: NodeContext,
    bug: Option<Bug>,
    encoder: Encoder,
}

/// One term of an owner.
struct Term {
    producer: ProducerId,
    sequence: i32,
    next: Stamp,
}

impl Owner {
    async fn run(self) {
        let mut decoder = Decoder::default();
        loop {
            let done = match self.context.assignment.is_owner() {
                true => self.own(&mut decoder).await,
                false => self.follow(&mut decoder).await.map_err(Over::from),
            };
            *self.shared.is_serving.borrow_mut() = false;
            self.refuse_waiting();
            if done.is_err() {
                self.context.clock.after(Duration::from_millis(200)).await;
            }
        }
    }

    fn refuse_waiting(&self) {
        for request in self.shared.requests.borrow_mut().drain(..) {
            match request {
                Request::Append(_, answer) => _ = answer.send(Err(failure("not_owner").into())),
                Request::Read(_, answer) => _ = answer.send(Err(failure("not_owner").into())),
            }
        }
    }

    /// Applies what is new, and returns it.
    async fn follow(&self, decoder: &mut Decoder) -> Result<Vec<Decoded>, KafkaError> {
        let wait = Duration::from_millis(500);
        let fetched = self.context.broker.fetch(decoder.next_offset(), wait).await?;
        let mut all = Vec::new();
        for batch in &fetched.batches {
            let decoded = decoder.decode(batch);
            let decoded = decoded.map_err(|why| KafkaError::malformed("FetchRequest", why))?;
            let mut state = self.shared.state.borrow_mut();
            for decoded in decoded {
                match &decoded {
                    Decoded::Append { append, .. } => state.apply_committed(append),
                    Decoded::Void { offset, .. } if self.bug == Some(Bug::AppliesVoidRecords) => {
                        let time = Timestamp(0);
                        let void = NewEvent::new("Void", "");
                        state.apply(
                            Recorded::from_parts("void", 0, *offset as u64 + 1, time, &void)
                                .unwrap(),
                        );
                    }
                    _ => {}
                }
                all.push(decoded);
            }
        }
        Ok(all)
    }

    /// Reads up to an offset, exclusive. A deposed leader does not have the records, so it may take a while.
    async fn read_to(&self, decoder: &mut Decoder, to: i64) -> Result<Vec<Decoded>, KafkaError> {
        let (mut all, mut failures) = (Vec::new(), 0);
        while decoder.next_offset() < to {
            match self.follow(decoder).await {
                Ok(more) => all.extend(more),
                Err(error) if failures > 100 => return Err(error),
                Err(_) => failures += 1,
            }
            self.context.clock.after(Duration::from_millis(10)).await;
        }
        Ok(all)
    }

    /// Claims the partition and serves until the term is over.
    async fn own(&self, decoder: &mut Decoder) -> Result<Vec<Decoded>, Over> {
        let broker = &self.context.broker;
        let producer = broker.take_over().await?;
        let end = broker.end().await?;
        self.read_to(decoder, end).await?;
        let term = decoder.ledger().term() + 1;
        let claimant = Claimant { node: self.context.name.clone(), ..Claimant::default() };
        let claim = Stamp::claim(term, &claimant.to_json());
        let at = broker.append(self.batch(vec![claim], producer, 0)).await?;
        if self.bug == Some(Bug::SkipsToItsClaim) {
            *decoder = Decoder::resume(decoder.ledger().clone(), at);
        }
        let read = self.read_to(decoder, at + 1).await?;
        let is_ours =
            |decoded: &Decoded| matches!(decoded, Decoded::Claim { offset, .. } if *offset == at);
        let takes_any = self.bug == Some(Bug::TakesAnyClaim) && decoder.ledger().term() == term;
        if !takes_any && (decoder.ledger().term() != term || !read.iter().any(is_ours)) {
            return Err(Over::Deposed);
        }
        *self.shared.is_serving.borrow_mut() = true;
        let mut term = Term { producer, sequence: 1, next: decoder.ledger().next() };
        while self.context.assignment.is_owner() {
            self.wait_for_requests().await;
            self.serve(decoder, &mut term).await?;
        }
        Ok(Vec::new())
    }

    async fn wait_for_requests(&self) {
        let queued = self.shared.queued.listen();
        if self.shared.requests.borrow().is_empty() {
            let over = std::pin::pin!(self.context.assignment.wait_until(false));
            select(queued, over).await;
        }
    }

    fn batch(&self, records: Vec<Record>, producer: ProducerId, sequence: i32) -> Bytes {
        let millis = self.context.clock.now().micros() / 1_000;
        Batch::of(millis, records).from(producer, sequence).encode()
    }

    /// Serves what waits: appends in several batches at a time, then reads behind a barrier.
    async fn serve(&self, decoder: &mut Decoder, term: &mut Term) -> Result<(), Over> {
        let requests: Vec<_> = self.shared.requests.borrow_mut().drain(..).collect();
        let (mut sent, mut reads, mut decided_later) = (VecDeque::new(), Vec::new(), Vec::new());
        let mut decided = self.shared.state.borrow().clone();
        for request in requests {
            let (append, answer) = match request {
                Request::Append(append, answer) => (append, answer),
                Request::Read(stream, answer) => {
                    reads.push((stream, answer));
                    continue;
                }
            };
            let finds_ids = self.bug != Some(Bug::ForgetsIds);
            match decided.decide(append, self.context.clock.now(), finds_ids) {
                Ok(Decision::Write(own)) => {
                    let records = self.encoder.encode(&own, term.next).unwrap();
                    sent.push_back(self.send(term, records, Some((own, answer))));
                }
                // These may depend on appends that are on their way.
                Ok(Decision::Repeat(appended)) => decided_later.push((answer, Ok(appended))),
                Err(conflict) => decided_later.push((answer, Err(conflict.into()))),
            }
        }
        if !reads.is_empty() && self.bug == Some(Bug::ReadsUpToTheEnd) {
            let end = self.context.broker.end().await?;
            self.read_to(decoder, end).await?;
            if decoder.ledger().term() != term.next.term {
                return Err(Over::Deposed);
            }
        } else if !reads.is_empty() && self.bug != Some(Bug::ReadsWithoutBarrier) {
            let barrier = term.next.add_to(Record::default());
            sent.push_back(self.send(term, vec![barrier], None));
        }
        while let Some(batch) = sent.pop_front() {
            self.confirm(decoder, batch).await?;
        }
        for (answer, decision) in decided_later {
            _ = answer.send(decision);
        }
        for (stream, answer) in reads {
            _ = answer.send(Ok(self.shared.state.borrow().last_version(&stream)));
        }
        Ok(())
    }

    /// Sends a batch without waiting.
    fn send(
        &self,
        term: &mut Term,
        records: Vec<Record>,
        append: Option<(OwnAppend, AppendAnswer)>,
    ) -> Sent {
        let (first, count) = (term.next, records.len() as u64);
        let batch = self.batch(records, term.producer, term.sequence);
        term.sequence += count as i32;
        term.next = first.after(count);
        Sent { landed: self.context.broker.append(batch), first, records: count, append }
    }

    /// Waits until a batch counts, and answers its append.
    async fn confirm(&self, decoder: &mut Decoder, batch: Sent) -> Result<(), Over> {
        let Sent { landed, first, records, append } = batch;
        let at = match landed.await {
            Ok(at) => at,
            Err(error) => {
                if self.bug == Some(Bug::RefusesUnknown) {
                    append.into_iter().for_each(|(own, answer)| refuse(&own, answer));
                }
                return Err(error.into());
            }
        };
        self.read_to(decoder, at).await?;
        let mut counts = decoder.apply_own(at, first, records);
        if counts && let Some((own, _)) = &append {
            self.shared.state.borrow_mut().apply_own(own, at as u64 + 1);
        }
        // A repeat is known already.
        let end = first.after(records);
        counts |= decoder.ledger().term() == end.term && decoder.ledger().next() >= end;
        if !counts && self.bug != Some(Bug::TrustsLeaders) {
            return Err(Over::Deposed);
        }
        if let Some((own, answer)) = append {
            let event = &own.events[0];
            _ = answer.send(Ok(appended(event.stream(), event.version(), own.events.len(), false)));
        }
        Ok(())
    }
}

/// Says that an append does not hold.
fn refuse(own: &OwnAppend, answer: AppendAnswer) {
    let stream = own.events[0].stream().to_owned();
    let conflict = Conflict::Version { stream, expected: Expected::Exists, actual: None };
    _ = answer.send(Err(conflict.into()));
}
