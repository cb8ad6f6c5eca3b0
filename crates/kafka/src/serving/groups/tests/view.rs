use bytes::Bytes;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_stable_group_shows_what_its_members_said_and_got() {
    let groups = groups();
    let members = stabilize(vec![Consumer::new(&groups).with_instance("one")]).await;
    let described = groups.describe(GROUP);
    assert_eq!((described.error_code, described.group_id.as_str()), (0, GROUP));
    assert_eq!(described.group_state.as_str(), "Stable");
    assert_eq!(described.protocol_type.as_str(), "consumer");
    assert_eq!(described.protocol_data.as_str(), "range");
    let member = &described.members[0];
    assert_eq!(
        (&member.member_id, &member.group_instance_id),
        (&members[0].id, &members[0].instance)
    );
    assert_eq!((member.client_id.as_str(), member.client_host.as_str()), ("client", "/127.0.0.1"));
    assert_eq!(member.member_metadata, subscription(&["topic"]));
    assert_eq!(member.member_assignment, members[0].id.as_bytes());
}

#[tokio::test(start_paused = true)]
async fn a_group_that_rebalances_shows_its_members_only() {
    let groups = groups();
    let _members = stable(&groups, 1).await;
    let _joining = Consumer::new(&groups).spawn_join();
    settle().await;
    let described = groups.describe(GROUP);
    assert_eq!(described.group_state.as_str(), "PreparingRebalance");
    assert!(described.protocol_data.is_empty());
    assert_eq!(described.members.len(), 2);
    assert!(described.members.iter().all(|m| m.member_metadata.is_empty()));
    assert!(described.members.iter().all(|m| m.member_assignment.is_empty()));
}

#[tokio::test(start_paused = true)]
async fn groups_are_listed_while_they_have_members() {
    let groups = groups();
    assert!(groups.list().is_empty());
    assert_eq!(state(&groups), "Dead");
    let members = stable(&groups, 1).await;
    let listed = groups.list();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].group_id.as_str(), GROUP);
    assert_eq!(listed[0].protocol_type.as_str(), "consumer");
    assert_eq!(listed[0].group_state.as_str(), "Stable");
    assert_eq!(listed[0].group_type.as_str(), "classic");
    members[0].leave();
    assert!(groups.list().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_group_with_members_is_not_removed() {
    let groups = groups();
    assert_eq!(groups.remove(GROUP), Ok(()));
    let members = stable(&groups, 1).await;
    assert_eq!(groups.remove(GROUP), Err(NonEmptyGroup));
    members[0].leave();
    let mut pending = Consumer::new(&groups);
    pending.join_once().await;
    assert_eq!(groups.remove(GROUP), Ok(()));
    assert_eq!(pending.join_once().await.error_code, error(UnknownMemberId));
}

#[tokio::test(start_paused = true)]
async fn a_group_knows_the_topics_of_its_members() {
    let groups = groups();
    assert!(!groups.subscribes(GROUP, "a"));
    let topics: [&[_]; 2] = [&["a"], &["b", "c"]];
    let members = topics.map(|topics| Consumer::new(&groups).with_topics(topics));
    let _members = stabilize(members.into()).await;
    assert_eq!(["a", "c", "d"].map(|topic| groups.subscribes(GROUP, topic)), [true, true, false]);
}

#[tokio::test(start_paused = true)]
async fn a_member_whose_topics_are_unknown_may_consume_any() {
    let short = subscription(&["topic"]).slice(..7);
    let endless = Bytes::from_static(&[0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 1, b'a']);
    let negative = Bytes::from_static(&[0, 0, 0xff, 0xff, 0xff, 0xff]);
    for metadata in [Bytes::new(), short, endless, negative] {
        let groups = groups();
        let mut member = Consumer::new(&groups);
        member.protocols = vec![("range", metadata)];
        let _members = stabilize(vec![member]).await;
        assert!(groups.subscribes(GROUP, "any"));
    }
    let groups = groups();
    let mut member = Consumer::new(&groups);
    member.protocol_type = consumer::text("connect");
    let _members = stabilize(vec![member]).await;
    assert!(groups.subscribes(GROUP, "any"));
}
