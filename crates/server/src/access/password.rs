//! Passwords: hashed on purpose slowly, in a bounded number at a time.

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
use tokio::sync::Semaphore;

use super::secret::random_bytes;
use super::{Denied, Secret};

/// Of argon2id: memory in KiB, passes, lanes. What OWASP asks for at least.
const COST: (u32, u32, u32) = (19 * 1024, 2, 1);
/// A stored hash that would cost more memory (in KiB) or passes is not computed.
const MOST: (u32, u32, u32) = (256 * 1024, 10, 4);
/// So many may wait to be hashed; who comes then is told to come later.
const WAITING: usize = 64;
/// What was verified is believed for so long, and so many of it.
const BELIEVED: (Duration, usize) = (Duration::from_secs(60), 10_000);
/// Bytes of a password.
const LENGTH: std::ops::RangeInclusive<usize> = 8..=1024;

/// What is kept of a password.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Hash {
    algorithm: String,
    cost: (u32, u32, u32),
    salt: [u8; 16],
    hash: [u8; 32],
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hash").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl Hash {
    fn of(password: &Secret) -> Result<Self, Denied> {
        let (cost, salt) = (COST, random_bytes()?);
        let hash = run(password, &salt, cost)
            .ok_or(Denied::Busy("there is no memory to hash a password"))?;
        Ok(Hash { algorithm: "argon2id".to_owned(), cost, salt, hash })
    }

    /// One that no password has.
    fn of_nobody() -> Self {
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

/// Hashes passwords, and remembers for a while which were right.
pub(super) struct Passwords {
    /// One permit for each hash that runs.
    running: Arc<Semaphore>,
    /// One permit for each that runs or waits.
    places: Arc<Semaphore>,
    /// Verified in place of the password of a user who is not there, so that it takes as long.
    nobody: Arc<Hash>,
    /// Under which what was verified is remembered: a dump of memory shows no password's hash that
    /// could be tried out elsewhere.
    key: [[u8; 16]; 2],
    believed: Cache<[u8; 32], Instant>,
    runs: AtomicU64,
}

impl Passwords {
    pub(super) fn new() -> Self {
        // Half of the processors: whoever sends wrong passwords leaves the other half to others.
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get().div_ceil(2));
        Passwords {
            running: Arc::new(Semaphore::new(threads)),
            places: Arc::new(Semaphore::new(threads + WAITING)),
            nobody: Arc::new(Hash::of_nobody()),
            key: halves(),
            believed: Cache::new(BELIEVED.1),
            runs: AtomicU64::new(0),
        }
    }

    /// How many hashes were computed.
    pub(super) fn runs(&self) -> u64 {
        self.runs.load(Ordering::Relaxed)
    }

    /// Whether a password is right. Without a hash it is not, and that takes as long to say.
    /// `since` changes with the password.
    pub(super) async fn verify(
        &self,
        (user, since): (&str, u64),
        hash: Option<Arc<Hash>>,
        password: &Secret,
    ) -> Result<bool, Denied> {
        let key = self.remembered_as(user, since, password);
        if self.believes(&key) {
            return Ok(true);
        }
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.nobody.clone());
        let given = password.clone();
        let is_right = self.on_a_thread(move || hash.is_of(&given), || self.believes(&key)).await?;
        let is_right = is_right.unwrap_or(true) && known;
        if is_right {
            self.believed.insert(key, Instant::now());
        }
        Ok(is_right)
    }

    /// The hash of a new password.
    pub(super) async fn hash(&self, password: &Secret) -> Result<Hash, Denied> {
        let given = password.clone();
        let hash = self.on_a_thread(move || Hash::of(&given), || false).await?;
        hash.unwrap_or(Err(Denied::Busy("the password was not hashed")))
    }

    /// Works on a thread of its own, one of a bounded number; none if it is known in the end that
    /// the work is done.
    async fn on_a_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
        is_done: impl Fn() -> bool,
    ) -> Result<Option<T>, Denied> {
        let busy = Denied::Busy("too many passwords are being checked");
        let place = self.places.clone().try_acquire_owned().map_err(|_| busy.clone())?;
        let permit = self.running.clone().acquire_owned().await.map_err(|_| busy.clone())?;
        if is_done() {
            return Ok(None);
        }
        self.runs.fetch_add(1, Ordering::Relaxed);
        // The work goes on if nobody waits for it any more, so it holds its places itself.
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop((place, permit));
            done
        });
        done.await.map(Some).map_err(|_| busy)
    }

    fn believes(&self, key: &[u8; 32]) -> bool {
        self.believed.get(key).is_some_and(|at| at.elapsed() < BELIEVED.0)
    }

    fn remembered_as(&self, user: &str, since: u64, password: &Secret) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.key.concat());
        hash.update(since.to_le_bytes());
        hash.update((user.len() as u64).to_le_bytes());
        hash.update(user.as_bytes());
        hash.update(password.reveal().as_bytes());
        hash.finalize().into()
    }
}

/// Checks a password that somebody chose.
pub(super) fn check(password: &Secret) -> Result<(), Invalid> {
    if LENGTH.contains(&password.reveal().len()) {
        return Ok(());
    }
    let message = format!("a password has {} to {} bytes", LENGTH.start(), LENGTH.end());
    Err(Invalid::new("password_invalid", message))
}
