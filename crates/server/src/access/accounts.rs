//! Users, groups, tokens and grants: a fold over the events of one system stream.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use leftfold_api::{Cursor, Query, Recorded};
use serde::{Deserialize, Serialize};

use super::area::Area;
use super::password::{Hash, PasswordRecord};
use super::scram::{SaltSecret, ScramKeys};

/// The stream.
pub(super) const STREAM: &str = leftfold_api::names::ACCESS;
/// The group whose members may do everything.
pub(super) const MANAGERS: &str = "managers";

/// The action of a grant.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Read and subscribe.
    Read,
    /// Append, and move checkpoints.
    Append,
    /// Set retention, delete; on everything also users, indexes, rules, scavenges and backups.
    Manage,
    /// See the metrics, and the size and state of the store; of everything only.
    Observe,
}

/// The user or group of a grant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grantee {
    /// A user.
    User(String),
    /// A group's members.
    Group(String),
}

/// A change of accounts. It is also the JSON of the events, so its names never change.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub(crate) enum Change {
    UserAdded {
        user: String,
        password: Option<Hash>,
        /// Of a password that was set by a release without SCRAM there are none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scram: Option<ScramKeys>,
    },
    PasswordChanged {
        user: String,
        password: Option<Hash>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scram: Option<ScramKeys>,
    },
    UserRemoved {
        user: String,
    },
    GroupAdded {
        group: String,
    },
    GroupRemoved {
        group: String,
    },
    MemberAdded {
        group: String,
        user: String,
    },
    MemberRemoved {
        group: String,
        user: String,
    },
    TokenCreated {
        token: String,
        user: String,
        digest: [u8; 32],
        last: String,
        until: Option<i64>,
    },
    TokenRevoked {
        token: String,
    },
    Granted {
        grant: u64,
        to: Grantee,
        action: Action,
        scope: String,
    },
    GrantRemoved {
        grant: u64,
    },
}

impl Change {
    pub(super) fn user_added(user: &str, password: Option<PasswordRecord>) -> Self {
        let (password, scram) = PasswordRecord::into_parts(password);
        Change::UserAdded { user: user.to_owned(), password, scram }
    }

    pub(super) fn password_changed(user: &str, password: Option<PasswordRecord>) -> Self {
        let (password, scram) = PasswordRecord::into_parts(password);
        Change::PasswordChanged { user: user.to_owned(), password, scram }
    }

    /// Returns the type of its event.
    pub(super) fn event_type(&self) -> &'static str {
        match self {
            Change::UserAdded { .. } => "$UserAdded",
            Change::PasswordChanged { .. } => "$PasswordChanged",
            Change::UserRemoved { .. } => "$UserRemoved",
            Change::GroupAdded { .. } => "$GroupAdded",
            Change::GroupRemoved { .. } => "$GroupRemoved",
            Change::MemberAdded { .. } => "$MemberAdded",
            Change::MemberRemoved { .. } => "$MemberRemoved",
            Change::TokenCreated { .. } => "$TokenCreated",
            Change::TokenRevoked { .. } => "$TokenRevoked",
            Change::Granted { .. } => "$Granted",
            Change::GrantRemoved { .. } => "$GrantRemoved",
        }
    }

    /// Describes it for the audit, without secrets.
    pub(super) fn about(&self) -> String {
        match self {
            Change::UserAdded { user, .. }
            | Change::PasswordChanged { user, .. }
            | Change::UserRemoved { user } => format!("user {user}"),
            Change::GroupAdded { group } | Change::GroupRemoved { group } => {
                format!("group {group}")
            }
            Change::MemberAdded { group, user } | Change::MemberRemoved { group, user } => {
                format!("user {user} in group {group}")
            }
            Change::TokenCreated { token, .. } | Change::TokenRevoked { token } => {
                format!("token {token}")
            }
            Change::Granted { grant, to, action, scope } => {
                format!("grant {grant}: {action:?} of {scope} to {to:?}")
            }
            Change::GrantRemoved { grant } => format!("grant {grant}"),
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) password: Option<Arc<Hash>>,
    pub(crate) scram: Option<Arc<ScramKeys>>,
    /// Changes with the password, so that a verified old password does not count for the new one.
    pub(crate) since: u64,
}

/// A service's token, without its secret.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) user: String,
    pub(crate) digest: [u8; 32],
    pub(crate) last: String,
    /// When it expires, in microseconds since 1970.
    pub(crate) until: Option<i64>,
    pub(crate) since: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct Grant {
    pub(crate) to: Grantee,
    pub(crate) action: Action,
    pub(crate) scope: String,
    pub(crate) area: Area,
}

/// What a user may do.
#[derive(Debug, Clone, Default)]
pub(crate) struct Permissions {
    pub(crate) read: Area,
    pub(crate) append: Area,
    pub(crate) manage: Area,
    pub(crate) observe: Area,
}

/// The accounts up to one event.
#[derive(Debug, Clone, Default)]
pub(crate) struct Accounts {
    /// The version of the last event; `None` before the first.
    pub(crate) version: Option<u64>,
    pub(crate) cursor: Cursor,
    pub(crate) users: BTreeMap<String, User>,
    pub(crate) groups: BTreeMap<String, BTreeSet<String>>,
    pub(crate) tokens: BTreeMap<String, Token>,
    pub(crate) grants: BTreeMap<u64, Grant>,
    pub(crate) secret: SaltSecret,
    by_digest: HashMap<[u8; 32], String>,
    allowed: HashMap<String, Arc<Permissions>>,
}

impl Accounts {
    /// Returns whether there are no users, so that every caller may do everything.
    pub(crate) fn is_open(&self) -> bool {
        self.users.is_empty()
    }

    pub(crate) fn token_of(&self, digest: &[u8; 32]) -> Option<(&str, &Token)> {
        let name = self.by_digest.get(digest)?;
        self.tokens.get(name).map(|token| (name.as_str(), token))
    }

    /// Returns what a user may do.
    pub(crate) fn allowed(&self, user: &str) -> Arc<Permissions> {
        self.allowed.get(user).cloned().unwrap_or_default()
    }

    /// Returns whether a user with a password may manage everything.
    pub(crate) fn has_manager(&self) -> bool {
        let manages = |(name, user): (&String, &User)| {
            user.password.is_some() && self.allowed(name).manage.is_all()
        };
        self.users.iter().any(manages)
    }

    /// Returns the number of the next grant.
    pub(crate) fn next_grant(&self) -> u64 {
        self.version.map_or(0, |version| version + 1)
    }

    /// Applies an event. An error tells why it can't be understood.
    pub(crate) fn apply(&mut self, event: &Recorded) -> Result<(), String> {
        let change = serde_json::from_slice(&event.data()).map_err(|error| error.to_string())?;
        self.change(change, event.position())?;
        if self.version.is_none() {
            self.secret = SaltSecret::of_first_event(&event.data());
        }
        self.version = Some(event.version());
        Ok(())
    }

    /// Applies a change. The permissions are out of date until [`Accounts::settle`].
    pub(crate) fn change(&mut self, change: Change, position: u64) -> Result<(), String> {
        match change {
            Change::UserAdded { user, password, scram }
            | Change::PasswordChanged { user, password, scram } => {
                let (password, scram) = (password.map(Arc::new), scram.map(Arc::new));
                self.users.insert(user, User { password, scram, since: position });
            }
            Change::UserRemoved { user } => self.remove_user(&user),
            Change::GroupAdded { group } => _ = self.groups.entry(group).or_default(),
            Change::GroupRemoved { group } => {
                self.groups.remove(&group);
                self.grants.retain(|_, grant| grant.to != Grantee::Group(group.clone()));
            }
            Change::MemberAdded { group, user } => {
                _ = self.groups.entry(group).or_default().insert(user);
            }
            Change::MemberRemoved { group, user } => {
                self.groups.entry(group).and_modify(|members| _ = members.remove(&user));
            }
            Change::TokenCreated { token, user, digest, last, until } => {
                self.by_digest.insert(digest, token.clone());
                self.tokens.insert(token, Token { user, digest, last, until, since: position });
            }
            Change::TokenRevoked { token } => self.remove_token(&token),
            Change::Granted { grant, to, action, scope } => {
                let query: Query = scope.parse().map_err(|error| format!("{error}"))?;
                let area = Area::of(&query).map_err(|error| error.to_string())?;
                self.grants.insert(grant, Grant { to, action, scope, area });
            }
            Change::GrantRemoved { grant } => _ = self.grants.remove(&grant),
        }
        Ok(())
    }

    fn remove_token(&mut self, name: &str) {
        if let Some(token) = self.tokens.remove(name) {
            self.by_digest.remove(&token.digest);
        }
    }

    /// Removes a user with its tokens, memberships and grants: a later user of the name has none.
    fn remove_user(&mut self, user: &str) {
        self.users.remove(user);
        self.groups.values_mut().for_each(|members| _ = members.remove(user));
        self.grants.retain(|_, grant| grant.to != Grantee::User(user.to_owned()));
        let of_user = |(name, token): (&String, &Token)| (token.user == user).then(|| name.clone());
        let tokens: Vec<_> = self.tokens.iter().filter_map(of_user).collect();
        tokens.iter().for_each(|token| self.remove_token(token));
    }

    /// Computes what each user may do.
    pub(crate) fn settle(&mut self) {
        let mut allowed: HashMap<&str, Permissions> = HashMap::new();
        for grant in self.grants.values() {
            let users: Vec<&str> = match &grant.to {
                Grantee::User(user) => vec![user],
                Grantee::Group(group) => {
                    let members = self.groups.get(group).into_iter().flatten();
                    members.map(String::as_str).collect()
                }
            };
            for user in users {
                let of_user = allowed.entry(user).or_default();
                let area = match grant.action {
                    Action::Read => &mut of_user.read,
                    Action::Append => &mut of_user.append,
                    Action::Manage => &mut of_user.manage,
                    Action::Observe => &mut of_user.observe,
                };
                area.extend(&grant.area);
            }
        }
        let owned = |(user, allowed): (&str, Permissions)| (user.to_owned(), Arc::new(allowed));
        self.allowed = allowed.into_iter().map(owned).collect();
    }
}
