//! Changes of accounts, and their descriptions.

use leftfold_api::{Append, AppendError, Conflict, Expected, Failure, Invalid, NewEvent, Query};

use super::accounts::{Accounts, Action, Change, Grantee, MANAGERS, STREAM};
use super::area::Area;
use super::audit::{self, AuditRecord, Origin};
use super::caller::{Caller, Scope};
use super::denied::Denial;
use super::managed_change::DONE;
use super::password::{self, PasswordRecord};
use super::secret::Secret;
use super::state::{ADMIN, Access};

/// The most users; also the most groups, tokens and grants.
const MOST: usize = 10_000;
/// Bytes of a name of a user, a group or a token.
const NAME: usize = 128;
/// Attempts of a change that conflicts with other changes.
const ATTEMPTS: u32 = 16;

/// The description of a user.
#[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)]
pub struct UserInfo {
    /// Its name.
    pub user: String,
    /// Whether it has a password; without one it is used only by tokens.
    pub has_password: bool,
    /// Its groups.
    pub groups: Vec<String>,
}

/// The description of a group.
#[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)]
pub struct GroupInfo {
    /// Its name.
    pub group: String,
    /// Its users.
    pub members: Vec<String>,
}

/// The description of a token, without its secret.
#[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)]
pub struct TokenInfo {
    /// Its name.
    pub token: String,
    /// The user that it authenticates.
    pub user: String,
    /// The last characters of its secret.
    pub last: String,
    /// When it expires; null for never.
    #[schema(format = "date-time")]
    pub until: Option<String>,
    /// Whether it has expired.
    pub expired: bool,
}

/// The description of a grant.
#[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)]
pub struct GrantInfo {
    /// Its number.
    pub grant: u64,
    /// The user to whom it is granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub user: Option<String>,
    /// The group to which it is granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub group: Option<String>,
    /// The action that is granted.
    pub action: Action,
    /// The events that are covered: a query.
    pub scope: String,
}

fn invalid(code: &'static str, message: impl Into<String>) -> Invalid {
    Invalid::new(code, message)
}

fn check_name(what: &str, name: &str) -> Result<(), Invalid> {
    let is_plain = |c: char| !c.is_control() && c != ':';
    if (1..=NAME).contains(&name.len()) && name.chars().all(is_plain) && !name.starts_with('$') {
        return Ok(());
    }
    let message = format!(
        "{what} {:?} is not a name: a name has 1 to {NAME} bytes, no colon, no control character, \
         and does not begin with $",
        name.chars().take(40).collect::<String>()
    );
    Err(invalid("name_invalid", message))
}

fn check_count(what: &str, there: usize) -> Result<(), Invalid> {
    let message = || format!("{what}: {there} exist, which is the limit; remove some first");
    if there < MOST { Ok(()) } else { Err(invalid("too_many_accounts", message())) }
}

fn unknown(code: &'static str, what: &str, name: &str) -> Invalid {
    invalid(code, format!("there is no {what} {name}"))
}

impl Accounts {
    fn needs_user(&self, user: &str) -> Result<(), Invalid> {
        let known = self.users.contains_key(user);
        if known { Ok(()) } else { Err(unknown("user_unknown", "user", user)) }
    }

    fn needs_group(&self, group: &str) -> Result<(), Invalid> {
        let known = self.groups.contains_key(group);
        if known { Ok(()) } else { Err(unknown("group_unknown", "group", group)) }
    }

    /// Returns the changes that make a user a manager: the group of managers and its grants.
    fn manager(&self, user: &str) -> Vec<Change> {
        let (group, number) = (MANAGERS.to_owned(), self.next_grant());
        let to = Grantee::Group(group.clone());
        let grants = [Action::Read, Action::Append, Action::Manage].into_iter().zip(number..);
        let granted = grants.map(|(action, grant)| Change::Granted {
            grant,
            to: to.clone(),
            action,
            scope: "*".to_owned(),
        });
        let member = Change::MemberAdded { group: group.clone(), user: user.to_owned() };
        [Change::GroupAdded { group }, member].into_iter().chain(granted).collect()
    }

    /// Checks that a manager with a password is left after changes.
    fn check(&self, changes: &[Change]) -> Result<(), Invalid> {
        let mut after = self.clone();
        let not_understood = |wrong| invalid("grant_invalid", wrong);
        for change in changes {
            after.change(change.clone(), u64::MAX).map_err(not_understood)?;
        }
        after.settle();
        // Without users every caller is a manager.
        if after.has_manager() || (self.is_open() && after.is_open()) {
            return Ok(());
        }
        let message = "no user with a password would be left who may manage everything; grant \
                       another user manage on * first";
        Err(invalid("last_manager", message))
    }
}

impl Access {
    /// Makes the first user, [`ADMIN`], if there are no users: with this password, or with a random
    /// one that is returned.
    ///
    /// # Errors
    /// The password is too short or too long, or the store failed.
    pub async fn begin(&self, password: Option<Secret>) -> Result<Option<Secret>, AppendError> {
        if self.has_users() {
            return Ok(None);
        }
        let failed = |denied: Denial| Failure::Disk {
            what: "making the first user".to_owned(),
            message: denied.to_string(),
        };
        let (given, made) = match password {
            Some(given) => (given, None),
            None => {
                let made = Secret::random("").map_err(failed)?;
                (made.clone(), Some(made))
            }
        };
        password::check(&given)?;
        let record = self.0.passwords.hash(&given).await.map_err(failed)?;
        let user = Change::user_added(ADMIN, Some(record));
        self.change(("the server", &Origin::default()), |accounts| match accounts.is_open() {
            true => {
                let first = accounts.manager(ADMIN).into_iter();
                Ok(std::iter::once(user.clone()).chain(first).collect())
            }
            false => Ok(Vec::new()),
        })
        .await?;
        Ok(made)
    }

    /// Gives [`ADMIN`] this password and every right, and makes the user if it does not exist. For
    /// operators who have the store's directory.
    ///
    /// # Errors
    /// The password is too short or too long, or the store failed.
    pub async fn recover(&self, password: &Secret) -> Result<(), AppendError> {
        password::check(password)?;
        let failed = |denied: Denial| Failure::Disk {
            what: "hashing a password".to_owned(),
            message: denied.to_string(),
        };
        let record = Some(self.0.passwords.hash(password).await.map_err(failed)?);
        self.change(("an operator with the store's directory", &Origin::default()), |accounts| {
            let begins = match accounts.users.contains_key(ADMIN) {
                true => Change::password_changed(ADMIN, record.clone()),
                false => Change::user_added(ADMIN, record.clone()),
            };
            Ok(std::iter::once(begins).chain(accounts.manager(ADMIN)).collect())
        })
        .await
    }

    /// Changes accounts, unless another change comes between: then it tries again.
    async fn change(
        &self,
        (who, origin): (&str, &Origin),
        make: impl Fn(&Accounts) -> Result<Vec<Change>, Invalid>,
    ) -> Result<(), AppendError> {
        let _following = self.0.following.lock().await;
        for _ in 0..ATTEMPTS {
            self.apply_changes(None).await?;
            let accounts = self.0.accounts.load_full();
            let changes = make(&accounts)?;
            if changes.is_empty() {
                return Ok(());
            }
            accounts.check(&changes)?;
            if accounts.version.is_none() {
                audit::limit_age(&*self.0.store).await?;
            }
            let expected = accounts.version.map_or(Expected::NoStream, Expected::Exactly);
            let mut append = Append::new().expect(STREAM, expected);
            for change in &changes {
                let data = serde_json::to_vec(change).unwrap_or_default();
                append = append.event(STREAM, NewEvent::json(change.event_type(), data));
                let entry =
                    AuditRecord::managed(who, origin, change.event_type(), &change.about(), DONE);
                append = append.event(audit::STREAM, entry.event());
            }
            match self.0.store.append_system(append).await {
                Ok(appended) => return Ok(self.apply_changes(Some(appended.cursor)).await?),
                Err(AppendError::Conflict(Conflict::Version { .. })) => {}
                Err(other) => return Err(other),
            }
        }
        Err(Failure::Busy { attempts: ATTEMPTS }.into())
    }
}

/// Changes by a caller who may manage accounts. Every user may change its own password.
impl Caller {
    async fn change(
        &self,
        make: impl Fn(&Accounts) -> Result<Vec<Change>, Invalid>,
    ) -> Result<(), AccountError> {
        self.may_look_after(Scope::Accounts)?;
        Ok(self.access().change((&self.name(), self.origin()), make).await?)
    }

    fn accounts_to_show(&self) -> Result<std::sync::Arc<Accounts>, AccountError> {
        self.may_look_after(Scope::Accounts)?;
        Ok(self.access().accounts()?)
    }

    async fn hash(
        &self,
        password: Option<&Secret>,
    ) -> Result<Option<PasswordRecord>, AccountError> {
        self.is_known()?;
        let Some(password) = password else { return Ok(None) };
        password::check(password)?;
        Ok(Some(self.access().0.passwords.hash(password).await?))
    }

    /// Adds a user; the first may do everything.
    ///
    /// # Errors
    /// `name_invalid`, `password_invalid`, `user_exists`; the first needs a password.
    pub async fn add_user(
        &self,
        user: &str,
        password: Option<&Secret>,
    ) -> Result<(), AccountError> {
        self.may_look_after(Scope::Accounts)?;
        check_name("user", user)?;
        let password = self.hash(password).await?;
        self.change(|accounts| {
            if accounts.users.contains_key(user) {
                return Err(invalid("user_exists", format!("there is a user {user}")));
            }
            check_count("users", accounts.users.len())?;
            let added = Change::user_added(user, password.clone());
            let first = accounts.is_open().then(|| accounts.manager(user)).into_iter().flatten();
            Ok(std::iter::once(added).chain(first).collect())
        })
        .await
    }

    /// Changes the caller's own password, or that of any user. Connections that use the old password
    /// are closed.
    ///
    /// # Errors
    /// `password_invalid`, `user_unknown`.
    pub async fn change_password(&self, user: &str, password: &Secret) -> Result<(), AccountError> {
        if self.user() != Some(user) {
            self.may_look_after(Scope::Accounts)?;
        }
        let password = self.hash(Some(password)).await?;
        let make = |accounts: &Accounts| {
            accounts.needs_user(user)?;
            Ok(vec![Change::password_changed(user, password.clone())])
        };
        Ok(self.access().change((&self.name(), self.origin()), make).await?)
    }

    /// Removes a user, with its tokens, memberships and grants.
    ///
    /// # Errors
    /// `user_unknown`; `last_manager`.
    pub async fn remove_user(&self, user: &str) -> Result<(), AccountError> {
        self.change(|accounts| {
            accounts.needs_user(user)?;
            Ok(vec![Change::UserRemoved { user: user.to_owned() }])
        })
        .await
    }

    /// Returns the users, by name.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn users(&self) -> Result<Vec<UserInfo>, AccountError> {
        let accounts = self.accounts_to_show()?;
        let groups = |user: &String| {
            let of_user = accounts.groups.iter().filter(|(_, members)| members.contains(user));
            of_user.map(|(group, _)| group.clone()).collect()
        };
        let users = accounts.users.iter().map(|(user, known)| UserInfo {
            user: user.clone(),
            has_password: known.password.is_some(),
            groups: groups(user),
        });
        Ok(users.collect())
    }

    /// Adds a group.
    ///
    /// # Errors
    /// `name_invalid`, `group_exists`.
    pub async fn add_group(&self, group: &str) -> Result<(), AccountError> {
        check_name("group", group)?;
        self.change(|accounts| {
            if accounts.groups.contains_key(group) {
                return Err(invalid("group_exists", format!("there is a group {group}")));
            }
            check_count("groups", accounts.groups.len())?;
            Ok(vec![Change::GroupAdded { group: group.to_owned() }])
        })
        .await
    }

    /// Removes a group, with its grants.
    ///
    /// # Errors
    /// `group_unknown`; `last_manager`.
    pub async fn remove_group(&self, group: &str) -> Result<(), AccountError> {
        self.change(|accounts| {
            accounts.needs_group(group)?;
            Ok(vec![Change::GroupRemoved { group: group.to_owned() }])
        })
        .await
    }

    /// Adds a user to a group; nothing changes if it is a member.
    ///
    /// # Errors
    /// `group_unknown`, `user_unknown`.
    pub async fn add_member(&self, group: &str, user: &str) -> Result<(), AccountError> {
        self.change(|accounts| {
            accounts.needs_group(group)?;
            accounts.needs_user(user)?;
            let (group, user) = (group.to_owned(), user.to_owned());
            Ok(vec![Change::MemberAdded { group, user }])
        })
        .await
    }

    /// Removes a user from a group.
    ///
    /// # Errors
    /// `group_unknown`, `user_unknown`; `last_manager`.
    pub async fn remove_member(&self, group: &str, user: &str) -> Result<(), AccountError> {
        self.change(|accounts| {
            accounts.needs_group(group)?;
            accounts.needs_user(user)?;
            let (group, user) = (group.to_owned(), user.to_owned());
            Ok(vec![Change::MemberRemoved { group, user }])
        })
        .await
    }

    /// Returns the groups, by name.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn groups(&self) -> Result<Vec<GroupInfo>, AccountError> {
        let accounts = self.accounts_to_show()?;
        let groups = accounts.groups.iter().map(|(group, members)| GroupInfo {
            group: group.clone(),
            members: members.iter().cloned().collect(),
        });
        Ok(groups.collect())
    }

    /// Makes a token for a user, which expires at a time in microseconds since 1970 or never. Its
    /// secret is returned this once.
    ///
    /// # Errors
    /// `name_invalid`, `token_exists`, `user_unknown`; `time_invalid` for a time that is past.
    pub async fn create_token(
        &self,
        token: &str,
        user: &str,
        until: Option<i64>,
    ) -> Result<Secret, AccountError> {
        check_name("token", token)?;
        if until.is_some_and(|until| until <= self.access().now()) {
            return Err(invalid("time_invalid", "a token can't expire in the past").into());
        }
        let secret = Secret::token()?;
        self.change(|accounts| {
            accounts.needs_user(user)?;
            if accounts.tokens.contains_key(token) {
                let message =
                    format!("there is a token {token}; revoke it, or choose another name");
                return Err(invalid("token_exists", message));
            }
            check_count("tokens", accounts.tokens.len())?;
            Ok(vec![Change::TokenCreated {
                token: token.to_owned(),
                user: user.to_owned(),
                digest: secret.digest(),
                last: secret.last(),
                until,
            }])
        })
        .await?;
        Ok(secret)
    }

    /// Revokes a token. Connections that use it are closed.
    ///
    /// # Errors
    /// `token_unknown`.
    pub async fn revoke_token(&self, token: &str) -> Result<(), AccountError> {
        self.change(|accounts| {
            if !accounts.tokens.contains_key(token) {
                return Err(unknown("token_unknown", "token", token));
            }
            Ok(vec![Change::TokenRevoked { token: token.to_owned() }])
        })
        .await
    }

    /// Returns the tokens, by name.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn tokens(&self) -> Result<Vec<TokenInfo>, AccountError> {
        let (accounts, now) = (self.accounts_to_show()?, self.access().now());
        let tokens = accounts.tokens.iter().map(|(token, known)| TokenInfo {
            token: token.clone(),
            user: known.user.clone(),
            last: known.last.clone(),
            until: known.until.map(|until| leftfold_api::Timestamp(until).to_string()),
            expired: known.until.is_some_and(|until| until <= now),
        });
        Ok(tokens.collect())
    }

    /// Grants an action; returns the grant's number. What is granted already is not granted twice.
    ///
    /// # Errors
    /// `user_unknown`, `group_unknown`, `grant_invalid` for a scope that is not allowed.
    pub async fn grant(
        &self,
        to: Grantee,
        action: Action,
        scope: &Query,
    ) -> Result<u64, AccountError> {
        Area::of(scope)?;
        let scope = scope.to_string();
        let number = std::sync::atomic::AtomicU64::new(0);
        self.change(|accounts| {
            match &to {
                Grantee::User(user) => accounts.needs_user(user)?,
                Grantee::Group(group) => accounts.needs_group(group)?,
            }
            let same = accounts.grants.iter().find(|(_, known)| {
                (&known.to, known.action, &known.scope) == (&to, action, &scope)
            });
            let grant = same.map_or_else(|| accounts.next_grant(), |(number, _)| *number);
            number.store(grant, std::sync::atomic::Ordering::Relaxed);
            if same.is_some() {
                return Ok(Vec::new());
            }
            check_count("grants", accounts.grants.len())?;
            Ok(vec![Change::Granted { grant, to: to.clone(), action, scope: scope.clone() }])
        })
        .await?;
        Ok(number.into_inner())
    }

    /// Removes a grant.
    ///
    /// # Errors
    /// `grant_unknown`; `last_manager`.
    pub async fn remove_grant(&self, grant: u64) -> Result<(), AccountError> {
        self.change(|accounts| {
            if !accounts.grants.contains_key(&grant) {
                return Err(unknown("grant_unknown", "grant", &grant.to_string()));
            }
            Ok(vec![Change::GrantRemoved { grant }])
        })
        .await
    }

    /// Returns the grants, by number.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn grants(&self) -> Result<Vec<GrantInfo>, AccountError> {
        let accounts = self.accounts_to_show()?;
        let grants = accounts.grants.iter().map(|(grant, known)| {
            let (user, group) = match &known.to {
                Grantee::User(user) => (Some(user.clone()), None),
                Grantee::Group(group) => (None, Some(group.clone())),
            };
            let (action, scope) = (known.action, known.scope.clone());
            GrantInfo { grant: *grant, user, group, action, scope }
        });
        Ok(grants.collect())
    }
}

/// Why a change was not made.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AccountError {
    /// The caller may not make it.
    #[error(transparent)]
    Denial(#[from] Denial),
    /// The store refused it, or it is not possible.
    #[error(transparent)]
    Append(#[from] AppendError),
}

impl From<Invalid> for AccountError {
    fn from(invalid: Invalid) -> Self {
        AccountError::Append(invalid.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_accounts_as_the_limit_exist_and_no_more() {
        assert!(check_count("users", MOST - 1).is_ok());
        assert_eq!(check_count("users", MOST).unwrap_err().code, "too_many_accounts");
    }
}
