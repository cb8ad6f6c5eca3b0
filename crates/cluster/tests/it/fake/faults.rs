use leftfold_io::fake::SeededRandom;

/// How often faults happen: once in so many requests on average; never if 0.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    /// A request takes seconds.
    pub(crate) slow: u64,
    /// A request takes minutes; its sender gives up long before.
    pub(crate) late: u64,
    /// A request is lost with its connection.
    pub(crate) lost_requests: u64,
    /// An answer is lost with its connection; the request took effect.
    pub(crate) lost_answers: u64,
    /// The leader refuses an append and says so.
    pub(crate) refusals: u64,
    /// The leader reports an error although the append took effect.
    pub(crate) false_refusals: u64,
    /// A fetch returns a part, however much there is.
    pub(crate) parts: u64,
}

impl Faults {
    /// No faults.
    pub(crate) const NONE: Faults = Faults {
        slow: 0,
        late: 0,
        lost_requests: 0,
        lost_answers: 0,
        refusals: 0,
        false_refusals: 0,
        parts: 0,
    };

    /// Returns faults of which a seed chooses the kinds and how often they happen.
    pub(crate) fn choose(random: &SeededRandom) -> Self {
        let rate = || match random.below(4) {
            0 => 0,
            1 => 5 + random.below(10),
            _ => 20 + random.below(200),
        };
        Faults {
            slow: rate(),
            late: rate() * 4,
            lost_requests: rate(),
            lost_answers: rate(),
            refusals: rate(),
            false_refusals: rate(),
            parts: 1 + random.below(4),
        }
    }
}
