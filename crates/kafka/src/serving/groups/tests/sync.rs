use super::*;

#[tokio::test(start_paused = true)]
async fn members_wait_for_the_assignment_of_the_leader() {
    let groups = groups();
    let mut members = stable(&groups, 2).await;
    let follower = members.remove(1).with_topics(&["other"]).spawn_join();
    settle().await;
    members[0].join().await;
    let follower = follower.done().await;
    let waiting = follower.spawn_sync();
    settle().await;
    assert!(!waiting.is_finished());
    let share = [(follower.id.clone(), "share".to_owned())];
    // A member that the leader leaves out gets nothing.
    assert!(members[0].sync(&share).await.assignment.is_empty());
    let answer = waiting.await.unwrap();
    assert_eq!((answer.error_code, &answer.assignment[..]), (0, &b"share"[..]));
    assert_eq!(answer.protocol_name.as_deref(), Some("range"));
    assert_eq!(answer.protocol_type.as_deref(), Some("consumer"));
    assert_eq!(state(&groups), "Stable");
}

#[tokio::test(start_paused = true)]
async fn a_rebalance_ends_the_wait_for_an_assignment() {
    let groups = groups();
    let mut members = stable(&groups, 2).await;
    let follower = members.remove(1).with_topics(&["other"]).spawn_join();
    settle().await;
    members[0].join().await;
    let waiting = follower.done().await.spawn_sync();
    settle().await;
    let _joining = Consumer::new(&groups).spawn_join();
    settle().await;
    assert_eq!(waiting.await.unwrap().error_code, error(RebalanceInProgress));
    assert_eq!(members[0].sync(&[]).await.error_code, error(RebalanceInProgress));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_does_not_assign_is_dropped() {
    let groups = groups();
    let mut members = stable(&groups, 2).await;
    let follower = members.remove(1).with_topics(&["other"]).spawn_join();
    settle().await;
    members[0].join().await;
    let follower = follower.done().await;
    let waiting = follower.spawn_sync();
    members[0].stay(REBALANCE + INSTANT).await;
    assert_eq!(waiting.await.unwrap().error_code, error(RebalanceInProgress));
    assert_eq!(members[0].heartbeat(), error(UnknownMemberId));
    assert_eq!(follower.heartbeat(), error(RebalanceInProgress));
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_does_not_sync_is_dropped() {
    let groups = groups();
    let mut members = stable(&groups, 2).await;
    let follower = members.remove(1).with_topics(&["other"]).spawn_join();
    settle().await;
    members[0].join().await;
    let follower = follower.done().await;
    members[0].sync(&[]).await;
    for _ in 0..REBALANCE.as_secs() {
        pass(Duration::from_secs(1)).await;
        assert_eq!(members[0].heartbeat(), 0);
        assert_eq!(follower.heartbeat(), 0);
    }
    settle().await;
    assert_eq!(follower.heartbeat(), error(UnknownMemberId));
    assert_eq!(members[0].heartbeat(), error(RebalanceInProgress));
}

#[tokio::test(start_paused = true)]
async fn a_sync_is_refused_unless_it_fits_the_generation() {
    let groups = groups();
    let mut members = stable(&groups, 1).await;
    let member = &mut members[0];
    let version_5 = |request| groups.sync(request, 5);
    let request = member.sync_request(&[]).with_protocol_type(None);
    assert_eq!(version_5(request.clone()).await.error_code, error(InconsistentGroupProtocol));
    assert_eq!(groups.sync(request, 4).await.error_code, 0);
    let request = member.sync_request(&[]).with_protocol_name(Some(consumer::text("other")));
    assert_eq!(version_5(request).await.error_code, error(InconsistentGroupProtocol));
    let request = member.sync_request(&[]).with_protocol_type(Some(consumer::text("other")));
    assert_eq!(version_5(request).await.error_code, error(InconsistentGroupProtocol));
    let request = member.sync_request(&[]).with_generation_id(member.generation - 1);
    assert_eq!(version_5(request).await.error_code, error(IllegalGeneration));
    let request = member.sync_request(&[]).with_member_id(consumer::text("other"));
    assert_eq!(version_5(request).await.error_code, error(UnknownMemberId));
    member.group = consumer::text("other");
    assert_eq!(member.sync(&[]).await.error_code, error(UnknownMemberId));
    member.group = consumer::text("");
    assert_eq!(member.sync(&[]).await.error_code, error(InvalidGroupId));
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_during_its_sync_expires() {
    let groups = groups();
    let mut members = stable(&groups, 2).await;
    let follower = members.remove(1).with_topics(&["other"]).spawn_join();
    settle().await;
    members[0].join().await;
    let follower = follower.done().await;
    let waiting = follower.spawn_sync();
    settle().await;
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    members[0].stay(SESSION + INSTANT).await;
    assert_eq!(follower.heartbeat(), error(UnknownMemberId));
    assert_eq!(members[0].heartbeat(), error(RebalanceInProgress));
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_after_a_long_wait_has_a_session_to_come_back() {
    let groups = groups();
    let mut members = stable(&groups, 2).await;
    let follower = members.remove(1).with_topics(&["other"]).spawn_join();
    settle().await;
    members[0].join().await;
    let follower = follower.done().await;
    let waiting = follower.spawn_sync();
    members[0].stay(SESSION * 2).await;
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    members[0].stay(SESSION - INSTANT).await;
    assert_eq!((follower.heartbeat(), members[0].heartbeat()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_syncs_after_the_leader_stays() {
    let groups = groups();
    let mut members = stable(&groups, 2).await;
    let follower = members.remove(1).with_topics(&["other"]).spawn_join();
    settle().await;
    members[0].join().await;
    let follower = follower.done().await;
    members[0].sync(&[]).await;
    members[0].stay(SESSION / 2).await;
    assert_eq!(follower.sync(&[]).await.error_code, 0);
    members[0].stay(SESSION - INSTANT).await;
    assert_eq!(follower.heartbeat(), 0);
    for _ in 0..REBALANCE.as_secs() {
        pass(Duration::from_secs(1)).await;
        assert_eq!((members[0].heartbeat(), follower.heartbeat()), (0, 0));
    }
}
