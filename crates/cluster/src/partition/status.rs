//! What a partition is doing.

use super::copy::Copy;
use crate::record::Claimant;

/// What a node is to a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    /// Its copy is being opened, or compared with the log.
    #[default]
    Opening,
    /// Its copy follows the log.
    Standby,
    /// It is about to own the partition.
    Claiming,
    /// It owns the partition and admits appends.
    Owner,
}

impl Role {
    /// Returns the name.
    pub fn name(self) -> &'static str {
        match self {
            Role::Opening => "opening",
            Role::Standby => "standby",
            Role::Claiming => "claiming",
            Role::Owner => "owner",
        }
    }
}

/// What a partition is doing on this node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// What the node is to it.
    pub role: Role,
    /// The term that the copy has come to; 0 before the first claim.
    pub term: u64,
    /// Who owns that term, as the claim says.
    pub owner: Claimant,
    /// The position up to which the copy has applied the log.
    pub applied: u64,
    /// The last position of the log, as it was last seen.
    pub end: u64,
    /// The node from which the copy comes at the moment, if it does.
    pub restoring_from: Option<String>,
    /// What fails at the moment, if anything does.
    pub failure: Option<String>,
    /// The node's own copy has failed for so long that another node should own the partition. What Kafka does not
    /// answer never counts.
    pub is_unfit: bool,
}

impl Status {
    /// Returns how many positions the copy is behind.
    pub fn lag(&self) -> u64 {
        self.end.saturating_sub(self.applied)
    }

    /// Whether the copy is open, and nothing fails.
    pub(super) fn works(&self) -> bool {
        self.role != Role::Opening && self.failure.is_none()
    }

    /// Notes how far the copy has come; returns whether anything has changed.
    pub(super) fn advance(&mut self, role: Role, copy: &Copy) -> bool {
        let now = Status {
            role,
            term: copy.term(),
            owner: copy.owner(),
            applied: copy.applied(),
            end: copy.end(),
            restoring_from: None,
            failure: None,
            is_unfit: self.is_unfit,
        };
        std::mem::replace(self, now.clone()) != now
    }

    /// Notes that the copy is not used any further.
    pub(super) fn end(&mut self, why: String) {
        self.role = Role::Opening;
        self.failure = Some(why);
    }
}
