//! `docs/limits.md`, generated from the limits in the code.

use std::fmt::Write;

use leftfold_api::{
    Limits, MAX_INDEX_PARTITIONS, MAX_JSON_DEPTH, MAX_NAME, MAX_PARTITIONS, MAX_QUERY_BYTES,
    MAX_QUERY_DEPTH, MAX_QUERY_PARTS,
};

use leftfold_views::MAX_VIEWS;

use super::Config;
use crate::access::room_of_users;
use crate::codes;
use crate::views::MAX_SQL_BODY;

const HEAD: &str = "\
# Limits

What goes beyond a limit is refused with the code of the last column ([errors.md](errors.md)); nothing is cut
off silently, and nothing is written. A limit with a setting can be changed
([configuration.md](configuration.md)); in a library it is a field of `Options`.

This page is generated from the code; a test compares the two.
";

const MEMORY: &str = "
## What the server takes at most

The last column is the sum for the defaults, in MiB. Within `limits.answers_bytes` are pages of reads and of
subscriptions, with the JSON or the messages of gRPC that they become, and other answers of more than 32 KiB, until the
system has taken them; and what compresses answers. Smaller ones are bounded by the number of requests and of
subscriptions. What answers an append, a list of the streams' versions, is sent even if no memory is left: the append is
done. It is about as large as the names in the request. A page that is being read is counted when it is complete, so only
some are read at the same time. One address and one user have `limits.share` of it. The rows of views have their own
limits. On a smaller machine, set `limits.connections`, `limits.subscriptions`, `limits.bodies_bytes` and
`limits.answers_bytes` so that the sum fits.
`cargo xtask hostile` compares a server under floods with this sum.

| what | formula | MiB |
|---|---|---|
";

const FILES: &str = "
## File descriptors

`leftfold serve` raises its limit of open files (`ulimit -n`) as far as the system allows. The highest 1,024
descriptors, or half of a limit below 2,048, are kept for the store and for views. A connection that would take one of
them is closed at once, which the log says once in a second at most and `leftfold_refused_connections_total` counts; so
is one beyond the share of its address. If the store finds none all the same, reads and appends answer
`descriptors_exhausted`, and the store tries again every second.
";

/// A row: what is limited, the limit, its setting, and the code beyond it.
type Row = (&'static str, u64, &'static str, &'static str);

fn of_events(limits: &Limits) -> Vec<Row> {
    vec![
        (
            "bytes of a name: of a stream, type, tag, checkpoint or index",
            MAX_NAME as u64,
            "",
            "name_invalid",
        ),
        ("bytes of an event", limits.event_bytes as u64, "store.event_bytes", "event_too_large"),
        (
            "nested arrays and objects in the JSON of an event",
            MAX_JSON_DEPTH as u64,
            "",
            "json_too_deep",
        ),
        ("tags of an event", limits.tags as u64, "", "too_many_tags"),
        (
            "bytes of an append",
            limits.append_bytes as u64,
            "store.append_bytes",
            "append_too_large",
        ),
        (
            "events of an append",
            limits.append_events as u64,
            "store.append_events",
            "too_many_events",
        ),
        (
            "conditions and checkpoint moves of an append",
            limits.append_conditions as u64,
            "",
            "too_many_conditions",
        ),
        (
            "events that the conditions of an append check",
            limits.condition_events as u64,
            "",
            "condition_too_broad",
        ),
        ("bytes of a query", MAX_QUERY_BYTES as u64, "", "query_too_large"),
        ("parts of a query", MAX_QUERY_PARTS as u64, "", "query_syntax"),
        ("nested parentheses of a query", MAX_QUERY_DEPTH as u64, "", "query_syntax"),
        ("checkpoints", limits.checkpoints as u64, "", "too_many_checkpoints"),
        (
            "checkpoints of a category",
            limits.checkpoints_of_category() as u64,
            "",
            "too_many_checkpoints",
        ),
        (
            "checkpoints, to which users who do not manage `*` add new ones",
            room_of_users(limits.checkpoints as u64),
            "",
            "too_many_checkpoints",
        ),
        ("named indexes", limits.indexes as u64, "", "too_many_indexes"),
        (
            "partitions of a named index",
            u64::from(MAX_INDEX_PARTITIONS),
            "",
            "index_partitions_invalid",
        ),
        ("retention rules", limits.retention_rules as u64, "", "too_many_rules"),
    ]
}

fn of_pages(limits: &Limits) -> [Row; 3] {
    [
        ("events of a page", limits.page_events as u64, "store.page_events", ""),
        (
            "bytes of a page; the first event has any size",
            limits.page_bytes as u64,
            "store.page_bytes",
            "",
        ),
        ("events that a page checks", limits.page_scanned as u64, "", ""),
    ]
}

fn of_server(config: &Config) -> Vec<Row> {
    vec![
        ("connections", config.connections as u64, "limits.connections", ""),
        ("requests in flight", config.requests as u64, "limits.requests", "server_overloaded"),
        (
            "requests of metrics and administration in flight",
            config.reserved_requests as u64,
            "limits.reserved_requests",
            "server_overloaded",
        ),
        (
            "percent of requests, subscriptions, queries of views and memory that one address or one user has, and of \
             connections that one address has",
            config.share as u64,
            "limits.share",
            "server_overloaded",
        ),
        (
            "requests in flight of a connection",
            config.connection_requests as u64,
            "limits.connection_requests",
            "",
        ),
        ("subscriptions", config.subscriptions as u64, "limits.subscriptions", "server_overloaded"),
        (
            "queries of views at the same time",
            config.asks as u64,
            "limits.asks",
            "server_overloaded",
        ),
        (
            "live queries of views, which are subscriptions, too",
            config.live_queries as u64,
            "limits.live_queries",
            "server_overloaded",
        ),
        (
            "bytes of the answer of a live query",
            config.live_bytes.0,
            "limits.live_bytes",
            "view_answer_too_large",
        ),
        (
            "rows of the answer of a view",
            config.ask_rows as u64,
            "limits.ask_rows",
            "view_answer_too_large",
        ),
        (
            "bytes of the answer of a view",
            config.ask_bytes.0,
            "limits.ask_bytes",
            "view_answer_too_large",
        ),
        (
            "seconds for a query of views",
            config.ask_time.as_secs(),
            "limits.ask_time",
            "view_query_timed_out",
        ),
        ("SQL views", MAX_VIEWS as u64, "", "views_too_many"),
        ("bytes of the file of a view, or of a query of views", MAX_SQL_BODY, "", "body_too_large"),
        ("bytes of a body", config.body_bytes.0, "limits.body_bytes", "body_too_large"),
        (
            "bytes of the bodies of all requests in flight, and of what they are decoded into",
            config.bodies_bytes.0,
            "limits.bodies_bytes",
            "server_overloaded",
        ),
        (
            "bytes of all answers that are not taken yet",
            config.answers_bytes.0,
            "limits.answers_bytes",
            "server_overloaded",
        ),
        (
            "bytes of the head of a request",
            config.header_bytes.0,
            "limits.header_bytes",
            "head_too_large",
        ),
        ("seconds for the head", config.header_time.as_secs(), "limits.header_time", ""),
        ("seconds for the body", config.body_time.as_secs(), "limits.body_time", "body_late"),
        ("seconds that a read waits", config.wait_time.as_secs(), "limits.wait_time", "timed_out"),
        ("seconds without a request", config.idle_time.as_secs(), "limits.idle_time", ""),
        (
            "seconds in which a reader must take something, for each 64 KiB",
            config.write_time.as_secs(),
            "limits.write_time",
            "",
        ),
    ]
}

/// The page that lists the limits.
pub(super) fn limits_document() -> String {
    let (limits, config) = (Limits::default(), Config::default());
    let mut page = HEAD.to_owned();
    let mut table = |title: &str, rows: &[Row], beyond: &str| {
        _ = writeln!(page, "\n## {title}\n\n| | limit | setting | beyond it |\n|---|---|---|---|");
        for (what, limit, setting, code) in rows {
            let setting = if setting.is_empty() { String::new() } else { format!("`{setting}`") };
            let beyond = match *code {
                "" => beyond.to_owned(),
                code => format!("`{code}`, HTTP {}", codes::find(code).http),
            };
            _ = writeln!(page, "| {what} | {} | {setting} | {beyond} |", grouped(*limit));
        }
    };
    table("Events, appends, queries and definitions", &of_events(&limits), "");
    table("Pages", &of_pages(&limits), "the page ends; its cursor continues");
    table("The server", &of_server(&config), "the client waits, or its connection is closed");
    _ = writeln!(page, "\nA cursor has at most {} positions.", grouped(MAX_PARTITIONS as u64));
    _ = writeln!(page, "\n## Clients of Kafka\n");
    _ = writeln!(
        page,
        "Those of the sections above hold for them as well ([kafka.md](kafka.md)).\n"
    );
    _ = writeln!(page, "| | limit | setting | beyond it |\n|---|---|---|---|");
    for (what, limit, setting, beyond) in crate::kafka::limits::limits(&config) {
        let setting = if setting.is_empty() { String::new() } else { format!("`{setting}`") };
        _ = writeln!(page, "| {what} | {} | {setting} | {beyond} |", grouped(limit));
    }
    page.push_str(MEMORY);
    for term in config.memory_terms() {
        _ = writeln!(page, "| {} | {} | {} |", term.what, term.formula, mebibytes(term.bytes));
    }
    _ = writeln!(page, "| **together** | | {} |", mebibytes(config.most_memory()));
    page.push_str(FILES);
    page
}

fn mebibytes(bytes: u64) -> String {
    grouped(bytes.div_ceil(1 << 20))
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::Config;

    #[test]
    fn the_page_lists_the_limits() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/limits.md");
        if std::env::var_os("LEFTFOLD_WRITE_DOCUMENTS").is_some() {
            std::fs::write(path, super::limits_document()).unwrap();
        }
        let page = std::fs::read_to_string(path).unwrap_or_default();
        let sentence = "make it again: LEFTFOLD_WRITE_DOCUMENTS=1 cargo test -p leftfold-server";
        assert!(page == super::limits_document(), "docs/limits.md is not up to date; {sentence}");
        assert!(!page.contains("HTTP 500"), "a code in it is unknown");
        let names = page
            .split('`')
            .filter(|name| name.starts_with("limits.") || name.starts_with("store."));
        for name in names {
            let is_setting = Config::SETTINGS.iter().any(|known| known.name == name);
            assert!(is_setting, "{name} is not a setting");
        }
    }
}
