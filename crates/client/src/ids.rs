use parking_lot::Mutex;
use uuid::{Builder, Uuid};

/// Random bytes that the system is asked for at a time: so many ids cost one call.
const AT_ONCE: usize = 4096;

/// Makes event ids.
pub(crate) struct Ids {
    random: Mutex<(Vec<u8>, usize)>,
}

impl Ids {
    pub(crate) fn new() -> Self {
        Ids { random: Mutex::new((Vec::new(), 0)) }
    }

    /// An id that nobody else makes; an error if the system gives no randomness.
    pub(crate) fn next(&self) -> Result<Uuid, getrandom::Error> {
        let mut random = self.random.lock();
        let (bytes, at) = &mut *random;
        if *at >= bytes.len() {
            let mut fresh = vec![0; AT_ONCE];
            getrandom::fill(&mut fresh)?;
            (*bytes, *at) = (fresh, 0);
        }
        let taken = bytes.get(*at..*at + 16).and_then(|bytes| bytes.try_into().ok());
        *at += 16;
        Ok(Builder::from_random_bytes(taken.unwrap_or_default()).into_uuid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_id_comes_twice() {
        let ids = Ids::new();
        let made: std::collections::HashSet<_> = (0..1_000).map(|_| ids.next().unwrap()).collect();
        assert_eq!(made.len(), 1_000);
        assert!(made.iter().all(|id| id.get_version_num() == 4));
    }
}
