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
/// What a connection holds besides the head of a request: what was read of bodies, and buffers.
const CONNECTION: u64 = 384 * KIB;
/// What a request holds besides its head: a body and an answer that are too small to be counted, and its own state.
const REQUEST: u64 = 64 * KIB;
/// What a subscription holds of pages that are too small to be counted: one page, and the text of three.
const SUBSCRIPTION: u64 = 40 * KIB;
/// A body, what it is decoded to, and the frames that it becomes.
const BODY: u64 = 3;
/// The rows of an answer of views, and its text while it is made.
const ROWS: u64 = 4;
/// An event that ends a page and goes beyond its bytes, and what it is converted to.
const LAST_EVENT: u64 = 4;

/// The memory that SQLite may keep of the files of views.
const CACHES: u64 = 256 * MIB;
/// How much more it may take for changes of rows, and for the statements of all connections.
const ROOM: u64 = 256 * MIB;
/// How many limits of an answer a question and a live question may take together in SQLite.
const OF_QUESTION: u64 = 8;

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
                "requests",
                format!(
                    "(`limits.requests` + 2 x `limits.reserved_requests`) x (`limits.header_bytes` + {} KiB)",
                    REQUEST / KIB
                ),
                times(
                    self.requests.saturating_add(self.reserved_requests.saturating_mul(2)),
                    REQUEST + self.header_bytes.0,
                ),
            ),
            term(
                "pages that are being read",
                format!(
                    "2 x `store.read_threads` x (`store.page_bytes` + {LAST_EVENT} x `store.event_bytes`)"
                ),
                times(
                    self.page_turns(),
                    self.page_bytes.0.saturating_add(self.event_bytes.0.saturating_mul(LAST_EVENT)),
                ),
            ),
            term(
                "answers, also of subscriptions",
                "5/4 x `limits.answers_bytes`".to_owned(),
                self.answers_bytes.0.saturating_add(self.answers_bytes.0 / 4),
            ),
            term(
                "subscriptions with small pages",
                format!("`limits.subscriptions` x {} KiB", SUBSCRIPTION / KIB),
                times(self.subscriptions, SUBSCRIPTION),
            ),
            term(
                "SQLite, for all views",
                format!(
                    "{} MiB + {OF_QUESTION} x `limits.asks` x `limits.ask_bytes`",
                    (CACHES + ROOM) / MIB
                ),
                self.sqlite_memory().1,
            ),
            term(
                "answers of views",
                format!(
                    "{ROWS} x (`limits.asks` x `limits.ask_bytes` + `limits.live_queries` x `limits.live_bytes`)"
                ),
                times(self.asks, self.ask_bytes.0)
                    .saturating_add(times(self.live_queries, self.live_bytes.0))
                    .saturating_mul(ROWS),
            ),
        ]
    }

    /// Returns the bytes that SQLite may keep of files, and those that it may take in all.
    pub(crate) fn sqlite_memory(&self) -> (u64, u64) {
        let of_questions = (self.asks as u64).saturating_mul(self.ask_bytes.0);
        (CACHES, of_questions.saturating_mul(OF_QUESTION).saturating_add(CACHES + ROOM))
    }

    /// Returns the most bytes of memory that the server takes.
    pub fn most_memory(&self) -> u64 {
        self.memory_terms().iter().fold(0, |sum, term| sum.saturating_add(term.bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_leave_room_on_a_machine_of_sixteen_gibibytes() {
        let most = Config::default().most_memory();
        assert!(most < 10 << 30, "{} MiB", most / MIB);
    }
}
