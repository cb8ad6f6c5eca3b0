use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// Describes a member: `a 0=90! 1=50` has copies up to 90 and 50, and owns partition 0; `a-` drains; `0=90?` is unfit.
fn member(text: &str) -> (String, Profile) {
    let mut words = text.split(' ');
    let name = words.next().unwrap();
    let mut profile = Profile { is_draining: name.ends_with('-'), ..Profile::default() };
    for word in words {
        let (partition, offset) = word.split_once('=').unwrap();
        let partition = partition.parse().unwrap();
        if offset.contains('?') {
            profile.unfit.insert(partition);
        }
        if offset.contains('!') {
            profile.owned.insert(partition, 1);
        }
        profile.copies.insert(partition, offset.trim_end_matches(['!', '?']).parse().unwrap());
    }
    (name.trim_end_matches('-').to_owned(), profile)
}

fn check(members: &[&str], partitions: u32, expected: &[&str]) {
    let members = members.iter().map(|text| member(text)).collect();
    let policy = Policy { ready_lag: 10, ..Policy::new(partitions) };
    let placements = assign_partitions(&members, &policy);
    let show = |place: &Placement| {
        let next = place.next_owner.as_ref().map(|next| format!(" then {next}"));
        format!("{}: {}{}", place.owner, place.standbys.join(" "), next.unwrap_or_default())
    };
    assert_eq!(placements.iter().map(show).collect::<Vec<_>>(), expected);
}

#[test]
fn a_new_cluster_spreads_its_partitions() {
    check(&["a"], 2, &["a: ", "a: "]);
    check(&["a", "b", "c"], 4, &["a: b c", "b: a c", "c: a b", "a: b c"]);
    check(&["a", "b", "c", "d"], 2, &["a: b c", "b: a d"]);
}

#[test]
fn without_members_nothing_is_placed() {
    assert_eq!(assign_partitions(&BTreeMap::new(), &Policy::new(3)), []);
}

#[test]
fn an_owner_keeps_its_partition_even_if_a_standby_is_ahead() {
    check(&["a 0=90", "b 0=80!", "c 0=70"], 1, &["b: a c"]);
}

#[test]
fn a_lost_partition_goes_to_the_standby_that_is_furthest_ahead() {
    check(&["a", "b 0=70", "c 0=80"], 1, &["c: b a"]);
    check(&["a 0=9! 2=80", "b 1=80! 2=80"], 3, &["a: b", "b: a", "a: b"]);
    check(&["a 0=9! 2=79", "b 1=80! 2=80"], 3, &["a: b", "b: a", "b: a"]);
}

#[test]
fn equal_copies_go_to_the_node_with_fewer_partitions() {
    check(&["a 0=9! 1=9", "b 1=9"], 2, &["a: b", "b: a"]);
}

#[test]
fn a_draining_node_loses_its_partitions_and_gets_no_duty() {
    check(&["a- 0=90!", "b 0=80", "c 0=89"], 1, &["c: b"]);
    check(&["a- 0=90! 1=90!", "b"], 2, &["b: ", "b: "]);
}

#[test]
fn if_all_nodes_drain_owners_keep_their_partitions() {
    check(&["a- 1=9", "b- 0=90! 1=9!"], 1, &["b: a"]);
    check(&["a-"], 1, &["a: "]);
}

#[test]
fn a_partition_moves_for_balance_once_the_copy_of_its_target_has_caught_up() {
    check(&["a 0=90! 1=90!", "b"], 2, &["a: b then b", "a: b"]);
    check(&["a 0=90! 1=90!", "b 0=20 1=40"], 2, &["a: b", "a: b then b"]);
    check(&["a 0=90! 1=90!", "b 0=20 1=80"], 2, &["a: b", "b: a"]);
}

#[test]
fn the_target_of_a_move_follows_beside_the_standbys() {
    let all = "0=90 1=90 2=90 3=90";
    let member = |name: &str, owned: &[&str]| {
        let own = |text: String, owned: &&str| text.replace(*owned, &format!("{owned}!"));
        format!("{name} {}", owned.iter().fold(all.to_owned(), own))
    };
    let (a, b, c) =
        (member("a", &["0=90", "1=90"]), member("b", &["2=90"]), member("c", &["3=90"]));
    check(&[&a, &b, &c, "d"], 4, &["a: b c d then d", "a: b c", "b: a d", "c: a d"]);
}

#[test]
fn standbys_are_sorted_by_their_copies_whatever_their_share() {
    let expected = ["a: c b then c", "a: c b then b", "a: c b"];
    check(&["a 0=90! 1=90! 2=90!", "b", "c 0=20 1=20 2=20"], 3, &expected);
}

#[test]
fn a_lost_partition_waits_for_no_copy_that_has_to_be_made_first() {
    // Balance would give it to b, but only a can serve it now.
    check(&["a 0=90! 1=90", "b"], 2, &["a: b", "a: b then b"]);
}

#[test]
fn of_two_members_that_claim_a_partition_the_greater_term_counts() {
    let mut members: BTreeMap<_, _> = [member("a 0=9!"), member("b 0=5!")].into();
    let owner = |members: &_| assign_partitions(members, &Policy::new(1)).remove(0).owner;
    assert_eq!(owner(&members), "a");
    members.get_mut("b").unwrap().owned.insert(0, 2);
    assert_eq!(owner(&members), "b");
}

#[test]
fn reports_about_partitions_that_do_not_exist_are_ignored() {
    check(&["a 7=90!", "b 0=1 9=4"], 1, &["b: a"]);
}

#[test]
fn an_unfit_owner_loses_its_partition_to_the_fit_node_that_is_furthest_ahead() {
    check(&["a 0=90!?", "b 0=80", "c 0=89"], 1, &["c: b a"]);
    check(&["a 0=90!?", "b 0=90?", "c 0=10"], 1, &["c: a b"]);
    // A fit node takes it also without a copy.
    check(&["a 0=90!?", "b"], 1, &["b: a"]);
}

#[test]
fn if_no_node_is_fit_a_partition_stays() {
    check(&["a 0=90?", "b 0=80!?"], 1, &["b: a"]);
    check(&["a 0=90!? 1=90!?", "b 0=90? 1=90?"], 2, &["a: b", "a: b"]);
    check(&["a- 0=90", "b 0=80!?"], 1, &["b: "]);
}

#[test]
fn a_fit_node_takes_more_than_its_share_and_gives_it_back_when_others_are_fit() {
    check(&["a 0=90!? 1=90?", "b 0=90 1=90!"], 2, &["b: a", "b: a"]);
    check(&["a 0=90? 1=90?", "b 0=90! 1=90!"], 2, &["b: a", "b: a"]);
    check(&["a 0=90? 1=90", "b 0=90! 1=90!"], 2, &["b: a", "a: b"]);
}

fn profiles() -> impl Strategy<Value = BTreeMap<String, Profile>> {
    let copies = || prop::collection::btree_map(0..12_u32, 0..50_u64, 0..12);
    let profile = (prop::bool::weighted(0.2), copies(), copies());
    let profile = profile.prop_map(|(is_draining, copies, owned)| Profile {
        url: String::new(),
        kafka: None,
        is_draining,
        copies,
        owned,
        unfit: BTreeSet::new(),
    });
    prop::collection::btree_map("[a-f]", profile, 1..6)
}

/// Profiles of nodes of which some can't serve all partitions.
fn failing_profiles() -> impl Strategy<Value = BTreeMap<String, Profile>> {
    let unfit = prop::collection::vec(prop::collection::btree_set(0..12_u32, 0..12), 6);
    (profiles(), unfit).prop_map(|(mut members, unfit)| {
        for (profile, unfit) in members.values_mut().zip(unfit) {
            profile.unfit = unfit;
        }
        members
    })
}

/// Returns the nodes that are fit for a partition, of those that may own one.
fn fit(members: &BTreeMap<String, Profile>, partition: u32) -> BTreeSet<&str> {
    let is_fit = |name: &&str| !members[*name].unfit.contains(&partition);
    able(members).into_iter().filter(is_fit).collect()
}

fn policies() -> impl Strategy<Value = Policy> {
    let lag = prop_oneof![Just(u64::MAX), 0..50_u64];
    (0..10_u32, 0..4_usize, lag).prop_map(|(partitions, standbys, ready_lag)| Policy {
        partitions,
        standbys,
        ready_lag,
    })
}

/// Returns the names of the nodes that may own partitions.
fn able(members: &BTreeMap<String, Profile>) -> BTreeSet<&str> {
    select_nodes(members).iter().map(|node| node.name).collect()
}

fn owned_by(placements: &[Placement], name: &str) -> usize {
    placements.iter().filter(|place| place.owner == name).count()
}

/// Makes the members report what they were given, with copies that are equally far.
fn settle(members: &mut BTreeMap<String, Profile>, placements: &[Placement]) {
    for (name, profile) in members {
        profile.owned.clear();
        profile.copies.clear();
        for (partition, place) in (0..).zip(placements) {
            if place.owner == *name {
                profile.owned.insert(partition, 1);
            }
            if place.owner == *name || place.standbys.contains(name) {
                profile.copies.insert(partition, 100);
            }
        }
    }
}

fn count_moves(before: &[Placement], after: &[Placement]) -> usize {
    before.iter().zip(after).filter(|(before, after)| before.owner != after.owner).count()
}

fn plan(members: &BTreeMap<String, Profile>, policy: &Policy) -> Vec<Placement> {
    assign_partitions(members, policy)
}

proptest! {
    #[test]
    fn each_partition_has_an_owner_and_as_many_standbys_as_there_can_be(
        members in failing_profiles(), policy in policies(),
    ) {
        let placements = plan(&members, &policy);
        let able = able(&members);
        prop_assert_eq!(placements.len(), policy.partitions as usize);
        for (partition, place) in (0..).zip(&placements) {
            let order = |name: &String| {
                let profile = &members[name];
                (!profile.unfit.contains(&partition), profile.copies.get(&partition))
            };
            prop_assert!(place.standbys.iter().map(order).is_sorted_by(|a, b| a >= b));
            let mut names: BTreeSet<&str> = place.standbys.iter().map(String::as_str).collect();
            prop_assert_eq!(names.len(), place.standbys.len());
            prop_assert!(names.insert(&place.owner));
            prop_assert!(names.is_subset(&able));
            let wanted = policy.standbys.min(able.len() - 1);
            let extra = usize::from(place.next_owner.is_some());
            prop_assert!((wanted..=wanted + extra).contains(&place.standbys.len()));
            if let Some(next) = &place.next_owner {
                prop_assert!(place.standbys.contains(next));
            }
        }
        prop_assert_eq!(plan(&members, &policy), placements);
    }

    #[test]
    fn numbers_of_partitions_differ_by_at_most_one_and_as_few_as_possible_move(
        members in profiles(), policy in policies(),
    ) {
        let policy = Policy { ready_lag: u64::MAX, ..policy };
        let placements = plan(&members, &policy);
        let nodes = select_nodes(&members);
        let counts: Vec<_> = nodes.iter().map(|node| owned_by(&placements, node.name)).collect();
        prop_assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1);

        let current = find_owners(&members, &nodes, policy.partitions);
        let had = |index| current.iter().filter(|owner| **owner == Some(index)).count();
        let (base, extras) = (current.len() / nodes.len(), current.len() % nodes.len());
        let full = (0..nodes.len()).filter(|&index| had(index) > base).count();
        let most: usize = (0..nodes.len()).map(|index| had(index).min(base)).sum();
        let kept = current.iter().zip(&placements);
        let kept = kept.filter(|(owner, place)| owner.is_some_and(|o| nodes[o].name == place.owner));
        prop_assert_eq!(kept.count(), most + full.min(extras));
    }

    #[test]
    fn a_second_round_changes_no_owner(members in profiles(), policy in policies()) {
        let mut members = members;
        let mut before = plan(&members, &policy);
        // Owners move while copies catch up; then all stays.
        for _ in 0..2 {
            settle(&mut members, &before);
            before = plan(&members, &policy);
        }
        settle(&mut members, &before);
        prop_assert_eq!(count_moves(&before, &plan(&members, &policy)), 0);
    }

    #[test]
    fn an_owner_is_fit_if_any_node_is_and_stays_if_none_is(
        members in failing_profiles(), policy in policies(),
    ) {
        let nodes = select_nodes(&members);
        let current = find_owners(&members, &nodes, policy.partitions);
        for ((partition, place), owner) in (0..).zip(plan(&members, &policy)).zip(current) {
            let fit = fit(&members, partition);
            let owner = owner.map(|index| nodes[index].name);
            if fit.is_empty() {
                prop_assert!(owner.is_none_or(|owner| owner == place.owner));
                prop_assert!(owner.is_none() || place.next_owner.is_none());
                continue;
            }
            prop_assert!(fit.contains(place.owner.as_str()));
            prop_assert!(place.next_owner.as_deref().is_none_or(|next| fit.contains(next)));
            if owner.is_none() {
                // It waits for no copy that is far behind the best one.
                let copy = |name: &str| members[name].copies.get(&partition).copied();
                let furthest = fit.iter().map(|name| copy(name)).max().flatten().unwrap_or(0);
                let chosen = copy(&place.owner).unwrap_or(0);
                prop_assert!(chosen.saturating_add(policy.ready_lag) >= furthest);
            }
        }
    }

    #[test]
    fn nodes_that_fail_make_no_partition_move_for_ever(
        members in failing_profiles(), policy in policies(),
    ) {
        let mut members = members;
        let mut before = plan(&members, &policy);
        // Each round of moves makes the numbers more equal.
        for _ in 0..=policy.partitions + 2 {
            settle(&mut members, &before);
            before = plan(&members, &policy);
        }
        settle(&mut members, &before);
        prop_assert_eq!(count_moves(&before, &plan(&members, &policy)), 0);
    }

    #[test]
    fn a_node_that_can_serve_nothing_owns_nothing_and_nothing_else_moves(
        members in profiles(), policy in policies(),
    ) {
        let policy = Policy { ready_lag: u64::MAX, ..policy };
        let mut members = members;
        members.values_mut().for_each(|profile| profile.is_draining = false);
        members.insert("x".to_owned(), Profile::default());
        members.insert("y".to_owned(), Profile::default());
        let before = plan(&members, &policy);
        settle(&mut members, &before);
        members.get_mut("x").unwrap().unfit = (0..policy.partitions).collect();
        let after = plan(&members, &policy);
        prop_assert_eq!(owned_by(&after, "x"), 0);
        prop_assert_eq!(count_moves(&before, &after), owned_by(&before, "x"));
    }

    #[test]
    fn a_joining_node_takes_only_its_share(members in profiles(), policy in policies()) {
        let policy = Policy { ready_lag: u64::MAX, ..policy };
        let mut members = members;
        members.values_mut().for_each(|profile| profile.is_draining = false);
        let before = plan(&members, &policy);
        settle(&mut members, &before);
        members.insert("new".to_owned(), Profile::default());
        let after = plan(&members, &policy);
        prop_assert_eq!(count_moves(&before, &after), owned_by(&after, "new"));
        prop_assert_eq!(owned_by(&after, "new"), before.len() / members.len());
    }

    #[test]
    fn when_a_node_leaves_or_drains_only_its_partitions_move(
        members in profiles(), policy in policies(), drains: bool,
    ) {
        let mut members = members;
        members.values_mut().for_each(|profile| profile.is_draining = false);
        members.insert("x".to_owned(), Profile::default());
        members.insert("y".to_owned(), Profile::default());
        let policy = Policy { ready_lag: u64::MAX, ..policy };
        let before = plan(&members, &policy);
        settle(&mut members, &before);
        let gone = owned_by(&before, "x");
        if drains {
            members.get_mut("x").unwrap().is_draining = true;
        } else {
            members.remove("x");
        }
        let after = plan(&members, &policy);
        prop_assert_eq!(owned_by(&after, "x"), 0);
        prop_assert_eq!(count_moves(&before, &after), gone);
    }

    #[test]
    fn a_live_owner_loses_a_partition_only_to_a_copy_that_has_caught_up(
        members in failing_profiles(), policy in policies(),
    ) {
        let nodes = select_nodes(&members);
        let current = find_owners(&members, &nodes, policy.partitions);
        for ((partition, place), owner) in (0..).zip(plan(&members, &policy)).zip(current) {
            let Some(owner) = owner.map(|index| &nodes[index]) else { continue };
            let offset = members[&place.owner].copies.get(&partition).copied().unwrap_or(0);
            let owners = owner.copy(partition).unwrap_or(0);
            prop_assert!(
                place.owner == owner.name || offset.saturating_add(policy.ready_lag) >= owners
            );
        }
    }
}
