//! A subscription to all partitions that can hold events of its query.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use futures_util::future::try_join_all;
use leftfold_api::{
    Cursor, Delivery, Direction, Read, ReadError, Recorded, Subscribe, Subscription,
};

use super::{Part, Shared, Span};

/// A subscription to all partitions that can hold events of its query.
///
/// History comes in the order of commit times. Once every partition has caught up, an event is
/// delivered when it comes, and no partition waits for another.
pub struct MergedSubscription<S: Part> {
    shared: Arc<Shared<S>>,
    members: Vec<Member<S::Subscription>>,
    /// In each partition, up to where all was delivered.
    positions: Vec<u64>,
    /// Whether the user was told to have caught up.
    is_told: bool,
}

/// The subscription to one partition.
struct Member<L> {
    partition: usize,
    live: L,
    /// An event that was not delivered yet.
    next: Option<Recorded>,
    is_caught_up: bool,
}

type Next<'a> = Pin<Box<dyn Future<Output = Result<Delivery, ReadError>> + Send + 'a>>;

impl<S: Part> MergedSubscription<S> {
    pub(super) async fn start(
        shared: Arc<Shared<S>>,
        subscribe: Subscribe,
    ) -> Result<Self, ReadError> {
        let span = shared.span(&subscribe.query)?;
        let starts: Vec<_> = match span {
            Span::One(partition) => {
                vec![(partition, shared.start_in(partition, subscribe.from.clone()).await?)]
            }
            Span::All => {
                let Subscribe { query, from, with_ordinals } = subscribe.clone();
                let read = Read { from, with_ordinals, ..Read::forward(query) };
                shared.refuse_list(&read).await?;
                let start = shared.start(&subscribe.from, Direction::Forward).await?;
                (0..shared.count()).map(|n| (n, start.of(n))).collect()
            }
        };
        let mut positions = shared.positions_before(&subscribe.from).await?;
        let subscribing = starts.into_iter().map(|(partition, from)| {
            let subscribe = Subscribe { from, ..subscribe.clone() };
            let shared = &shared;
            async move {
                let live = shared.partition(partition).subscribe(subscribe).await?;
                Ok::<_, ReadError>(Member { partition, live, next: None, is_caught_up: false })
            }
        });
        let members = try_join_all(subscribing).await?;
        for Member { partition, live, .. } in &members {
            positions[*partition] = live.cursor().position().unwrap_or_default();
        }
        Ok(MergedSubscription { shared, members, positions, is_told: false })
    }

    /// Takes in what a member has delivered.
    fn take(&mut self, number: usize, delivery: Delivery) {
        let Some(member) = self.members.get_mut(number) else { return };
        let partition = member.partition;
        match delivery {
            Delivery::Event(event, _) if !self.shared.is_copy(partition, event.stream()) => {
                member.next = Some(event);
            }
            Delivery::Event(event, _) => self.positions[partition] = event.position(),
            Delivery::CaughtUp(at) => {
                member.is_caught_up = true;
                self.is_told = false;
                self.positions[partition] = at.position().unwrap_or_default();
            }
        }
    }

    /// Takes in what the members have without waiting.
    fn take_ready(&mut self) {
        for number in 0..self.members.len() {
            while self.members[number].next.is_none()
                && let Some(delivery) = self.members[number].live.ready()
            {
                self.take(number, delivery);
            }
        }
    }

    /// Returns the number of a member whose history is not here, though it has more.
    fn behind(&self) -> Option<usize> {
        self.members.iter().position(|member| member.next.is_none() && !member.is_caught_up)
    }

    /// Returns the event with the earliest commit time; none while any history is missing.
    fn deliver(&mut self) -> Option<Delivery> {
        self.take_ready();
        if self.behind().is_some() {
            return None;
        }
        let waiting = self.members.iter_mut().filter(|member| member.next.is_some());
        let time = |member: &&mut Member<_>| member.next.as_ref().map(Recorded::commit_time);
        if let Some(member) = waiting.min_by_key(time) {
            let event = member.next.take()?;
            self.positions[member.partition] = event.position();
            return Some(Delivery::Event(event, self.cursor()));
        }
        if self.is_told {
            return None;
        }
        self.is_told = true;
        self.pass_others();
        Some(Delivery::CaughtUp(self.cursor()))
    }

    /// Moves the cursor to the end of partitions that hold no events of the query.
    fn pass_others(&mut self) {
        for (partition, head) in self.shared.known_positions().into_iter().enumerate() {
            if self.members.iter().all(|member| member.partition != partition) {
                let position = &mut self.positions[partition];
                *position = head.max(*position);
            }
        }
    }

    /// Waits for the first delivery of any member.
    async fn any(&mut self) -> Result<(usize, Delivery), ReadError> {
        let mut waiting: Vec<Next<'_>> =
            self.members.iter_mut().map(|member| Box::pin(member.live.next()) as _).collect();
        let first = std::future::poll_fn(|context| {
            for (number, next) in waiting.iter_mut().enumerate() {
                if let Poll::Ready(delivery) = next.as_mut().poll(context) {
                    return Poll::Ready((number, delivery));
                }
            }
            Poll::Pending
        });
        let (number, delivery) = first.await;
        Ok((number, delivery?))
    }
}

impl<S: Part> Subscription for MergedSubscription<S> {
    async fn next(&mut self) -> Result<Delivery, ReadError> {
        loop {
            if let Some(delivery) = self.deliver() {
                return Ok(delivery);
            }
            let (number, delivery) = match self.behind() {
                Some(number) => (number, self.members[number].live.next().await?),
                None => self.any().await?,
            };
            self.take(number, delivery);
        }
    }

    fn ready(&mut self) -> Option<Delivery> {
        self.deliver()
    }

    async fn advance(&mut self) -> Result<(), ReadError> {
        for member in self.members.iter_mut().filter(|member| member.next.is_none()) {
            member.live.advance().await?;
            self.positions[member.partition] = member.live.cursor().position().unwrap_or_default();
        }
        if self.is_told {
            self.pass_others();
        }
        Ok(())
    }

    fn cursor(&self) -> Cursor {
        self.shared.cursor(&self.positions)
    }
}
