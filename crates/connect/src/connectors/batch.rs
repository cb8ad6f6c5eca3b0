//! Batches of deliveries: what is delivered at the same time goes out in one request.

use std::collections::VecDeque;
use std::pin::pin;

use async_lock::Semaphore;
use futures_util::future::{Either, select};
use parking_lot::Mutex;

use super::outlet::Undelivered;

/// What became of one item.
pub(crate) type Delivered = Result<(), Undelivered>;

/// Collects items into batches. An item waits for nothing but its turn: while the requests that are allowed at a time are
/// under way, the next batch grows.
pub(crate) struct Batches<T> {
    waiting: Mutex<VecDeque<Waiting<T>>>,
    turns: Semaphore,
    limits: BatchLimits,
}

/// How large batches get, and how many are sent at a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchLimits {
    pub(crate) items: usize,
    /// Of all items of a batch; one item is accepted whatever its size.
    pub(crate) bytes: usize,
    pub(crate) requests: usize,
}

struct Waiting<T> {
    item: T,
    bytes: usize,
    answer: oneshot::Sender<Delivered>,
}

impl<T> Batches<T> {
    pub(crate) fn new(limits: BatchLimits) -> Self {
        let turns = Semaphore::new(limits.requests.max(1));
        Batches { waiting: Mutex::default(), turns, limits }
    }

    /// Delivers an item in the batch that goes out next. `send` sends a batch, and answers for each of its items.
    pub(crate) async fn deliver<F: Future<Output = Vec<Delivered>>>(
        &self,
        item: T,
        bytes: usize,
        send: impl Fn(Vec<T>) -> F,
    ) -> Delivered {
        let (answer, mut answered) = oneshot::channel();
        self.waiting.lock().push_back(Waiting { item, bytes, answer });
        loop {
            let turn = match select(pin!(&mut answered), pin!(self.turns.acquire())).await {
                Either::Left((answer, _)) => return answer.unwrap_or_else(|_| interrupted()),
                Either::Right((turn, _)) => turn,
            };
            let (items, answers) = self.next_batch();
            if items.is_empty() {
                drop(turn);
                // The item is in a batch that another delivery sends.
                return answered.await.unwrap_or_else(|_| interrupted());
            }
            let mut outcomes = send(items).await.into_iter();
            for answer in answers {
                // The delivery of the item may have been interrupted.
                _ = answer.send(outcomes.next().unwrap_or_else(interrupted));
            }
            drop(turn);
        }
    }

    /// Delivers something in a request of its own, which takes its turn with those of the batches.
    pub(crate) async fn alone<F: Future<Output = Delivered>>(
        &self,
        send: impl FnOnce() -> F,
    ) -> Delivered {
        let _turn = self.turns.acquire().await;
        send().await
    }

    fn next_batch(&self) -> (Vec<T>, Vec<oneshot::Sender<Delivered>>) {
        let (mut items, mut answers, mut bytes) = (Vec::new(), Vec::new(), 0);
        let mut waiting = self.waiting.lock();
        while let Some(next) = waiting.pop_front_if(|next| {
            items.is_empty()
                || (items.len() < self.limits.items && bytes + next.bytes <= self.limits.bytes)
        }) {
            // The delivery of an item may have been interrupted while it waited.
            if next.answer.is_closed() {
                continue;
            }
            bytes += next.bytes;
            items.push(next.item);
            answers.push(next.answer);
        }
        (items, answers)
    }
}

fn interrupted() -> Delivered {
    Err(Undelivered::Retry("the request was interrupted".to_owned(), None))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn batches(items: usize, bytes: usize) -> Batches<u32> {
        Batches::new(BatchLimits { items, bytes, requests: 1 })
    }

    /// With a turn left, what is in another one's batch waits without taking it again and again.
    #[tokio::test]
    async fn a_delivery_whose_item_is_sent_by_another_one_waits() {
        let batches = Arc::new(Batches::new(BatchLimits { items: 2, bytes: 100, requests: 2 }));
        let go = Arc::new(tokio::sync::Semaphore::new(0));
        let all: Vec<_> = (0..6)
            .map(|n| {
                let (batches, go) = (batches.clone(), go.clone());
                tokio::spawn(async move {
                    let send = |items: Vec<u32>| {
                        let go = &go;
                        async move {
                            _ = go.acquire().await;
                            vec![Ok(()); items.len()]
                        }
                    };
                    batches.deliver(n, 1, send).await
                })
            })
            .collect();
        // On one thread, all of them are polled before this one goes on, if none of them spins.
        tokio::task::yield_now().await;
        go.add_permits(100);
        for delivery in all {
            delivery.await.unwrap().unwrap();
        }
    }

    /// Delivers 0 to 9 at the same time; returns the batches that were sent and what became of each item.
    async fn deliver_ten(batches: &Batches<u32>) -> (Vec<Vec<u32>>, Vec<bool>) {
        let sent = Mutex::new(Vec::new());
        let all = (0..10).map(|n| {
            batches.deliver(n, 10, |items| {
                sent.lock().push(items.clone());
                async move {
                    tokio::task::yield_now().await;
                    let refused = || Err(Undelivered::Refused("odd".to_owned()));
                    items.iter().map(|n| if n % 2 == 0 { Ok(()) } else { refused() }).collect()
                }
            })
        });
        let outcomes = futures_util::future::join_all(all).await;
        (sent.into_inner(), outcomes.iter().map(Result::is_ok).collect())
    }

    #[tokio::test]
    async fn what_waits_while_a_request_is_under_way_goes_out_together() {
        let (sent, delivered) = deliver_ten(&batches(100, 1_000)).await;
        assert_eq!(sent, [vec![0], (1..10).collect()]);
        assert_eq!(delivered, [true, false].repeat(5));
    }

    #[tokio::test]
    async fn batches_are_bounded() {
        let (sent, delivered) = deliver_ten(&batches(4, 1_000)).await;
        assert_eq!(sent, [vec![0], vec![1, 2, 3, 4], vec![5, 6, 7, 8], vec![9]]);
        assert_eq!(delivered, [true, false].repeat(5));
        let (sent, _) = deliver_ten(&batches(100, 35)).await;
        assert_eq!(sent, [vec![0], vec![1, 2, 3], vec![4, 5, 6], vec![7, 8, 9]]);
    }

    /// The others of a batch whose sender is interrupted are told, and the next batch goes out.
    #[tokio::test]
    async fn an_interruption_reaches_the_others_of_the_batch() {
        let batches = Arc::new(batches(100, 1_000));
        let (begun, begins) = tokio::sync::oneshot::channel();
        let begun = Arc::new(Mutex::new(Some(begun)));
        let first = {
            let (batches, begun) = (batches.clone(), begun.clone());
            tokio::spawn(async move {
                let begun = &begun;
                batches
                    .deliver(1, 1, |_| async move {
                        _ = begun.lock().take().map(|begun| begun.send(()));
                        std::future::pending().await
                    })
                    .await
            })
        };
        begins.await.unwrap();
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        let answer = batches.deliver(2, 1, |items| async move { vec![Ok(()); items.len()] }).await;
        assert!(answer.is_ok());
    }
}
