use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::{GroupId, LeaveGroupRequest};

use super::*;
use consumer::text;

fn request(members: Vec<MemberIdentity>) -> LeaveGroupRequest {
    LeaveGroupRequest::default().with_group_id(GroupId(text(GROUP))).with_members(members)
}

#[tokio::test(start_paused = true)]
async fn a_member_that_leaves_causes_a_rebalance() {
    let groups = groups();
    let mut members = stable(&groups, 2).await;
    assert_eq!(members[0].leave(), 0);
    assert_eq!(members[0].leave(), error(UnknownMemberId));
    assert_eq!(members[1].heartbeat(), error(RebalanceInProgress));
    members[1].join().await;
    assert!(members[1].is_leader());
    assert_eq!(members[1].leave(), 0);
    assert_eq!(state(&groups), "Dead");
}

#[tokio::test(start_paused = true)]
async fn a_rebalance_does_not_wait_for_a_member_that_left() {
    let groups = groups();
    let mut members = stable(&groups, 2).await;
    let waiting = members.remove(0).spawn_join();
    settle().await;
    members[0].leave();
    assert_eq!(waiting.done().await.joined.members.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_id_that_is_about_to_join_can_leave() {
    let groups = groups();
    let mut members = stable(&groups, 1).await;
    let mut pending = Consumer::new(&groups);
    pending.join_once().await;
    let waiting = members.remove(0).spawn_join();
    settle().await;
    assert_eq!((waiting.is_done(), pending.leave()), (false, 0));
    waiting.done().await;
}

#[tokio::test(start_paused = true)]
async fn several_members_leave_together() {
    let groups = groups();
    let members = vec![Consumer::new(&groups), Consumer::new(&groups).with_instance("one")];
    let members = stabilize(members).await;
    let leavers = vec![
        MemberIdentity::default().with_member_id(members[0].id.clone()),
        MemberIdentity::default().with_group_instance_id(Some(text("one"))),
        MemberIdentity::default().with_group_instance_id(Some(text("two"))),
        MemberIdentity::default().with_member_id(text("unknown")),
    ];
    let answer = groups.leave(request(leavers), 3);
    let codes: Vec<_> = answer.members.iter().map(|member| member.error_code).collect();
    let unknown = error(UnknownMemberId);
    assert_eq!((answer.error_code, codes), (0, vec![0, 0, unknown, unknown]));
    assert_eq!(answer.members[1].group_instance_id.as_deref(), Some("one"));
    assert_eq!(state(&groups), "Dead");
}

#[tokio::test(start_paused = true)]
async fn an_old_client_names_itself_and_gets_one_code() {
    let groups = groups();
    let members = stable(&groups, 1).await;
    let request = request(Vec::new()).with_member_id(members[0].id.clone());
    let answer = groups.leave(request.clone(), 2);
    assert_eq!((answer.error_code, answer.members.len()), (0, 0));
    let answer = groups.leave(request.clone(), 2);
    assert_eq!((answer.error_code, answer.members.len()), (error(UnknownMemberId), 0));
    let answer = groups.leave(request.with_group_id(GroupId::default()), 2);
    assert_eq!(answer.error_code, error(InvalidGroupId));
}

#[tokio::test(start_paused = true)]
async fn a_fenced_instance_cannot_make_its_successor_leave() {
    let groups = groups();
    let old = stabilize(vec![Consumer::new(&groups).with_instance("one")]).await.remove(0);
    let mut new = Consumer::new(&groups).with_instance("one");
    new.join().await;
    assert_eq!(old.leave(), error(FencedInstanceId));
    assert_eq!(new.leave(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_member_that_waits_learns_that_it_was_removed() {
    let groups = groups();
    let first = Consumer::new(&groups);
    let second = Consumer::new(&groups).with_instance("one");
    let mut members = stabilize(vec![first, second]).await;
    let waiting = members.remove(1).with_topics(&["other"]).spawn_join();
    settle().await;
    let by_instance = MemberIdentity::default().with_group_instance_id(Some(text("one")));
    groups.leave(request(vec![by_instance]), 5);
    assert_eq!(waiting.done().await.joined.error_code, error(UnknownMemberId));
}
