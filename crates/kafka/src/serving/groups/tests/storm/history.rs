//! What the clients saw, and whether it fits together.
//!
//! A group that has lost all members begins again at generation 1. Member ids are never used twice, so the
//! ids that were seen together, directly or by way of others, are one life of the group.

use super::*;

/// An answer to a join.
struct Membership {
    generation: i32,
    member: StrBytes,
    leader: StrBytes,
    protocol: StrBytes,
}

/// An answer to a sync.
struct Receipt {
    generation: i32,
    member: StrBytes,
    share: String,
}

#[derive(Default)]
struct Records {
    memberships: Vec<Membership>,
    receipts: Vec<Receipt>,
    offers: BTreeSet<String>,
    newest: BTreeMap<StrBytes, i32>,
    stamps: u64,
}

#[derive(Default)]
pub(super) struct History(Mutex<Records>);

impl History {
    pub(super) fn join(&self, member: &Consumer) {
        let joined = &member.joined;
        assert_eq!(joined.member_id, member.id);
        // The leader knows all members, and is one of them; the others know none.
        let is_listed = joined.members.iter().any(|one| one.member_id == member.id);
        assert_eq!(
            (is_listed, !joined.members.is_empty()),
            (member.is_leader(), member.is_leader())
        );
        self.0.lock().memberships.push(Membership {
            generation: joined.generation_id,
            member: member.id.clone(),
            leader: joined.leader.clone(),
            protocol: joined.protocol_name.clone().unwrap(),
        });
    }

    /// Returns a share for each member. No two assignments have a share in common.
    pub(super) fn offer(&self, leader: &Consumer) -> Vec<(StrBytes, String)> {
        let mut records = self.0.lock();
        records.stamps += 1;
        let stamp = records.stamps;
        let share = |member: &StrBytes| format!("{stamp}/{}/{member}", leader.generation);
        let members = leader.joined.members.iter().map(|one| &one.member_id);
        let shares: Vec<_> = members.map(|member| (member.clone(), share(member))).collect();
        records.offers.extend(shares.iter().map(|(_, share)| share.clone()));
        shares
    }

    pub(super) fn receive(&self, member: &Consumer, share: &[u8]) {
        let mut records = self.0.lock();
        let newest = records.newest.entry(member.id.clone()).or_default();
        assert!(member.generation >= *newest, "{} is older than {newest}", member.generation);
        *newest = member.generation;
        let share = String::from_utf8(share.to_vec()).unwrap();
        let (generation, member) = (member.generation, member.id.clone());
        records.receipts.push(Receipt { generation, member, share });
    }

    /// Checks that each generation has one leader, one protocol and one assignment, and that each member got
    /// its share. Returns the number of assignments.
    pub(super) fn check(&self) -> usize {
        let records = self.0.lock();
        let lives = Lives::find(&records.memberships);
        let mut agreed = BTreeMap::new();
        for one in &records.memberships {
            let generation = (lives.of(&one.member), one.generation);
            let said = (name(&one.leader), &one.protocol);
            assert_eq!(*agreed.entry(generation).or_insert(said), said, "{generation:?}");
        }
        let mut stamps = BTreeMap::new();
        for one in &records.receipts {
            assert!(records.offers.contains(&one.share), "{:?} was never offered", one.share);
            let mut parts = one.share.splitn(3, '/');
            let stamp = parts.next().unwrap();
            assert_eq!(parts.next().unwrap(), one.generation.to_string());
            assert_eq!(name(parts.next().unwrap()), name(&one.member));
            let generation = (lives.of(&one.member), one.generation);
            assert_eq!(*stamps.entry(generation).or_insert(stamp), stamp, "{generation:?}");
        }
        // The survivors of a storm settled, so there is one assignment at least; visitors may miss each of
        // theirs.
        assert!(agreed.len() >= stamps.len() && !agreed.is_empty());
        stamps.len()
    }
}

/// Returns the instance of a static member, whose ids change within a generation; the id of another one.
fn name(id: &str) -> &str {
    if id.starts_with("static") { id.split('-').next().unwrap() } else { id }
}

/// The lives of a group: each member id belongs to one.
struct Lives<'a>(BTreeMap<&'a StrBytes, &'a StrBytes>);

impl<'a> Lives<'a> {
    fn find(memberships: &'a [Membership]) -> Self {
        let mut lives = Lives(BTreeMap::new());
        for one in memberships {
            let (member, leader) = (lives.of(&one.member), lives.of(&one.leader));
            if member != leader {
                lives.0.insert(member, leader);
            }
        }
        lives
    }

    fn of(&self, mut id: &'a StrBytes) -> &'a StrBytes {
        while let Some(next) = self.0.get(id) {
            id = next;
        }
        id
    }
}
