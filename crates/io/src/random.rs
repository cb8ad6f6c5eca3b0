/// A source of random numbers.
pub trait Random: Send + Sync + 'static {
    /// 128 bits that nobody can guess (in production) or that a seed decides (in a test).
    fn next_u128(&self) -> u128;
}

/// The operating system's generator.
#[derive(Debug, Default, Clone, Copy)]
pub struct OsRandom;

impl Random for OsRandom {
    fn next_u128(&self) -> u128 {
        let mut bytes = [0; 16];
        if getrandom::fill(&mut bytes).is_err() {
            // No entropy source at all: fall back to what differs between calls and processes.
            let stack = &raw const bytes as usize as u128;
            let time = crate::Clock::now_micros(&crate::SystemClock) as u128;
            return stack << 64 ^ time ^ (u128::from(std::process::id()) << 32);
        }
        u128::from_le_bytes(bytes)
    }
}
