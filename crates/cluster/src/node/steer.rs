//! Does with a partition what the membership says, and reports how far the copy is.

use super::tasks::Steered;
use crate::broker::Broker;
use crate::group::{Membership, Routes, Standing};
use crate::partition::{Role, Status, Wish};
use crate::store::Route;

/// How many positions a copy may be behind and count as caught up: the claim reads the rest.
const NEAR: u64 = 10_000;

/// Follows the membership and the partition. Never returns while both go on.
pub(super) async fn steer<B: Broker>(steered: &Steered<B>, membership: &Membership) {
    let Steered { number, partition, route } = steered;
    let number = *number;
    let (mut routes, mut status) = (membership.watch(), partition.status());
    let name = partition.node().to_owned();
    let (mut asked, mut was_unfit) = (None, false);
    loop {
        let now = routes.borrow_and_update().clone();
        let copy = status.borrow_and_update().clone();
        partition.wish(wish(&now, number, &name));
        let next = owner_of(&now, number);
        route.send_if_modified(|before| {
            let is_new = *before != next;
            *before = next;
            is_new
        });
        membership.update(|profile| {
            profile.copies.insert(number, copy.applied);
            if copy.role == Role::Owner {
                profile.owned.insert(number, copy.term);
            }
            match copy.is_unfit {
                true => profile.unfit.insert(number),
                false => profile.unfit.remove(&number),
            };
        });
        if std::mem::replace(&mut was_unfit, copy.is_unfit) != copy.is_unfit {
            note_fitness(number, &copy);
            membership.rejoin();
        }
        // Once for each table: the group has an answer to what was reported.
        let table = now.table.as_ref().map(|table| table.generation());
        if asked != table && is_next(&now, number, &name, &copy) {
            asked = table;
            membership.rejoin();
        }
        tokio::select! {
            changed = routes.changed() => if changed.is_err() { return },
            changed = status.changed() => if changed.is_err() { return },
        }
    }
}

/// Returns what the node is to do. It goes on as the owner while the coordinator does not answer: whether another
/// node has claimed, the log tells.
fn wish(routes: &Routes, number: u32, name: &str) -> Wish {
    let is_member = !matches!(routes.standing, Standing::Replaced | Standing::Left);
    let owner = routes.table.as_ref().and_then(|table| table.owner(number));
    match is_member && owner.is_some_and(|node| node.name == name) {
        true => Wish::Own,
        false => Wish::Follow,
    }
}

fn note_fitness(number: u32, copy: &Status) {
    match copy.is_unfit {
        true => {
            let why = copy.failure.as_deref().unwrap_or_default();
            tracing::warn!(partition = number, "another node should own the partition: {why}");
        }
        false => tracing::info!(partition = number, "the copy works: the node can own it again"),
    }
}

fn owner_of(routes: &Routes, number: u32) -> Route {
    let owner = routes.table.as_ref().and_then(|table| table.owner(number));
    let route =
        |node: &crate::group::Node| Route { owner: Some(node.name.clone()), url: node.url.clone() };
    owner.map(route).unwrap_or_default()
}

/// Whether the node is to get the partition when its copy has caught up, and it has.
fn is_next(routes: &Routes, number: u32, name: &str, copy: &Status) -> bool {
    let next = routes.table.as_ref().and_then(|table| table.next_owner(number));
    let is_following = copy.role == Role::Standby && copy.failure.is_none() && !copy.is_unfit;
    is_following && copy.lag() <= NEAR && next.is_some_and(|node| node.name == name)
}
