use super::*;

#[tokio::test(start_paused = true)]
async fn heartbeats_keep_a_member() {
    let groups = groups();
    let members = stable(&groups, 1).await;
    members[0].stay(SESSION * 10).await;
    assert_eq!((members[0].heartbeat(), state(&groups).as_str()), (0, "Stable"));
}

#[tokio::test(start_paused = true)]
async fn a_member_without_heartbeats_is_dropped_and_the_others_rebalance() {
    let groups = groups();
    let members = stable(&groups, 2).await;
    members[0].stay(SESSION - INSTANT * 2).await;
    assert_eq!(members[0].heartbeat(), 0);
    pass(INSTANT * 4).await;
    assert_eq!(members[0].heartbeat(), error(RebalanceInProgress));
    assert_eq!(members[1].heartbeat(), error(UnknownMemberId));
    assert_eq!(groups.describe(GROUP).members.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_of_another_generation_is_refused() {
    let groups = groups();
    let mut members = stable(&groups, 1).await;
    members[0].generation -= 1;
    assert_eq!(members[0].heartbeat(), error(IllegalGeneration));
    members[0].group = consumer::text("");
    assert_eq!(members[0].heartbeat(), error(InvalidGroupId));
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_before_the_assignment_is_fine() {
    let groups = groups();
    let mut member = Consumer::new(&groups);
    member.join().await;
    assert_eq!((member.heartbeat(), state(&groups).as_str()), (0, "CompletingRebalance"));
}

#[tokio::test(start_paused = true)]
async fn members_commit_unless_their_assignment_is_to_come() {
    let groups = groups();
    let mut members = stable(&groups, 1).await;
    assert_eq!(members[0].may_commit(), Ok(()));
    let joining = Consumer::new(&groups).spawn_join();
    settle().await;
    // A commit before it joins again is what keeps a member from reading events twice.
    assert_eq!(members[0].may_commit(), Ok(()));
    let old = members[0].generation;
    members[0].join().await;
    assert_eq!(members[0].may_commit(), Err(RebalanceInProgress));
    members[0].generation = old;
    assert_eq!(members[0].may_commit(), Err(IllegalGeneration));
    members[0].id = consumer::text("other");
    assert_eq!(members[0].may_commit(), Err(UnknownMemberId));
    joining.done().await;
}

#[tokio::test(start_paused = true)]
async fn a_commit_renews_the_session() {
    let groups = groups();
    let members = stable(&groups, 1).await;
    for _ in 0..4 {
        pass(SESSION / 2).await;
        assert_eq!(members[0].may_commit(), Ok(()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_is_no_member_commits_while_the_group_has_none() {
    let groups = groups();
    assert_eq!(groups.may_commit(GROUP, "", None, -1), Ok(()));
    assert_eq!(groups.may_commit(GROUP, "member", None, 1), Err(UnknownMemberId));
    let members = stable(&groups, 1).await;
    assert_eq!(groups.may_commit(GROUP, "", None, -1), Err(UnknownMemberId));
    members[0].leave();
    assert_eq!(groups.may_commit(GROUP, "", None, -1), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ends_before_all_others_is_watched() {
    let groups = groups();
    let mut first = Consumer::new(&groups);
    first.session = SESSION * 6;
    let mut first = stabilize(vec![first]).await.remove(0);
    settle().await;
    let second = Consumer::new(&groups).spawn_join();
    settle().await;
    first.join().await;
    let second = second.done().await;
    let share = [(second.id.clone(), "share".to_owned())];
    assert_eq!((first.sync(&share).await.error_code, second.sync(&[]).await.error_code), (0, 0));
    pass(SESSION - INSTANT).await;
    assert_eq!(first.heartbeat(), 0);
    pass(INSTANT * 2).await;
    assert_eq!(first.heartbeat(), error(RebalanceInProgress));
}
