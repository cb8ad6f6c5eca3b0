//! SCRAM, by which clients of Kafka prove a password without sending it.
//!
//! Its keys are stored beside the argon2id hash of a password, because a proof can't be checked with that.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use leftfold_kafka::security::{
    ScramCredentials, ScramError, ScramHash, ScramRequest, ScramServer,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::accounts::User;
use super::audit::Origin;
use super::caller::{Caller, Identity};
use super::denied::Denial;
use super::secret::Secret;
use super::state::Access;

/// The iterations of PBKDF2. Kafka's default is 4,096. Clients accept about a million, and compute this many
/// in a fraction of a second for each connection. PBKDF2 takes no memory, so a guess at a stolen store is
/// cheaper with it than with argon2id: see `docs/security.md`.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(100_000).unwrap();
/// The action in the audit.
const AUTHENTICATE: &str = "authenticate";

/// The keys of a password, by the name of the mechanism. They are part of events, so the names never change.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct ScramKeys(BTreeMap<String, MechanismKeys>);

/// The keys of a password for one mechanism. Bytes are in base64.
#[derive(Clone, Serialize, Deserialize)]
struct MechanismKeys {
    salt: String,
    iterations: u32,
    stored_key: String,
    server_key: String,
}

impl fmt::Debug for ScramKeys {
    /// Omits the keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl ScramKeys {
    /// Derives the keys of a new password. Slow on purpose.
    pub(super) fn of(password: &Secret) -> Result<Self, Denial> {
        let keys = ScramHash::ALL.map(|hash| {
            let derived = ScramCredentials::derive(hash, password.reveal(), ITERATIONS);
            let derived = derived.map_err(denial)?;
            let keys = MechanismKeys {
                salt: STANDARD.encode(&derived.salt),
                iterations: derived.iterations.get(),
                stored_key: STANDARD.encode(&derived.stored_key),
                server_key: STANDARD.encode(&derived.server_key),
            };
            Ok((hash.mechanism().name().to_owned(), keys))
        });
        keys.into_iter().collect::<Result<_, _>>().map(ScramKeys)
    }

    /// Returns the keys of a mechanism, or `None` if there are none or they can't be read.
    fn credentials(&self, hash: ScramHash) -> Option<ScramCredentials> {
        let keys = self.0.get(hash.mechanism().name())?;
        Some(ScramCredentials {
            salt: STANDARD.decode(&keys.salt).ok()?,
            iterations: NonZeroU32::new(keys.iterations)?,
            stored_key: STANDARD.decode(&keys.stored_key).ok()?,
            server_key: STANDARD.decode(&keys.server_key).ok()?,
        })
    }
}

/// A secret of the store, from which the salts of unknown users follow.
///
/// It is the hash of the first event of accounts, which holds the salt and the hash of the first user's
/// password. So it is the same after a restart, in each node of a cluster and in a restored backup. If it
/// changed, the salts of unknown users would change and those of others would not.
#[derive(Clone, Copy, Default)]
pub(crate) struct SaltSecret([u8; 32]);

impl fmt::Debug for SaltSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SaltSecret")
    }
}

impl SaltSecret {
    pub(super) fn of_first_event(data: &[u8]) -> Self {
        let hash = Sha256::new_with_prefix("salts of unknown users");
        SaltSecret(hash.chain_update(data).finalize().into())
    }
}

/// An authentication by SCRAM of which the client has sent its first message.
pub(crate) struct ScramLogin {
    server: ScramServer,
    user: Arc<str>,
    since: u64,
    /// Why no proof is right, for the audit.
    why_not: Option<&'static str>,
}

impl fmt::Debug for ScramLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramLogin").field("user", &self.user).finish_non_exhaustive()
    }
}

impl ScramLogin {
    /// Returns the server's first message.
    pub(crate) fn first(&self) -> &str {
        self.server.first()
    }
}

/// What the client learns of a wrong proof: the same for an unknown user and a wrong password.
fn refused() -> Denial {
    Denial::Unauthenticated("the user or the password is wrong".to_owned())
}

fn denial(error: ScramError) -> Denial {
    match error {
        ScramError::Random => Denial::Busy("the system has no random numbers"),
        ScramError::Proof => refused(),
        other => Denial::Unauthenticated(format!("SCRAM: {other}")),
    }
}

/// Returns why no proof of this user is right, or `None` if it has keys.
fn why_not(user: Option<&User>) -> Option<&'static str> {
    match user {
        None => Some("there is no such user"),
        Some(user) if user.password.is_none() => Some("the user has no password"),
        Some(user) if user.scram.is_none() => Some(
            "the user's password was set by a release without SCRAM: set it again, or use PLAIN",
        ),
        Some(_) => Some("the user has no keys of this mechanism: set its password again"),
    }
}

impl Access {
    /// Begins to authenticate a user by SCRAM, from the client's first message. For an unknown user, and for
    /// one without keys, the exchange goes on and fails at its end.
    ///
    /// # Errors
    /// `unauthenticated` for a message that is malformed; `rate_limited`.
    pub(crate) fn begin_scram(
        &self,
        hash: ScramHash,
        message: &[u8],
        origin: &Origin,
    ) -> Result<ScramLogin, Denial> {
        let begun = self.challenge(hash, message);
        begun.inspect_err(|denied| {
            self.audit().denied("a user by SCRAM", origin, AUTHENTICATE, "", denied);
        })
    }

    fn challenge(&self, hash: ScramHash, message: &[u8]) -> Result<ScramLogin, Denial> {
        let request = ScramRequest::parse(message).map_err(denial)?;
        let (accounts, name) = (self.accounts()?, request.name());
        let known = accounts.users.get(name);
        let keys = known.and_then(|user| user.scram.as_ref()?.credentials(hash));
        // Also for a known user: its first answer takes no less time.
        let other = ScramCredentials::of_unknown_name(hash, &accounts.secret.0, name, ITERATIONS);
        let why_not = if keys.is_none() { why_not(known) } else { None };
        let server = ScramServer::new(hash, &request, keys.unwrap_or(other)).map_err(denial)?;
        let since = known.map_or(0, |user| user.since);
        Ok(ScramLogin { server, user: name.into(), since, why_not })
    }

    /// Verifies the proof in the client's last message. Returns the caller and the server's last message. The
    /// proof waits for its turn like a password that is checked.
    ///
    /// # Errors
    /// `unauthenticated`; `rate_limited` while too many passwords and proofs wait.
    pub(crate) async fn finish_scram(
        &self,
        login: ScramLogin,
        message: &[u8],
        origin: Origin,
    ) -> Result<(Caller, String), Denial> {
        let ScramLogin { server, user, since, why_not } = login;
        let audit = |denied: &Denial| {
            let who = format!("user {user}");
            self.audit().denied(&who, &origin, AUTHENTICATE, "", denied);
        };
        let verify = || match (server.verify(message), why_not) {
            (Ok(_), Some(_)) => Err(ScramError::Proof),
            (verified, _) => verified,
        };
        let verified = self.0.passwords.check_proof(&user, &origin.peer, verify).await;
        match verified.inspect_err(audit)? {
            Ok(last) => {
                let who = Identity::User { user, since };
                Ok((Caller::new(self.clone(), who, origin), last))
            }
            Err(error) => {
                let denied = denial(error);
                // Only the audit tells what is missing: the client would learn that the user exists.
                match why_not {
                    Some(why) => audit(&Denial::Unauthenticated(why.to_owned())),
                    None => audit(&denied),
                }
                Err(denied)
            }
        }
    }
}

#[cfg(test)]
#[path = "scram_tests.rs"]
mod tests;
