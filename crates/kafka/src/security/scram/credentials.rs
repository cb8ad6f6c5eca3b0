use std::fmt;
use std::num::NonZeroU32;

use super::hash::ScramHash;
use super::server::ScramError;

/// Bytes of a salt.
const SALT_BYTES: usize = 16;

/// What a server stores of a password for one mechanism. A proof is checked with it, but can't be made
/// from it.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramCredentials {
    /// The salt, which is sent to clients.
    pub salt: Vec<u8>,
    /// The iterations of the derivation, which are sent to clients.
    pub iterations: NonZeroU32,
    /// The hash of the client's key.
    pub stored_key: Vec<u8>,
    /// The key by which the server proves itself.
    pub server_key: Vec<u8>,
}

impl ScramCredentials {
    /// Derives the credentials of a password with a random salt. Slow on purpose, in proportion to
    /// `iterations`.
    ///
    /// # Errors
    /// [`ScramError::Random`].
    pub fn derive(
        hash: ScramHash,
        password: &str,
        iterations: NonZeroU32,
    ) -> Result<Self, ScramError> {
        let mut salt = vec![0; SALT_BYTES];
        getrandom::fill(&mut salt).map_err(|_| ScramError::Random)?;
        Ok(Self::with_salt(hash, password, salt, iterations))
    }

    pub(super) fn with_salt(
        hash: ScramHash,
        password: &str,
        salt: Vec<u8>,
        iterations: NonZeroU32,
    ) -> Self {
        let salted = hash.salted_password(password, &salt, iterations);
        let stored_key = hash.digest(hash.sign(&salted, b"Client Key").as_ref());
        let server_key = hash.sign(&salted, b"Server Key");
        ScramCredentials {
            salt,
            iterations,
            stored_key: stored_key.as_ref().to_vec(),
            server_key: server_key.as_ref().to_vec(),
        }
    }

    /// Returns credentials that no password has, for a name that has none. They are the same for the same
    /// name and secret, so a client does not learn from the salt whether the name exists.
    pub fn of_unknown_name(
        hash: ScramHash,
        secret: &[u8],
        name: &str,
        iterations: NonZeroU32,
    ) -> Self {
        let mechanism = hash.mechanism().name();
        let make = |part: &str| {
            let message = format!("{mechanism} {part} {name}");
            hash.sign(secret, message.as_bytes()).as_ref().to_vec()
        };
        let mut salt = make("salt");
        salt.truncate(SALT_BYTES);
        // The stored key is no hash that is known, so a proof for it can't be made.
        let (stored_key, server_key) = (make("stored key"), make("server key"));
        ScramCredentials { salt, iterations, stored_key, server_key }
    }
}

impl fmt::Debug for ScramCredentials {
    /// Omits all but the iterations.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("ScramCredentials");
        shown.field("iterations", &self.iterations).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_has_the_same_salt_each_time_and_its_own() {
        let of = |hash, secret: &str, name: &str| {
            ScramCredentials::of_unknown_name(hash, secret.as_bytes(), name, NonZeroU32::MIN)
        };
        let ann = of(ScramHash::Sha256, "secret", "ann");
        assert_eq!(ann, of(ScramHash::Sha256, "secret", "ann"));
        let others = [
            of(ScramHash::Sha256, "secret", "ben"),
            of(ScramHash::Sha256, "other", "ann"),
            of(ScramHash::Sha512, "secret", "ann"),
        ];
        for other in others {
            assert_ne!(ann.salt, other.salt);
            assert_ne!(ann.stored_key, other.stored_key);
        }
    }

    #[test]
    fn salts_of_known_and_unknown_names_are_alike() {
        for hash in ScramHash::ALL {
            let known = ScramCredentials::derive(hash, "secret", NonZeroU32::MIN).unwrap();
            let again = ScramCredentials::derive(hash, "secret", NonZeroU32::MIN).unwrap();
            let unknown =
                ScramCredentials::of_unknown_name(hash, b"secret", "ann", NonZeroU32::MIN);
            assert_ne!(known.salt, again.salt);
            assert_eq!(known.salt.len(), unknown.salt.len());
            assert_eq!(known.stored_key.len(), unknown.stored_key.len());
            assert_eq!(known.server_key.len(), unknown.server_key.len());
        }
    }

    #[test]
    fn keys_are_not_printed() {
        let known = ScramCredentials::derive(ScramHash::Sha256, "secret", NonZeroU32::MIN).unwrap();
        assert_eq!(format!("{known:?}"), "ScramCredentials { iterations: 1, .. }");
    }
}
