use bytes::Bytes;

use super::*;

fn with(limits: GroupLimits) -> Arc<Groups> {
    Arc::new(Groups::new(limits))
}

#[tokio::test(start_paused = true)]
async fn a_full_group_takes_no_more_members() {
    let groups = with(GroupLimits { members: 2, ..limits() });
    let mut members = stable(&groups, 2).await;
    let mut third = Consumer::new(&groups);
    assert_eq!(third.join_once().await.error_code, error(GroupMaxSizeReached));
    assert_eq!(members[0].heartbeat(), 0);
    members.remove(1).leave();
    third.join_once().await;
    let third = third.spawn_join();
    settle().await;
    members[0].join().await;
    assert_eq!(third.done().await.joined.error_code, 0);
}

#[tokio::test(start_paused = true)]
async fn a_member_that_joined_takes_the_place_of_one_that_did_not() {
    let groups = with(GroupLimits { members: 2, ..limits() });
    let mut members = stable(&groups, 2).await;
    let leader = members.remove(0).spawn_join();
    settle().await;
    let mut third = Consumer::new(&groups);
    assert_eq!(third.join_once().await.error_code, error(MemberIdRequired));
    let third = third.spawn_join();
    settle().await;
    // Two have joined now, so the one that is late has no place any more.
    assert_eq!(members[0].join_once().await.error_code, error(GroupMaxSizeReached));
    assert_eq!(
        (leader.done().await.joined.error_code, third.done().await.joined.error_code),
        (0, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_static_member_of_a_full_group_can_restart() {
    let groups = with(GroupLimits { members: 1, ..limits() });
    let _old = stabilize(vec![Consumer::new(&groups).with_instance("one")]).await;
    let answer = Consumer::new(&groups).with_instance("one").join_once().await;
    assert_eq!(answer.error_code, 0);
}

#[tokio::test(start_paused = true)]
async fn the_oldest_id_that_was_not_used_gives_way() {
    let groups = with(GroupLimits { members: 2, ..limits() });
    let mut pending: Vec<_> = (0..3).map(|_| Consumer::new(&groups)).collect();
    for member in &mut pending {
        assert_eq!(member.join_once().await.error_code, error(MemberIdRequired));
        settle().await;
    }
    assert_eq!(pending[0].join_once().await.error_code, error(UnknownMemberId));
    assert_eq!(pending[1].join_once().await.error_code, 0);
}

#[tokio::test(start_paused = true)]
async fn the_number_of_groups_is_bounded() {
    let groups = with(GroupLimits { groups: 1, ..limits() });
    let members = stable(&groups, 1).await;
    let mut other = Consumer::new(&groups);
    other.group = consumer::text("other");
    assert_eq!(other.join().await.error_code, error(CoordinatorNotAvailable));
    members[0].leave();
    assert_eq!(other.join().await.error_code, 0);
}

#[tokio::test(start_paused = true)]
async fn the_bytes_of_a_group_are_bounded() {
    let groups = with(GroupLimits { metadata_bytes: 4_000, ..limits() });
    let mut members = stable(&groups, 1).await;
    let mut large = Consumer::new(&groups).with_version(3);
    large.protocols = vec![("range", Bytes::from(vec![0; 4_000]))];
    assert_eq!(large.join().await.error_code, error(GroupMaxSizeReached));
    assert_eq!(members[0].heartbeat(), 0);
    // What a member replaces does not count.
    for size in [3_000, 3_001] {
        members[0].protocols = vec![("range", Bytes::from(vec![0; size]))];
        assert_eq!(members[0].join().await.error_code, 0);
    }
    let share = [(members[0].id.clone(), "x".repeat(1_000))];
    assert_eq!(members[0].sync(&share).await.error_code, error(UnknownServerError));
    assert_eq!(members[0].heartbeat(), error(RebalanceInProgress));
}

#[tokio::test(start_paused = true)]
async fn long_ids_and_many_protocols_are_refused() {
    let groups = groups();
    let long = "x".repeat(2_000);
    let mut member = Consumer::new(&groups);
    member.group = consumer::text(&long);
    assert_eq!(member.join().await.error_code, error(InvalidGroupId));
    let mut member = Consumer::new(&groups).with_instance(&long);
    assert_eq!(member.join().await.error_code, error(InvalidRequest));
    let mut member = Consumer::new(&groups).with_protocols(&["range"; 65]);
    assert_eq!(member.join().await.error_code, error(InvalidRequest));
}

#[tokio::test(start_paused = true)]
async fn a_protocol_that_comes_twice_counts_once() {
    let groups = groups();
    let member = Consumer::new(&groups).with_protocols(&["range", "range"]);
    let members = stabilize(vec![member, Consumer::new(&groups)]).await;
    assert_eq!(members[1].joined.protocol_name.as_deref(), Some("range"));
}

#[tokio::test(start_paused = true)]
async fn tasks_end_with_their_groups_and_with_the_server() {
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let groups = groups();
    let members = stable(&groups, 1).await;
    settle().await;
    assert_eq!(tasks(), before + 1);
    members[0].leave();
    drop(members);
    settle().await;
    assert_eq!(tasks(), before);
    Consumer::new(&groups).join_once().await;
    settle().await;
    groups.remove(GROUP).unwrap();
    settle().await;
    assert_eq!(tasks(), before);
    let members = stable(&groups, 1).await;
    settle().await;
    drop((members, groups));
    settle().await;
    assert_eq!(tasks(), before);
}

#[tokio::test(start_paused = true)]
async fn a_static_member_can_restart_while_a_full_group_rebalances() {
    let groups = with(GroupLimits { members: 2, ..limits() });
    let first = Consumer::new(&groups).with_instance("one");
    let mut members = stabilize(vec![first, Consumer::new(&groups)]).await;
    let first = members.remove(0).spawn_join();
    let _third = Consumer::new(&groups).with_version(3).spawn_join();
    settle().await;
    let second = Consumer::new(&groups).with_instance("one").spawn_join();
    settle().await;
    assert_eq!(first.done().await.joined.error_code, error(FencedInstanceId));
    assert!(!second.is_done());
}

#[tokio::test(start_paused = true)]
async fn only_the_assignments_of_one_generation_count() {
    let groups = with(GroupLimits { metadata_bytes: 4_000, ..limits() });
    let mut members = stable(&groups, 1).await;
    for _ in 0..3 {
        members[0].join().await;
        let share = [(members[0].id.clone(), "x".repeat(3_000))];
        assert_eq!(members[0].sync(&share).await.error_code, 0);
    }
}
