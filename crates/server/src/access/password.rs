//! Passwords. Hashing is slow on purpose, and bounded in how many run at a time.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Params, Version};
use leftfold_api::Invalid;
use leftfold_io::{OsRandom, Random};
use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::denied::Denial;
use super::scram::ScramKeys;
use super::secret::Secret;
use super::secret::random_bytes;
use super::turns::{Applicant, Turns};

/// The cost of argon2id: memory in KiB, passes, lanes. OWASP's minimum.
const COST: (u32, u32, u32) = (19 * 1024, 2, 1);
/// The largest cost of a stored hash that is computed.
const MOST: (u32, u32, u32) = (256 * 1024, 10, 4);
/// How long a verified password is remembered.
const REMEMBER: Duration = Duration::from_secs(60);
/// How many verified passwords are remembered.
const REMEMBERED: usize = 10_000;
/// Bytes of a password.
const LENGTH: std::ops::RangeInclusive<usize> = 8..=1024;

/// Why a password is not checked.
const BUSY: Denial = Denial::Busy("too many passwords are being checked");

/// What is stored of a password to check it.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Hash {
    algorithm: String,
    cost: (u32, u32, u32),
    salt: [u8; 16],
    hash: [u8; 32],
}

/// All that is stored of a password.
#[derive(Debug, Clone)]
pub(crate) struct PasswordRecord {
    hash: Hash,
    scram: ScramKeys,
}

impl PasswordRecord {
    fn of(password: &Secret) -> Result<Self, Denial> {
        Ok(PasswordRecord { hash: Hash::of(password)?, scram: ScramKeys::of(password)? })
    }

    /// Returns what each check needs.
    pub(super) fn into_parts(record: Option<Self>) -> (Option<Hash>, Option<ScramKeys>) {
        record.map(|record| (record.hash, record.scram)).unzip()
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hash").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl Hash {
    fn of(password: &Secret) -> Result<Self, Denial> {
        let (cost, salt) = (COST, random_bytes()?);
        let hash = run(password, &salt, cost)
            .ok_or(Denial::Busy("there is no memory to hash a password"))?;
        Ok(Hash { algorithm: "argon2id".to_owned(), cost, salt, hash })
    }

    /// Returns a hash that no password has.
    fn random() -> Self {
        let (salt, [first, last]) = (OsRandom.next_u128().to_le_bytes(), halves());
        let hash = <[u8; 32]>::try_from([first, last].concat()).unwrap_or_default();
        Hash { algorithm: "argon2id".to_owned(), cost: COST, salt, hash }
    }

    fn is_of(&self, password: &Secret) -> bool {
        let (memory, passes, lanes) = self.cost;
        let costs_too_much = memory > MOST.0 || passes > MOST.1 || lanes > MOST.2;
        if costs_too_much || self.algorithm != "argon2id" {
            return false;
        }
        run(password, &self.salt, self.cost).is_some_and(|hash| hash.ct_eq(&self.hash).into())
    }
}

fn halves() -> [[u8; 16]; 2] {
    [OsRandom.next_u128().to_le_bytes(), OsRandom.next_u128().to_le_bytes()]
}

fn run(password: &Secret, salt: &[u8; 16], cost: (u32, u32, u32)) -> Option<[u8; 32]> {
    let params = Params::new(cost.0, cost.1, cost.2, Some(32)).ok()?;
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut hash = [0; 32];
    argon.hash_password_into(password.reveal().as_bytes(), salt, &mut hash).ok()?;
    Some(hash)
}

/// Hashes passwords, and remembers for a while which were verified.
pub(super) struct Passwords {
    /// A turn for each hash that is computed.
    turns: Arc<Turns>,
    /// Verified for an unknown user, so that the answer takes as long.
    dummy: Arc<Hash>,
    /// Keys the hashes of verified passwords: a dump of memory holds no hash that could be attacked
    /// elsewhere.
    key: [[u8; 16]; 2],
    verified: Cache<[u8; 32], Instant>,
    runs: AtomicU64,
}

impl Passwords {
    pub(super) fn new() -> Self {
        // Half of the processors: wrong passwords in any number leave the other half to requests.
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get().div_ceil(2));
        Passwords {
            turns: Turns::new(threads),
            dummy: Arc::new(Hash::random()),
            key: halves(),
            verified: Cache::new(REMEMBERED),
            runs: AtomicU64::new(0),
        }
    }

    /// Returns how many hashes were computed.
    pub(super) fn runs(&self) -> u64 {
        self.runs.load(Ordering::Relaxed)
    }

    /// Returns whether a password is right. Without a hash it is wrong, after the same time. `since`
    /// changes with the password. `peer` is the address that sends it.
    pub(super) async fn verify(
        &self,
        (user, since): (&str, u64),
        hash: Option<Arc<Hash>>,
        password: &Secret,
        peer: &str,
    ) -> Result<bool, Denial> {
        let key = self.verified_key(user, since, password);
        if self.is_verified(&key) {
            return Ok(true);
        }
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.dummy.clone());
        let given = password.clone();
        let from = self.turns.applicant(peer, user);
        // Who sends a password that was right before knows it, whatever else comes from that address.
        let line = self.verified.get(&key).is_none().then_some(from);
        let check = move || hash.is_of(&given);
        let is_right = self.on_a_thread(line, check, || self.is_verified(&key)).await?;
        let is_right = is_right.unwrap_or(true) && known;
        self.turns.answered(from, is_right);
        if is_right {
            self.verified.insert(key, Instant::now());
        }
        Ok(is_right)
    }

    /// Hashes a new password, and derives its keys for SCRAM.
    pub(super) async fn hash(&self, password: &Secret) -> Result<PasswordRecord, Denial> {
        let given = password.clone();
        let record = self.on_a_thread(None, move || PasswordRecord::of(&given), || false).await?;
        record.unwrap_or(Err(Denial::Busy("the password was not hashed")))
    }

    /// Checks a proof of a password in a turn of its user and address. The check is fast, so a turn bounds no
    /// work: it slows down guesses as those of passwords, and the two are counted together. No right proof
    /// goes first, or the time of an answer would tell a right guess from those that wait.
    pub(super) async fn check_proof<T, E>(
        &self,
        user: &str,
        peer: &str,
        check: impl FnOnce() -> Result<T, E>,
    ) -> Result<Result<T, E>, Denial> {
        let from = self.turns.applicant(peer, user);
        let _turn = self.turns.wait(Some(from)).await.ok_or(BUSY)?;
        let checked = check();
        self.turns.answered(from, checked.is_ok());
        Ok(checked)
    }

    /// Runs work on one of a bounded number of threads, or returns `None` if the work turns out to be
    /// done when its turn comes.
    async fn on_a_thread<T: Send + 'static>(
        &self,
        line: Option<Applicant>,
        work: impl FnOnce() -> T + Send + 'static,
        is_done: impl Fn() -> bool,
    ) -> Result<Option<T>, Denial> {
        let turn = self.turns.wait(line).await.ok_or(BUSY)?;
        if is_done() {
            return Ok(None);
        }
        self.runs.fetch_add(1, Ordering::Relaxed);
        // The work goes on if its caller is gone, so it holds its turn itself.
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        done.await.map(Some).map_err(|_| BUSY)
    }

    fn is_verified(&self, key: &[u8; 32]) -> bool {
        self.verified.get(key).is_some_and(|at| at.elapsed() < REMEMBER)
    }

    fn verified_key(&self, user: &str, since: u64, password: &Secret) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.key.concat());
        hash.update(since.to_le_bytes());
        hash.update((user.len() as u64).to_le_bytes());
        hash.update(user.as_bytes());
        hash.update(password.reveal().as_bytes());
        hash.finalize().into()
    }
}

/// Checks the length of a new password.
pub(super) fn check(password: &Secret) -> Result<(), Invalid> {
    if LENGTH.contains(&password.reveal().len()) {
        return Ok(());
    }
    let message = format!("a password has {} to {} bytes", LENGTH.start(), LENGTH.end());
    Err(Invalid::new("password_invalid", message))
}
