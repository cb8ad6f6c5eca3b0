//! The most memory that a server takes, from its limits. `docs/limits.md` has the same as a table.

use super::Config;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// The program, its threads, passwords that are hashed, and what the allocator keeps.
const PROGRAM: u64 = 192 * MIB;
/// Segments without an index file, whose postings are in memory; each takes at most what it has on disk.
const UNSEALED: u64 = 4 * 64 * MIB;
/// A stream's name and its last version.
const HEAD: u64 = 1_280;
/// What a connection holds besides the head of a request: answers on their way, and what was read of it.
const CONNECTION: u64 = 320 * KIB;
/// A body, what it is decoded to, and the frames that it becomes.
const BODY: u64 = 3;
/// A page, and its text.
const ANSWER: u64 = 2;

/// A part of the most memory that a server takes.
pub struct MemoryTerm {
    /// What takes it.
    pub what: &'static str,
    /// How it is computed from the settings.
    pub formula: String,
    /// The bytes.
    pub bytes: u64,
}

impl Config {
    /// Returns what the server takes at most by its limits, part by part.
    pub fn memory_terms(&self) -> Vec<MemoryTerm> {
        let term = |what, formula: String, bytes| MemoryTerm { what, formula, bytes };
        let times = |count: usize, bytes: u64| (count as u64).saturating_mul(bytes);
        let per_connection = CONNECTION + self.header_bytes.0;
        vec![
            term("the program", format!("{} MiB", PROGRAM / MIB), PROGRAM),
            term(
                "blocks of the log and of the index",
                "5/4 x `store.cache_bytes` + `store.index_cache_bytes`".to_owned(),
                self.cache_bytes.0 + self.cache_bytes.0 / 4 + self.index_cache_bytes.0,
            ),
            term(
                "postings that are not in a file yet",
                format!("{} MiB", UNSEALED / MIB),
                UNSEALED,
            ),
            term(
                "last versions of streams",
                format!("`store.head_cache` x {HEAD} bytes"),
                times(self.head_cache, HEAD),
            ),
            term(
                "appends that wait, and the batch that is written",
                "2 x `store.queue_bytes`".to_owned(),
                self.queue_bytes.0.saturating_mul(2),
            ),
            term(
                "connections",
                format!(
                    "`limits.connections` x (`limits.header_bytes` + {} KiB)",
                    CONNECTION / KIB
                ),
                times(self.connections, per_connection),
            ),
            term(
                "bodies",
                format!("{BODY} x `limits.bodies_bytes`"),
                self.bodies_bytes.0.saturating_mul(BODY),
            ),
            term(
                "answers",
                format!("{ANSWER} x `limits.requests` x `store.page_bytes`"),
                times(self.requests, self.page_bytes.0).saturating_mul(ANSWER),
            ),
            term(
                "subscriptions",
                "`limits.subscriptions` x `store.page_bytes`".to_owned(),
                times(self.subscriptions, self.page_bytes.0),
            ),
            term(
                "queries of views",
                format!(
                    "{ANSWER} x (`limits.asks` x `limits.ask_bytes` + `limits.live_queries` x \
                     `limits.live_bytes`)"
                ),
                times(self.asks, self.ask_bytes.0)
                    .saturating_add(times(self.live_queries, self.live_bytes.0))
                    .saturating_mul(ANSWER),
            ),
        ]
    }

    /// Returns the most bytes of memory that the server takes.
    pub fn most_memory(&self) -> u64 {
        self.memory_terms().iter().fold(0, |sum, term| sum.saturating_add(term.bytes))
    }
}
