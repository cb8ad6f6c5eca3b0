//! The term of an owner: the batches of the store's writer go to Kafka, several at a time.
//!
//! A batch counts if it landed at the next expected offset: then no record came between, and all records before it
//! are known. In any other case the term is given up; the log says what became of the batch.

use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::time::Duration;

use futures_core::future::BoxFuture;
use futures_util::future::{Either, select};
use leftfold_api::Failure;
use leftfold_fold::time::Time;
use leftfold_kafka::{Batch, KafkaError};
use leftfold_store::commit::Confirmation;

use super::claim::{Claimed, millis};
use super::copy::Copy;
use super::{Partition, Role, Wish};
use crate::broker::Broker;
use crate::commit::{Link, MAX_IN_FLIGHT, Outgoing};
use crate::ledger::Stamp;
use crate::record::Encoder;

/// How often an owner that has nothing to write looks whether the log has grown without it.
const LOOK: Duration = Duration::from_secs(1);

/// Why a term was given up.
pub(super) enum GivenUp {
    /// Others have written to the log, or Kafka does not answer.
    Log(String),
    /// This node's copy fails.
    Copy(String),
}

impl GivenUp {
    pub(super) fn reason(&self) -> &str {
        match self {
            GivenUp::Log(why) | GivenUp::Copy(why) => why,
        }
    }

    fn copy(failure: &Failure) -> Self {
        GivenUp::Copy(format!("this node's copy fails: {failure}"))
    }
}

impl From<String> for GivenUp {
    fn from(why: String) -> Self {
        GivenUp::Log(why)
    }
}

/// A batch that was sent.
struct Sent {
    answer: BoxFuture<'static, Result<i64, KafkaError>>,
    /// The offset at which it must land.
    at: i64,
    /// The offset behind it.
    end: i64,
    confirmation: Confirmation,
}

/// The batches of a term.
struct Term<'a, B> {
    broker: &'a B,
    claimed: Claimed,
    /// The offset at which the next batch must land.
    next: i64,
    sent: VecDeque<Sent>,
}

/// What an owner does next.
enum Event {
    Send(Outgoing),
    Answered(Result<i64, KafkaError>),
    Wished,
    Settled(Result<(), Failure>),
    /// The end of the log, as the leader says. What can't be asked is not known; an append will tell.
    Looked(Result<i64, KafkaError>),
}

impl<B: Broker> Partition<B> {
    /// Admits appends until the node is to follow again, and all that was admitted is confirmed.
    ///
    /// # Errors
    /// The reason why the term was given up.
    pub(super) async fn own(
        &self,
        copy: &mut Copy,
        link: &Link,
        claimed: Claimed,
    ) -> Result<(), GivenUp> {
        let store = copy.store().clone();
        let first = Stamp { term: claimed.term, number: 1 };
        link.own(Encoder::new(self.names.source.clone()), first);
        let (next, sent) = (copy.next(), VecDeque::new());
        let mut term = Term { broker: &self.broker, claimed, next, sent };
        store.set_replica(false).await.map_err(|error| GivenUp::copy(&error))?;
        self.note(Role::Owner, copy);
        let mut wish = self.wish.subscribe();
        let mut leaving: Option<BoxFuture<'_, Result<(), Failure>>> = None;
        loop {
            if *wish.borrow_and_update() == Wish::Follow && leaving.is_none() {
                leaving = Some(Box::pin(async {
                    // From here on all appends are refused, in the order of the writer's queue.
                    store.set_replica(true).await?;
                    store.settled().await
                }));
            }
            let wished = pin!(async {
                // The partition holds the other end as long as it runs.
                _ = wish.changed().await;
            });
            let settled = pin!(async {
                match &mut leaving {
                    Some(leaving) => leaving.await,
                    None => std::future::pending().await,
                }
            });
            match term.next_event(link, &*self.time, wished, settled).await {
                Event::Send(outgoing) => term.send(outgoing, millis(&*self.time))?,
                Event::Answered(answer) => {
                    let (end, confirmation) = term.confirm(answer)?;
                    link.confirm(confirmation);
                    self.note_end(end);
                }
                Event::Looked(end) => {
                    if let Some(failure) = store.failure() {
                        return Err(GivenUp::copy(&failure));
                    }
                    if let Ok(end) = end
                        && end > term.next
                    {
                        let next = term.next;
                        return Err(format!("the topic ends at {end}, expected is {next}").into());
                    }
                }
                Event::Wished => {}
                Event::Settled(settled) => {
                    settled.map_err(|error| GivenUp::copy(&error))?;
                    let written = link.copy().map_or(0, |next| next.number - first.number);
                    return match copy.pass(claimed.term, written) {
                        true => Ok(()),
                        false => {
                            Err(format!("the records of term {} are others", claimed.term).into())
                        }
                    };
                }
            }
        }
    }

    /// Notes how far the owner's log goes.
    fn note_end(&self, end: i64) {
        let end = u64::try_from(end).unwrap_or(0);
        self.status.send_modify(|status| (status.applied, status.end) = (end, end));
    }
}

impl<B: Broker> Term<'_, B> {
    /// Waits for what comes first; the answers before all else, since they make room.
    async fn next_event(
        &mut self,
        link: &Link,
        time: &dyn Time,
        wished: Pin<&mut impl Future<Output = ()>>,
        settled: Pin<&mut impl Future<Output = Result<(), Failure>>>,
    ) -> Event {
        let can_send = self.sent.len() < MAX_IN_FLIGHT;
        let is_idle = self.sent.is_empty();
        let answered = pin!(async {
            match self.sent.front_mut() {
                Some(sent) => sent.answer.as_mut().await,
                None => std::future::pending().await,
            }
        });
        let queued = pin!(async {
            match can_send {
                true => link.next().await,
                false => std::future::pending().await,
            }
        });
        let broker = self.broker;
        // An append does not wait for the answer: the leader may be away.
        let looked = pin!(async {
            match is_idle {
                true => {
                    time.after(LOOK).await;
                    broker.end().await
                }
                false => std::future::pending().await,
            }
        });
        let works = select(answered, queued);
        let rests = select(select(wished, settled), looked);
        match select(works, rests).await {
            Either::Left((Either::Left((answer, _)), _)) => Event::Answered(answer),
            Either::Left((Either::Right((outgoing, _)), _)) => Event::Send(outgoing),
            Either::Right((Either::Left((Either::Left(_), _)), _)) => Event::Wished,
            Either::Right((Either::Left((Either::Right((settled, _)), _)), _)) => {
                Event::Settled(settled)
            }
            Either::Right((Either::Right((end, _)), _)) => Event::Looked(end),
        }
    }

    fn send(&mut self, outgoing: Outgoing, millis: i64) -> Result<(), String> {
        let Outgoing { records, first, confirmation } = outgoing;
        let at = i64::try_from(first).unwrap_or(i64::MAX) - 1;
        if at != self.next {
            return Err(format!("a batch begins at offset {at}; expected is {}", self.next));
        }
        let Claimed { producer, sequence, .. } = self.claimed;
        let batch = Batch::of(millis, records).from(producer, sequence);
        let end = at + batch.records.len() as i64;
        let answer = self.broker.append(batch.encode());
        self.claimed.sequence = batch.next_sequence();
        self.next = end;
        self.sent.push_back(Sent { answer, at, end, confirmation });
        Ok(())
    }

    /// Returns what the answer to the oldest batch confirms, and the end of the log then.
    fn confirm(&mut self, answer: Result<i64, KafkaError>) -> Result<(i64, Confirmation), String> {
        let Some(Sent { at, end, confirmation, .. }) = self.sent.pop_front() else {
            return Err("an answer came to no batch".to_owned());
        };
        match answer {
            Ok(landed) if landed == at => Ok((end, confirmation)),
            Ok(landed) => Err(format!(
                "a batch landed at offset {landed}; expected was {at}: others have written to the topic"
            )),
            Err(error) => Err(format!("term {}: {error}", self.claimed.term)),
        }
    }
}
