use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use leftfold_api::{Cursor, Delivery, EventStore, Query, Subscribe, Subscription};
use tokio::time::{Instant, timeout_at};

use super::session::{Opened, TopicRef};
use crate::kafka::dispatch::Call;

/// Parts of the query of a wait; with more it waits for all partitions of the topics.
const MOST_PARTS: usize = 100;
/// How long a wait is that can't be told of events.
const PAUSE: Duration = Duration::from_millis(2);

impl Call {
    /// Waits until an event came after a cursor that one of the partitions may have.
    pub(super) async fn wait_for_events(
        &self,
        opened: &Opened,
        names: &HashMap<TopicRef, Arc<str>>,
        since: Cursor,
        deadline: Instant,
    ) {
        let state = &self.broker.state;
        let query = self.query_of(opened, names).await;
        let waiting = async {
            let subscribe = Subscribe::after(query, since);
            let Ok(mut subscription) = state.store.subscribe(subscribe).await else {
                // The next read tells what is wrong.
                tokio::time::sleep(PAUSE).await;
                return;
            };
            while let Ok(Delivery::CaughtUp(_)) = subscription.next().await {}
        };
        tokio::select! {
            _ = timeout_at(deadline, waiting) => {}
            () = state.closed() => {}
        }
    }

    async fn query_of(&self, opened: &Opened, names: &HashMap<TopicRef, Arc<str>>) -> Query {
        let mut partitions: HashMap<&str, HashSet<i32>> = HashMap::new();
        for wanted in &opened.partitions {
            if let Some(name) = names.get(&wanted.topic) {
                partitions.entry(name).or_default().insert(wanted.partition);
            }
        }
        let are_few = partitions.values().map(HashSet::len).sum::<usize>() <= MOST_PARTS;
        let mut parts = Vec::new();
        for (name, numbers) in partitions {
            let Ok(topic) = self.broker.topics.find(name).await else { continue };
            if !are_few || numbers.len() == topic.partitions() as usize {
                parts.push(Query::index(name));
            } else {
                parts.extend(
                    numbers.iter().filter_map(|number| Some(topic.query_of(topic.has(*number)?))),
                );
            }
        }
        match parts.len() {
            1 => parts.remove(0),
            _ => Query::Or(parts),
        }
    }
}
