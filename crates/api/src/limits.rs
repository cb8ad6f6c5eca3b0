/// Limits of events, appends, pages and definitions. Larger input is refused and never truncated.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of an event: names, tags, metadata and data together.
    pub event_bytes: usize,
    /// Bytes of all events of an append.
    pub append_bytes: usize,
    /// Events of an append.
    pub append_events: usize,
    /// Conditions and checkpoint moves of an append.
    pub append_conditions: usize,
    /// Events that the conditions of an append check, where the index alone does not answer.
    pub condition_events: usize,
    /// Tags of an event.
    pub tags: usize,
    /// Events of a page.
    pub page_events: usize,
    /// Bytes of the events of a page. The first event is returned at any size.
    pub page_bytes: usize,
    /// Events that one page checks when it scans the log.
    pub page_scanned: usize,
    /// Checkpoints.
    pub checkpoints: usize,
    /// Named indexes.
    pub indexes: usize,
    /// Retention rules. Every event that is read is checked against each.
    pub retention_rules: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            event_bytes: 16 << 20,
            append_bytes: 64 << 20,
            append_events: 10_000,
            append_conditions: 10_000,
            condition_events: 10_000_000,
            tags: 100,
            page_events: 10_000,
            page_bytes: 16 << 20,
            page_scanned: 200_000,
            checkpoints: 100_000,
            indexes: 1_000,
            retention_rules: 100,
        }
    }
}

/// The most bytes of a name: of a stream, type, tag, correlation, checkpoint or index.
pub const MAX_NAME: usize = 1024;

impl Limits {
    /// Returns how many checkpoints one category may have: half of all, so that it leaves room for others.
    pub fn checkpoints_of_category(&self) -> usize {
        self.checkpoints.div_ceil(2)
    }

    /// Lowers the limits to those of the file format.
    pub fn within_format(mut self) -> Self {
        const EVENT: usize = 64 << 20;
        const APPEND: usize = 1 << 30;
        self.event_bytes = self.event_bytes.min(EVENT);
        self.append_bytes = self.append_bytes.min(APPEND);
        self.append_events = self.append_events.min(1 << 20);
        self.tags = self.tags.min(10_000);
        self
    }
}
