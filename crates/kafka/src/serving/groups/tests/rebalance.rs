use tokio::time::Instant;

use super::*;
use crate::serving::groups::request::Join;
use crate::serving::groups::state::State;

#[tokio::test(start_paused = true)]
async fn a_new_member_waits_until_the_others_have_joined_again() {
    let groups = groups();
    let mut members = stable(&groups, 1).await;
    let joining = Consumer::new(&groups).spawn_join();
    settle().await;
    assert_eq!((state(&groups).as_str(), joining.is_done()), ("PreparingRebalance", false));
    assert_eq!(members[0].heartbeat(), error(RebalanceInProgress));
    let before = members[0].generation;
    members[0].join().await;
    let joined = joining.done().await;
    assert_eq!((joined.generation, members[0].generation), (before + 1, before + 1));
    assert!(members[0].is_leader() && !joined.is_leader());
    assert_eq!(joined.joined.leader, members[0].id);
}

#[tokio::test(start_paused = true)]
async fn members_that_do_not_join_again_in_time_are_dropped() {
    let groups = groups();
    let members = stable(&groups, 2).await;
    let joining = Consumer::new(&groups).spawn_join();
    settle().await;
    // Heartbeats keep the session, but not the place in the group.
    members[0].stay(REBALANCE).await;
    let joined = joining.done().await;
    assert_eq!(joined.joined.members.len(), 1);
    assert!(joined.is_leader());
    for member in &members {
        assert_eq!(member.heartbeat(), error(UnknownMemberId));
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_whose_members_all_stay_away_is_dropped() {
    let groups = groups();
    let members = stable(&groups, 3).await;
    pass(SESSION * 2).await;
    assert_eq!(state(&groups), "Dead");
    assert!(groups.list().is_empty());
    assert_eq!(members[0].heartbeat(), error(UnknownMemberId));
}

#[tokio::test(start_paused = true)]
async fn the_first_rebalance_waits_for_more_members() {
    let delay = Duration::from_secs(3);
    let groups = Arc::new(Groups::new(GroupLimits { initial_delay: delay, ..limits() }));
    let first = Consumer::new(&groups).spawn_join();
    pass(delay - INSTANT * 2).await;
    assert!(!first.is_done());
    // A member that arrives extends the wait once more.
    let second = Consumer::new(&groups).spawn_join();
    pass(delay).await;
    assert!(!first.is_done() && !second.is_done());
    pass(delay).await;
    assert_eq!((first.done().await.generation, second.done().await.generation), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn the_first_rebalance_waits_no_longer_than_the_rebalance_timeout() {
    let delay = Duration::from_secs(3);
    let groups = Arc::new(Groups::new(GroupLimits { initial_delay: delay, ..limits() }));
    let first = Consumer::new(&groups).spawn_join();
    let mut others = Vec::new();
    for _ in 0..(REBALANCE.as_secs() - 1) {
        others.push(Consumer::new(&groups).spawn_join());
        pass(Duration::from_secs(1)).await;
    }
    assert!(!first.is_done());
    pass(Duration::from_secs(2)).await;
    assert!(first.is_done() && others.iter().all(Joining::is_done));
}

#[tokio::test(start_paused = true)]
async fn a_new_member_that_waits_too_long_must_join_again() {
    let groups = groups();
    let mut first = Consumer::new(&groups);
    first.rebalance = Duration::from_secs(3600);
    let first = stabilize(vec![first]).await.remove(0);
    let joining = Consumer::new(&groups).spawn_join();
    first.stay(Duration::from_secs(299)).await;
    assert!(!joining.is_done());
    first.stay(Duration::from_secs(2)).await;
    assert_eq!(joining.done().await.joined.error_code, error(UnknownMemberId));
}

#[tokio::test(start_paused = true)]
async fn a_member_that_has_joined_does_not_expire_while_others_are_awaited() {
    let groups = groups();
    let mut members = stable(&groups, 2).await;
    let leader = members.remove(0).spawn_join();
    members[0].stay(SESSION * 3).await;
    assert!(!leader.is_done());
    members[0].join().await;
    let leader = leader.done().await;
    // Its session begins with the answer.
    members[0].stay(SESSION - INSTANT).await;
    assert_eq!((leader.joined.error_code, leader.heartbeat()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_does_not_join_again_is_replaced() {
    let groups = groups();
    let mut members = stable(&groups, 3).await;
    let old = members.remove(0);
    let joining: Vec<_> =
        members.into_iter().map(|m| m.with_topics(&["other"]).spawn_join()).collect();
    old.stay(REBALANCE + INSTANT).await;
    let mut leaders = 0;
    for one in joining {
        let member = one.done().await;
        assert_ne!(member.joined.leader, old.id);
        leaders += usize::from(member.is_leader());
    }
    assert_eq!(leaders, 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_leaves_a_member_that_expires() {
    let groups = groups();
    let mut members = stable(&groups, 1).await;
    let joining = Consumer::new(&groups).spawn_join();
    settle().await;
    joining.drop_connection().await;
    let waiting = members.remove(0).spawn_join();
    // The rebalance waits for the member to come back, at most for its session timeout.
    pass(SESSION - INSTANT).await;
    assert!(!waiting.is_done());
    pass(INSTANT * 2).await;
    assert_eq!(waiting.done().await.joined.members.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn static_members_alone_have_their_sessions_to_join_again() {
    let groups = groups();
    let first = Consumer::new(&groups).with_instance("1");
    let mut members = stabilize(vec![first, Consumer::new(&groups)]).await;
    let mut leaver = members.remove(1);
    assert_eq!(leaver.leave(), 0);
    assert_eq!(state(&groups), "PreparingRebalance");
    members[0].stay(REBALANCE * 2).await;
    assert_eq!(state(&groups), "PreparingRebalance");
    assert_eq!(members[0].join().await.error_code, 0);
    leaver.id = Default::default();
    assert_eq!(state(&groups), "CompletingRebalance");
}

#[tokio::test(start_paused = true)]
async fn a_rebalance_forgets_who_owed_a_sync() {
    let groups = groups();
    let mut members = stable(&groups, 2).await;
    let follower = members.remove(1).with_topics(&["other"]).spawn_join();
    settle().await;
    let mut leader = members.remove(0);
    leader.join().await;
    let mut follower = follower.done().await;
    for _ in 0..50 {
        pass(Duration::from_secs(1)).await;
        assert_eq!((leader.heartbeat(), follower.heartbeat()), (0, 0));
    }
    // The leader owes its sync for ten seconds more, but there is another rebalance now.
    let third = Consumer::new(&groups).spawn_join();
    settle().await;
    let leader = leader.spawn_join();
    follower.stay(Duration::from_secs(20)).await;
    assert_eq!(follower.join().await.error_code, 0);
    assert_eq!(leader.done().await.joined.error_code, 0);
    assert_eq!(third.done().await.joined.error_code, 0);
}

#[tokio::test(start_paused = true)]
async fn a_member_that_stays_alone_waits_for_the_initial_delay_once() {
    let delay = Duration::from_secs(3);
    let groups = Arc::new(Groups::new(GroupLimits { initial_delay: delay, ..limits() }));
    let first = Consumer::new(&groups).spawn_join();
    pass(delay + INSTANT).await;
    assert!(first.is_done());
}

#[tokio::test(start_paused = true)]
async fn a_rebalance_that_no_member_joins_is_retried_later_even_without_a_timeout() {
    let (limits, now) = (limits(), Instant::now());
    let mut member = Consumer::new(&groups()).with_instance("one");
    member.rebalance = Duration::ZERO;
    let caller = Caller { client_id: "client", host: "host" };
    let join = Join::read(&member.request(), 9, &caller, &limits).unwrap();
    let mut state = State::new(Arc::new(limits));
    let _promise = state.join(join, now);
    state.prepare_rebalance(now);
    assert_eq!(state.expire(now), Some(now + Duration::from_secs(1)));
}
