//! Tests of the coordinator. Time is paused: it passes when every task waits, so nothing depends on the
//! machine.

mod bounds;
mod consumer;
mod join;
mod leave;
mod rebalance;
mod session;
mod static_members;
mod storm;
mod sync;
mod view;

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::ResponseError::*;

use super::{Caller, GroupLimits, Groups};
use consumer::{Consumer, Joining, subscription};

const GROUP: &str = "group";
const SESSION: Duration = Duration::from_secs(10);
const REBALANCE: Duration = Duration::from_secs(60);
const INSTANT: Duration = Duration::from_millis(1);

fn limits() -> GroupLimits {
    GroupLimits { initial_delay: Duration::ZERO, ..GroupLimits::default() }
}

fn groups() -> Arc<Groups> {
    Arc::new(Groups::new(limits()))
}

fn error(error: ResponseError) -> i16 {
    error.code()
}

/// Lets time pass; at its end all tasks wait.
async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Lets all tasks run until they wait.
async fn settle() {
    pass(INSTANT).await;
}

fn state(groups: &Groups) -> String {
    groups.describe(GROUP).group_state.to_string()
}

/// Returns consumers that are in one stable generation; the first one leads.
async fn stable(groups: &Arc<Groups>, count: usize) -> Vec<Consumer> {
    let members = (0..count).map(|_| Consumer::new(groups)).collect();
    stabilize(members).await
}

/// Brings consumers into one stable generation; the first one leads.
async fn stabilize(mut members: Vec<Consumer>) -> Vec<Consumer> {
    let groups = Arc::clone(&members[0].groups);
    members[0].join().await;
    let mut joining: Vec<Joining> = Vec::new();
    // The first one is in a generation alone; it joins again when the others wait.
    for member in members.drain(1..).collect::<Vec<_>>() {
        joining.push(member.spawn_join());
        settle().await;
    }
    let mut members = vec![members.remove(0)];
    assert_eq!(members[0].join().await.error_code, 0);
    for one in joining {
        members.push(one.done().await);
    }
    let shares: Vec<_> = members.iter().map(|m| (m.id.clone(), m.id.to_string())).collect();
    let answer = members[0].sync(&shares).await;
    assert_eq!((answer.error_code, state(&groups).as_str()), (0, "Stable"));
    for member in &members {
        let answer = member.sync(&[]).await;
        assert_eq!(answer.assignment, member.id.as_bytes());
    }
    members
}
