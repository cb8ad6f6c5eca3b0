use super::*;

#[tokio::test(start_paused = true)]
async fn a_dynamic_member_must_join_again_with_the_id_it_gets() {
    let groups = groups();
    let mut member = Consumer::new(&groups).with_version(4);
    let answer = member.join_once().await;
    assert_eq!(answer.error_code, error(MemberIdRequired));
    assert!(answer.member_id.starts_with("client-"), "{}", answer.member_id);
    assert_eq!(state(&groups), "Empty");
    let id = answer.member_id;
    let answer = member.join_once().await;
    assert_eq!((answer.error_code, answer.member_id, answer.generation_id), (0, id, 1));
}

#[tokio::test(start_paused = true)]
async fn an_old_client_joins_without_an_id_at_once() {
    let answer = Consumer::new(&groups()).with_version(3).join_once().await;
    assert_eq!((answer.error_code, answer.generation_id), (0, 1));
    assert_eq!(answer.leader, answer.member_id);
}

#[tokio::test(start_paused = true)]
async fn an_id_that_is_not_used_expires_with_the_session_timeout() {
    let groups = groups();
    let mut member = Consumer::new(&groups);
    member.join_once().await;
    pass(SESSION - INSTANT).await;
    assert_eq!(state(&groups), "Empty");
    pass(INSTANT * 2).await;
    assert_eq!(state(&groups), "Dead");
    assert_eq!(member.join_once().await.error_code, error(UnknownMemberId));
}

#[tokio::test(start_paused = true)]
async fn a_rebalance_waits_for_members_that_are_about_to_join() {
    let groups = groups();
    let mut members = stable(&groups, 1).await;
    let mut late = Consumer::new(&groups);
    late.join_once().await;
    let leader = members.remove(0).spawn_join();
    settle().await;
    assert!(!leader.is_done());
    let late = late.join().await;
    assert_eq!((late.error_code, late.generation_id), (0, leader.done().await.generation));
}

#[tokio::test(start_paused = true)]
async fn wrong_requests_are_refused() {
    let groups = groups();
    let mut no_group = Consumer::new(&groups);
    no_group.group = consumer::text("");
    assert_eq!(no_group.join().await.error_code, error(InvalidGroupId));
    for session in [Duration::from_secs(5), Duration::from_secs(31 * 60)] {
        let mut member = Consumer::new(&groups);
        member.session = session;
        assert_eq!(member.join().await.error_code, error(InvalidSessionTimeout));
    }
    let mut unknown = Consumer::new(&groups);
    unknown.id = consumer::text("unknown");
    assert_eq!(unknown.join().await.error_code, error(UnknownMemberId));
    let mut no_protocols = Consumer::new(&groups).with_protocols(&[]);
    assert_eq!(no_protocols.join().await.error_code, error(InconsistentGroupProtocol));
    assert!(groups.list().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_member_without_a_common_protocol_is_refused() {
    let groups = groups();
    let _members = stable(&groups, 1).await;
    let mut other = Consumer::new(&groups).with_protocols(&["roundrobin"]);
    assert_eq!(other.join().await.error_code, error(InconsistentGroupProtocol));
    let mut other = Consumer::new(&groups);
    other.protocol_type = consumer::text("connect");
    assert_eq!(other.join().await.error_code, error(InconsistentGroupProtocol));
    assert_eq!(state(&groups), "Stable");
}

#[tokio::test(start_paused = true)]
async fn members_vote_for_a_protocol_that_all_support() {
    let groups = groups();
    let protocols: [&[_]; 3] = [&["a", "b", "c"], &["c", "b"], &["only-mine", "c", "b"]];
    let members = protocols.map(|names| Consumer::new(&groups).with_protocols(names));
    for member in stabilize(members.into()).await {
        assert_eq!(member.joined.protocol_name.as_deref(), Some("c"));
    }
}

#[tokio::test(start_paused = true)]
async fn only_the_leader_learns_who_the_members_are() {
    let groups = groups();
    let members = stable(&groups, 3).await;
    let ids = |member: &Consumer| {
        member.joined.members.iter().map(|m| m.member_id.clone()).collect::<Vec<_>>()
    };
    let mut all: Vec<_> = members.iter().map(|member| member.id.clone()).collect();
    all.sort();
    assert_eq!(ids(&members[0]), all);
    assert_eq!(members[0].joined.members[0].metadata, subscription(&["topic"]));
    assert!(ids(&members[1]).is_empty() && ids(&members[2]).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_joins_unchanged_causes_no_rebalance() {
    let groups = groups();
    let mut members = stable(&groups, 2).await;
    let before = members[1].generation;
    let answer = members[1].join().await;
    assert_eq!((answer.error_code, answer.generation_id), (0, before));
    assert_eq!(answer.leader, members[0].id);
    assert_eq!(state(&groups), "Stable");
}

#[tokio::test(start_paused = true)]
async fn a_follower_with_new_metadata_causes_a_rebalance() {
    let groups = groups();
    let mut members = stable(&groups, 2).await;
    let follower = members.remove(1).with_topics(&["other"]).spawn_join();
    settle().await;
    assert_eq!(members[0].heartbeat(), error(RebalanceInProgress));
    let before = members[0].generation;
    let answer = members[0].join().await;
    assert_eq!(answer.generation_id, before + 1);
    let metadata: Vec<_> = answer.members.iter().map(|member| member.metadata.clone()).collect();
    assert!(metadata.contains(&subscription(&["other"])));
    assert_eq!(follower.done().await.generation, before + 1);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_joins_unchanged_causes_a_rebalance() {
    let groups = groups();
    let mut members = stable(&groups, 2).await;
    let leader = members.remove(0).spawn_join();
    settle().await;
    assert_eq!((state(&groups).as_str(), leader.is_done()), ("PreparingRebalance", false));
}

#[tokio::test(start_paused = true)]
async fn a_member_whose_answer_was_lost_gets_it_again() {
    let groups = groups();
    let mut member = Consumer::new(&groups);
    let first = member.join().await;
    assert_eq!(state(&groups), "CompletingRebalance");
    assert_eq!(member.join().await, first);
}

#[tokio::test(start_paused = true)]
async fn a_second_join_of_a_member_answers_the_first() {
    let groups = groups();
    let mut members = stable(&groups, 2).await;
    let mut twin = Consumer::new(&groups).with_topics(&["other"]);
    twin.id = members[1].id.clone();
    let first = members.remove(1).with_topics(&["other"]).spawn_join();
    settle().await;
    let second = twin.spawn_join();
    settle().await;
    assert_eq!(first.done().await.joined.error_code, error(RebalanceInProgress));
    members[0].join().await;
    assert_eq!(second.done().await.joined.error_code, 0);
}

#[tokio::test(start_paused = true)]
async fn answers_fit_the_version_of_the_request() {
    let groups = groups();
    let answer = Consumer::new(&groups).with_protocols(&[]).with_version(6).join().await;
    assert_eq!(answer.protocol_name.as_deref(), Some(""));
    let answer = Consumer::new(&groups).with_protocols(&[]).with_version(7).join().await;
    assert_eq!(answer.protocol_name, None);
}

#[tokio::test(start_paused = true)]
async fn version_0_has_one_timeout_for_both() {
    let groups = groups();
    let mut member = Consumer::new(&groups).with_version(0);
    member.rebalance = Duration::ZERO;
    member.join().await;
    pass(SESSION - INSTANT).await;
    assert_eq!(member.heartbeat(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_first_join_that_is_dropped_after_the_second_leaves_the_second() {
    let groups = groups();
    let mut members = stable(&groups, 2).await;
    let twin = || Consumer::new(&groups).with_topics(&["other"]);
    let (mut one, mut two) = (twin(), twin());
    (one.id, two.id) = (members[1].id.clone(), members[1].id.clone());
    let mut first = Box::pin(one.join_once());
    assert!(tokio::time::timeout(INSTANT, &mut first).await.is_err());
    let mut second = Box::pin(two.join_once());
    assert!(tokio::time::timeout(INSTANT, &mut second).await.is_err());
    drop(first);
    assert_eq!(members[0].join().await.error_code, 0);
    assert_eq!(second.await.generation_id, members[0].generation);
}
