//! Members of groups, killed and restarted, and their server as well.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::ensure;

use super::{HALF, PATIENCE, cloned, produce, records};
use crate::broker::Broker;
use crate::checks::{check_commits, check_numbers};
use crate::client::Client;
use crate::command::{Command, Group, Membership, Produce};
use crate::event::{Event, Record};

/// Runs two members of a group, kills one of them, and checks that the other one gets all the rest:
/// nothing is skipped, and nothing is repeated that was committed.
///
/// # Errors
/// A record is missing, or one that was committed comes again.
pub fn a_group_survives_a_killed_member(
    client: Client,
    broker: &dyn Broker,
    topic: &str,
    membership: Membership,
) -> anyhow::Result<()> {
    broker.create_topic(topic)?;
    produce(client, broker, &Produce::new(topic, 0, HALF))?;
    let mut member = Group::new(topic, &format!("{topic}-members"));
    member.cooperative = membership.is_cooperative;
    let member = Command::Group(member);
    let victim = client.start(broker, &member, PATIENCE)?;
    victim.wait_until("a first assignment", PATIENCE, |events| assigned(events).len() == 8)?;
    let heir = client.start(broker, &member, PATIENCE)?;
    heir.wait_until("a share of the partitions", PATIENCE, |events| !assigned(events).is_empty())?;
    victim.wait_until("the other share", PATIENCE, |events| {
        (1..8).contains(&assigned(events).len())
    })?;
    produce(client, broker, &Produce::new(topic, HALF, HALF))?;
    victim.wait_until("later records", PATIENCE, |events| {
        records(events).iter().any(|record| record.number().is_some_and(|n| n >= HALF))
    })?;
    let before = victim.kill()?;
    produce(client, broker, &Produce::new(topic, 2 * HALF, HALF))?;
    heir.wait_until("all that the killed one has not read", PATIENCE, |events| {
        let read = [&before, events].into_iter().flat_map(|events| records(events));
        let read: BTreeSet<u64> = read.filter_map(Record::number).collect();
        assigned(events).len() == 8 && read.len() as u64 == 3 * HALF
    })?;
    heir.terminate()?;
    let after = heir.outcome(PATIENCE)?;
    check_commits(&before, &after)?;
    let closes = client == Client::Kcat || after.contains(&Event::Closed);
    ensure!(closes, "the member did not leave its group: {:?}", after.last());
    Ok(())
}

/// Kills one of two static members and starts it again before its session ends: it gets its partitions back,
/// and the other one keeps its own, without a rebalance.
///
/// # Errors
/// A member gets other partitions, or a record is missing.
pub fn a_static_member_keeps_its_partitions(
    client: Client,
    broker: &dyn Broker,
    topic: &str,
) -> anyhow::Result<()> {
    broker.create_topic(topic)?;
    produce(client, broker, &Produce::new(topic, 0, HALF))?;
    let member = |id: &str| {
        let mut group = Group::new(topic, &format!("{topic}-members"));
        group.static_id = Some(id.to_owned());
        // Longer than the start of a client takes on a busy machine.
        group.session = Duration::from_secs(30);
        client.start(broker, &Command::Group(group), PATIENCE)
    };
    let has_share = |events: &[Event]| (1..8).contains(&assigned(events).len());
    let first = member("first")?;
    first.wait_until("a first assignment", PATIENCE, |events| assigned(events).len() == 8)?;
    let second = member("second")?;
    second.wait_until("a share of the partitions", PATIENCE, has_share)?;
    first.wait_until("the other share", PATIENCE, has_share)?;
    let share = assigned(&first.kill()?);
    let other = second.events();
    let again = member("first")?;
    again.wait_until("the same share", PATIENCE, |events| !assigned(events).is_empty())?;
    produce(client, broker, &Produce::new(topic, HALF, HALF))?;
    let is_read = |events: &[Event], partitions: &BTreeSet<i32>| {
        let late = records(events).into_iter();
        late.filter(|record| record.number().is_some_and(|n| n >= HALF))
            .any(|record| partitions.contains(&record.partition))
    };
    again.wait_until("later records", PATIENCE, |events| is_read(events, &share))?;
    second.wait_until("later records", PATIENCE, |events| is_read(events, &assigned(&other)))?;
    let found = assigned(&again.events());
    ensure!(found == share, "expected the partitions {share:?} again, found {found:?}");
    let rebalances = |events: &[Event]| {
        let is_one = |event: &&Event| matches!(event, Event::Assigned(_) | Event::Revoked(_));
        events.iter().filter(is_one).count()
    };
    let (before, after) = (rebalances(&other), rebalances(&second.events()));
    ensure!(before == after, "the other member was disturbed: {before} rebalances, then {after}");
    Ok(())
}

/// Writes records, reads them as a member of the group `TOPIC-members`, and commits.
///
/// # Errors
/// A record is missing, or nothing is committed.
pub fn reads_in_a_group(client: Client, broker: &dyn Broker, topic: &str) -> anyhow::Result<()> {
    produce(client, broker, &Produce::new(topic, 0, HALF))?;
    let member = Command::Group(Group::new(topic, &format!("{topic}-members")));
    let member = client.start(broker, &member, PATIENCE)?;
    member.wait_until("all records and a commit", PATIENCE, |events| {
        // kcat commits without a word.
        let is_committed = |event: &Event| matches!(event, Event::Committed(_));
        let commits = client == Client::Kcat || events.iter().any(is_committed);
        commits && check_numbers(&cloned(records(events)), 0..HALF).is_ok()
    })
}

/// Reads in a group while `crash` ends and restarts the broker, and again as another member after it:
/// nothing is skipped, and nothing is repeated beyond the last commit.
///
/// # Errors
/// A record is missing, or one that was committed comes again.
pub fn reads_through_a_crash(
    client: Client,
    broker: &dyn Broker,
    topic: &str,
    crash: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    broker.create_topic(topic)?;
    produce(client, broker, &Produce::new(topic, 0, HALF))?;
    let member = Command::Group(Group::new(topic, &format!("{topic}-members")));
    let first = client.start(broker, &member, 3 * PATIENCE)?;
    let has_read = |events: &[Event], count: u64| {
        let read = records(events).into_iter().filter_map(Record::number);
        read.collect::<BTreeSet<u64>>().len() as u64 >= count
    };
    first.wait_until("half of the records", PATIENCE, |events| has_read(events, HALF / 2))?;
    let before = match client.survives_outages() {
        true => {
            crash()?;
            produce(client, broker, &Produce::new(topic, HALF, HALF))?;
            first.wait_until("all", 2 * PATIENCE, |events| has_read(events, 2 * HALF))?;
            first.kill()?
        }
        false => {
            let before = first.kill()?;
            crash()?;
            produce(client, broker, &Produce::new(topic, HALF, HALF))?;
            before
        }
    };
    check_commits(&[], &before)?;
    produce(client, broker, &Produce::new(topic, 2 * HALF, HALF))?;
    let second = client.start(broker, &member, PATIENCE)?;
    second.wait_until("the rest", PATIENCE, |events| {
        has_read(&[&before[..], events].concat(), 3 * HALF)
    })?;
    check_commits(&before, &second.kill()?)
}

/// Returns the partitions of a member.
fn assigned(events: &[Event]) -> BTreeSet<i32> {
    let mut assigned = BTreeSet::new();
    for event in events {
        match event {
            Event::Assigned(more) => assigned.extend(more),
            Event::Revoked(fewer) => assigned.retain(|partition| !fewer.contains(partition)),
            _ => {}
        }
    }
    assigned
}
