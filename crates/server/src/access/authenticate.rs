use std::sync::Arc;

use super::accounts::Accounts;
use super::audit::Origin;
use super::caller::{Caller, Identity};
use super::credentials::Credentials;
use super::denied::Denial;
use super::secret::Secret;
use super::state::Access;

impl Access {
    /// Authenticates the caller of a request. Hashing a password is slow on purpose; a password that
    /// was right a short time ago is not hashed again.
    ///
    /// # Errors
    /// `unauthenticated`; `rate_limited` while too many passwords are being checked.
    pub async fn authenticate(
        &self,
        credentials: Option<&Credentials>,
        origin: Origin,
    ) -> Result<Caller, Denial> {
        let who = self.who(credentials, &origin.peer).await;
        let who = who.inspect_err(|denied| {
            let name = match credentials {
                Some(Credentials::Basic { user, .. }) => format!("user {user}"),
                Some(Credentials::Bearer(_)) => "a token".to_owned(),
                None => "no credentials".to_owned(),
            };
            self.0.audit.denied(&name, &origin, "authenticate", "", denied);
        })?;
        Ok(Caller::new(self.clone(), who, origin))
    }

    async fn who(&self, credentials: Option<&Credentials>, peer: &str) -> Result<Identity, Denial> {
        let accounts = self.accounts()?;
        match credentials {
            None if accounts.is_open() => Ok(Identity::Local),
            None => Err(Denial::Unauthenticated(
                "this server has users: send an authorization header".to_owned(),
            )),
            Some(_) if accounts.is_open() => Err(Denial::Unauthenticated(
                "this server has no users: send no authorization header".to_owned(),
            )),
            Some(Credentials::Basic { user, password }) => {
                self.user(&accounts, user, password, peer).await
            }
            Some(Credentials::Bearer(token)) => self.token(&accounts, token),
        }
    }

    async fn user(
        &self,
        accounts: &Accounts,
        name: &str,
        password: &Secret,
        peer: &str,
    ) -> Result<Identity, Denial> {
        let known = accounts.users.get(name);
        let since = known.map_or(0, |user| user.since);
        let hash = known.and_then(|user| user.password.clone());
        if self.0.passwords.verify((name, since), hash, password, peer).await? {
            return Ok(Identity::User { user: name.into(), since });
        }
        // The same for an unknown user and for a wrong password.
        Err(Denial::Unauthenticated("the user or the password is wrong".to_owned()))
    }

    fn token(&self, accounts: &Accounts, token: &Secret) -> Result<Identity, Denial> {
        let refused =
            || Denial::Unauthenticated("the token is unknown, revoked or expired".to_owned());
        let (name, known) = accounts.token_of(&token.digest()).ok_or_else(refused)?;
        if known.until.is_some_and(|until| until <= self.now()) {
            return Err(refused());
        }
        let (token, user) = (Arc::from(name), Arc::from(known.user.as_str()));
        Ok(Identity::Token { token, user, since: known.since })
    }
}
