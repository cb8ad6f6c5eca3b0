use parking_lot::Mutex;
use uuid::{Builder, Uuid};

/// Random bytes of one call to the system: enough for 256 ids.
const BATCH_BYTES: usize = 4096;

/// Makes event ids.
pub(crate) struct Ids {
    random: Mutex<(Vec<u8>, usize)>,
}

impl Ids {
    pub(crate) fn new() -> Self {
        Ids { random: Mutex::new((Vec::new(), 0)) }
    }

    /// Returns a random id.
    ///
    /// # Errors
    /// The system's error, if it returns no random bytes.
    pub(crate) fn next(&self) -> Result<Uuid, getrandom::Error> {
        let mut random = self.random.lock();
        let (bytes, at) = &mut *random;
        if *at >= bytes.len() {
            let mut fresh = vec![0; BATCH_BYTES];
            getrandom::fill(&mut fresh)?;
            (*bytes, *at) = (fresh, 0);
        }
        let id = bytes.get(*at..*at + 16).and_then(|bytes| bytes.try_into().ok());
        *at += 16;
        Ok(Builder::from_random_bytes(id.unwrap_or_default()).into_uuid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_random_and_differ() {
        let ids = Ids::new();
        let made: std::collections::HashSet<_> = (0..1_000).map(|_| ids.next().unwrap()).collect();
        assert_eq!(made.len(), 1_000);
        assert!(made.iter().all(|id| id.get_version_num() == 4));
    }
}
