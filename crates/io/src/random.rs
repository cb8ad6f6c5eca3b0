use std::cell::RefCell;

/// A source of random numbers.
pub trait Random: Send + Sync + 'static {
    /// Returns 128 bits: unpredictable in production, determined by a seed in a test.
    fn next_u128(&self) -> u128;
}

/// The operating system's random number generator.
#[derive(Debug, Default, Clone, Copy)]
pub struct OsRandom;

/// Bytes per system call: one call per number would cost more than all other work of a small event.
const AT_ONCE: usize = 1024;

/// Random bytes of a thread; the last `left` bytes are unused.
struct Supply {
    bytes: [u8; AT_ONCE],
    left: usize,
}

thread_local! {
    static SUPPLY: RefCell<Supply> = const { RefCell::new(Supply { bytes: [0; AT_ONCE], left: 0 }) };
}

impl Supply {
    fn next(&mut self) -> Option<u128> {
        if self.left == 0 {
            getrandom::fill(&mut self.bytes).ok()?;
            self.left = AT_ONCE;
        }
        let (number, _) = self.bytes[AT_ONCE - self.left..].split_first_chunk()?;
        self.left -= number.len();
        Some(u128::from_le_bytes(*number))
    }
}

impl Random for OsRandom {
    fn next_u128(&self) -> u128 {
        // Each number uses up bytes of the thread's supply, so none is returned twice.
        let supplied = SUPPLY.try_with(|supply| supply.borrow_mut().next());
        supplied.ok().flatten().unwrap_or_else(without_entropy)
    }
}

/// Returns a number without an entropy source, different between calls and processes.
fn without_entropy() -> u128 {
    let byte = 0_u8;
    let stack = &raw const byte as usize as u128;
    let time = crate::Clock::now_micros(&crate::SystemClock) as u128;
    stack << 64 ^ time ^ (u128::from(std::process::id()) << 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_occurs_twice_on_any_thread() {
        let draw = || (0..1_000).map(|_| OsRandom.next_u128()).collect::<Vec<_>>();
        let mut all: Vec<u128> = std::thread::scope(|threads| {
            let threads: Vec<_> = (0..4).map(|_| threads.spawn(draw)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 4_000);
    }
}
