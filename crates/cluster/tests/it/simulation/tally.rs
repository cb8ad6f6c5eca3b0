use std::collections::BTreeMap;

/// The counts of all runs, which show that everything happened.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    pub(crate) acknowledged: u64,
    pub(crate) refused: u64,
    pub(crate) unknown: u64,
    pub(crate) reads: u64,
    pub(crate) terms: u64,
    pub(crate) void: u64,
    pub(crate) kills: u64,
    pub(crate) pauses: u64,
    /// How often a node said that it can't serve the partition.
    pub(crate) unfit: u64,
    /// What happened in Kafka.
    pub(crate) kafka: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// Adds the counts of another run.
    pub(crate) fn add(&mut self, other: Tally) {
        self.acknowledged += other.acknowledged;
        self.refused += other.refused;
        self.unknown += other.unknown;
        self.reads += other.reads;
        self.terms += other.terms;
        self.void += other.void;
        self.kills += other.kills;
        self.pauses += other.pauses;
        self.unfit += other.unfit;
        for (what, count) in other.kafka {
            *self.kafka.entry(what).or_default() += count;
        }
    }
    /// Checks that the runs tried everything.
    pub(crate) fn assert_all_happened(&self) {
        // The reference node has no disk that could fail.
        let Tally {
            acknowledged, refused, unknown, reads, terms, void, kills, pauses, kafka, ..
        } = self;
        for count in [acknowledged, refused, unknown, reads, terms, void, kills, pauses] {
            assert!(*count > 0, "{self:?}");
        }
        let all = [
            "append",
            "append at a deposed leader",
            "append out of order",
            "end of a deposed leader",
            "false refusal",
            "fenced append",
            "late",
            "lost answer",
            "lost request",
            "part of a fetch",
            "refusal",
            "repeat of a known batch",
            "slow",
        ];
        assert_eq!(kafka.keys().copied().collect::<Vec<_>>(), all);
    }
}
