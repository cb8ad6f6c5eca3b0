use super::*;

fn with_instances(groups: &Arc<Groups>) -> Vec<Consumer> {
    ["one", "two"].map(|instance| Consumer::new(groups).with_instance(instance)).into()
}

/// Returns the consumer after a restart: it knows its instance only.
fn restart(consumer: &Consumer) -> Consumer {
    let mut new = Consumer::new(&consumer.groups).with_version(consumer.version);
    new.instance.clone_from(&consumer.instance);
    new.protocols.clone_from(&consumer.protocols);
    new
}

#[tokio::test(start_paused = true)]
async fn a_static_member_needs_no_id_to_join() {
    let groups = groups();
    let answer = Consumer::new(&groups).with_instance("one").join_once().await;
    assert_eq!((answer.error_code, answer.generation_id), (0, 1));
    assert!(answer.member_id.starts_with("one-"));
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_restarts_keeps_its_assignment_without_a_rebalance() {
    let groups = groups();
    let members = stabilize(with_instances(&groups)).await;
    let mut new = restart(&members[1]);
    let answer = new.join_once().await;
    assert_eq!((answer.error_code, answer.generation_id), (0, members[1].generation));
    assert_ne!(new.id, members[1].id);
    assert_eq!(answer.leader, members[0].id);
    assert!(!answer.skip_assignment && answer.members.is_empty());
    assert_eq!(new.sync(&[]).await.assignment, members[1].id.as_bytes());
    assert_eq!((members[0].heartbeat(), new.heartbeat()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_restarts_leads_without_assigning() {
    let groups = groups();
    let members = stabilize(with_instances(&groups)).await;
    let mut new = restart(&members[0]);
    let answer = new.join_once().await;
    assert_eq!((answer.error_code, answer.generation_id), (0, members[0].generation));
    assert!(answer.skip_assignment && new.is_leader());
    assert_eq!(answer.members.len(), 2);
    assert_eq!(new.sync(&[]).await.assignment, members[0].id.as_bytes());
}

#[tokio::test(start_paused = true)]
async fn a_leader_of_an_old_version_that_restarts_does_not_learn_that_it_leads() {
    let groups = groups();
    let members = stabilize(with_instances(&groups)).await;
    let mut new = restart(&members[0]).with_version(8);
    let answer = new.join_once().await;
    assert_eq!(answer.leader, members[0].id);
    assert!(!answer.skip_assignment && answer.members.is_empty());
    // It does lead: its next join begins a rebalance.
    let _waiting = new.spawn_join();
    settle().await;
    assert_eq!(state(&groups), "PreparingRebalance");
}

#[tokio::test(start_paused = true)]
async fn the_old_process_of_an_instance_is_fenced() {
    let groups = groups();
    let members = stabilize(with_instances(&groups)).await;
    restart(&members[1]).join_once().await;
    let mut old = members.into_iter().nth(1).unwrap();
    assert_eq!(old.heartbeat(), error(FencedInstanceId));
    assert_eq!(old.sync(&[]).await.error_code, error(FencedInstanceId));
    assert_eq!(old.may_commit(), Err(FencedInstanceId));
    assert_eq!(old.join_once().await.error_code, error(FencedInstanceId));
}

#[tokio::test(start_paused = true)]
async fn a_member_that_waits_is_fenced_by_its_successor() {
    let groups = groups();
    let mut members = stabilize(with_instances(&groups)).await;
    let (mut follower, mut leader) = (members.remove(1), members.remove(0));
    follower.protocols = vec![("range", subscription(&["other"]))];
    let successor = restart(&follower);
    let waiting = follower.spawn_join();
    settle().await;
    let successor = successor.spawn_join();
    settle().await;
    assert_eq!(waiting.done().await.joined.error_code, error(FencedInstanceId));
    assert_eq!(leader.join().await.error_code, 0);
    // So is a member that waits for its assignment; the leader must know the new id.
    let successor = successor.done().await;
    let third = restart(&successor);
    let waiting = successor.spawn_sync();
    settle().await;
    let third = third.spawn_join();
    assert_eq!(waiting.await.unwrap().error_code, error(FencedInstanceId));
    assert_eq!(leader.heartbeat(), error(RebalanceInProgress));
    leader.join().await;
    assert_eq!(third.done().await.generation, leader.generation);
}

#[tokio::test(start_paused = true)]
async fn a_member_that_restarts_with_other_topics_causes_a_rebalance() {
    let groups = groups();
    for index in 0..2 {
        let mut members = stabilize(with_instances(&groups)).await;
        let new = restart(&members[index]).with_topics(&["topic", "other"]).spawn_join();
        settle().await;
        assert_eq!((state(&groups).as_str(), new.is_done()), ("PreparingRebalance", false));
        members[1 - index].join().await;
        let new = new.done().await;
        assert_eq!(new.generation, members[1 - index].generation);
        assert_eq!((new.leave(), members[1 - index].leave()), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_that_restarts_and_changes_the_protocol_causes_a_rebalance() {
    let groups = groups();
    let both = |consumer: Consumer| consumer.with_protocols(&["range", "sticky"]);
    let mut members = stabilize(with_instances(&groups).into_iter().map(both).collect()).await;
    assert_eq!(members[0].joined.protocol_name.as_deref(), Some("range"));
    let new = restart(&members[1]).with_protocols(&["sticky"]).spawn_join();
    settle().await;
    assert_eq!(members[0].heartbeat(), error(RebalanceInProgress));
    assert_eq!(members[0].join().await.protocol_name.as_deref(), Some("sticky"));
    new.done().await;
}

#[tokio::test(start_paused = true)]
async fn a_static_member_that_stays_away_keeps_its_place_for_its_session() {
    let groups = groups();
    let mut members = stabilize(with_instances(&groups)).await;
    let away = members.remove(1);
    members[0].stay(SESSION - INSTANT * 2).await;
    assert_eq!(members[0].heartbeat(), 0);
    let mut back = restart(&away);
    assert_eq!(back.join_once().await.generation_id, members[0].generation);
    members[0].stay(SESSION - INSTANT * 2).await;
    assert_eq!(members[0].heartbeat(), 0);
    pass(INSTANT * 4).await;
    assert_eq!(members[0].heartbeat(), error(RebalanceInProgress));
}

#[tokio::test(start_paused = true)]
async fn a_rebalance_keeps_static_members_that_do_not_join_again() {
    let groups = groups();
    let mut first = Consumer::new(&groups);
    first.rebalance = SESSION / 2;
    let mut second = Consumer::new(&groups).with_instance("one");
    second.rebalance = SESSION / 2;
    let mut members = stabilize(vec![first, second]).await;
    let leader = members.remove(0).spawn_join();
    pass(SESSION / 2 + INSTANT).await;
    assert_eq!(leader.done().await.joined.members.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_is_unknown_with_a_member_id_starts_anew() {
    let groups = groups();
    let mut members = stable(&groups, 1).await;
    members[0].instance = Some(consumer::text("one"));
    assert_eq!(members[0].join_once().await.error_code, error(UnknownMemberId));
    let mut pending = Consumer::new(&groups);
    pending.join_once().await;
    pending.instance = Some(consumer::text("one"));
    assert_eq!(pending.join_once().await.error_code, error(UnknownMemberId));
    assert_eq!(pending.leave(), error(UnknownMemberId));
}
