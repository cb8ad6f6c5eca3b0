//! The limits of Kafka's clients, for `docs/limits.md`, and the table of requests in `docs/kafka.md`.

use super::fetch::{LONGEST_WAIT, MOST_BYTES};
use super::groups::committed::{self, MOST_PARTITIONS};
use super::groups::offsets::MAX_METADATA;
use super::{cluster, connection, topics};
use crate::config::Config;

/// What is limited, the limit, its setting, and what a client gets beyond it.
pub(crate) type Limit = (&'static str, u64, &'static str, &'static str);

const CLOSED: &str = "the connection is closed";

/// Returns the limits that only clients of Kafka meet.
pub(crate) fn limits(config: &Config) -> Vec<Limit> {
    let too_large = "`MESSAGE_TOO_LARGE`";
    vec![
        ("bytes of a request", config.body_bytes.0, "limits.body_bytes", CLOSED),
        (
            "bytes of a request before authentication",
            connection::BEFORE_AUTHENTICATION as u64,
            "",
            CLOSED,
        ),
        (
            "requests in flight of a connection",
            connection::IN_FLIGHT as u64,
            "",
            "further ones wait",
        ),
        ("bytes of a batch, uncompressed", config.append_bytes.0, "store.append_bytes", too_large),
        ("records of a batch", config.append_events as u64, "store.append_events", too_large),
        ("bytes of an answer to Fetch", MOST_BYTES as u64, "", "the next Fetch goes on"),
        ("seconds that a Fetch waits", LONGEST_WAIT.as_secs(), "", "it ends with what there is"),
        ("bytes of a topic's name", topics::MAX_NAME as u64, "", "`INVALID_TOPIC_EXCEPTION`"),
        ("groups with members", cluster::GROUPS as u64, "", "`GROUP_MAX_SIZE_REACHED`"),
        ("members of a group", cluster::MEMBERS as u64, "", "`GROUP_MAX_SIZE_REACHED`"),
        (
            "bytes that the members of a group tell each other",
            cluster::GROUP_BYTES as u64,
            "",
            "`GROUP_MAX_SIZE_REACHED`",
        ),
        (
            "partitions with committed offsets of a group",
            MOST_PARTITIONS as u64,
            "",
            "`INVALID_COMMIT_OFFSET_SIZE`",
        ),
        (
            "bytes of the committed offsets of a group",
            committed::MOST_BYTES as u64,
            "",
            "`INVALID_COMMIT_OFFSET_SIZE`",
        ),
        (
            "bytes that a consumer notes with an offset",
            MAX_METADATA as u64,
            "",
            "`OFFSET_METADATA_TOO_LARGE`",
        ),
    ]
}

mod tests {
    use leftfold_kafka::serving::SUPPORTED;

    #[test]
    fn the_page_lists_the_requests_and_their_versions() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/kafka.md");
        let page = std::fs::read_to_string(path).unwrap();
        let section = page.split("\n## ").find(|part| part.starts_with("Requests and versions\n"));
        let rows = section.unwrap().lines().filter(|line| line.starts_with("| "));
        let listed: Vec<&str> = rows.skip(1).collect();
        let served = SUPPORTED.iter().map(|request| {
            let oldest = (request.min..=request.max).find(|version| request.is_decoded(*version));
            match (oldest.unwrap(), request.max) {
                (min, max) if min == max => format!("| {:?} | {min} |", request.key),
                (min, max) => format!("| {:?} | {min} to {max} |", request.key),
            }
        });
        assert_eq!(listed, served.collect::<Vec<_>>());
    }
}
