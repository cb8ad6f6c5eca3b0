/// Every code that an error can have, as `docs/errors.md` lists them: an error that came over a
/// network finds its code here.
pub const CODES: &[&str] = &[
    "name_invalid",
    "name_reserved",
    "tag_invalid",
    "too_many_tags",
    "event_too_large",
    "append_too_large",
    "too_many_events",
    "too_many_conditions",
    "append_empty",
    "append_contradictory",
    "too_many_checkpoints",
    "cursor_invalid",
    "cursor_foreign",
    "cursor_ahead",
    "query_syntax",
    "query_too_large",
    "time_invalid",
    "limit_invalid",
    "version_needs_stream",
    "ordinal_needs_index",
    "index_unknown",
    "index_exists",
    "index_building",
    "index_of_index",
    "index_query_invalid",
    "retention_invalid",
    "rule_unknown",
    "too_many_rules",
    "too_many_indexes",
    "wrong_version",
    "query_matched",
    "checkpoint_moved",
    "stream_tombstoned",
    "partial_repeat",
    "event_id_reused",
    "store_busy",
    "store_closed",
    "store_locked",
    "store_missing",
    "store_unusable",
    "data_damaged",
    "index_damaged",
    "disk_full",
    "write_failed",
    "disk_failed",
    "backup_foreign",
    "backup_missing",
    "backup_damaged",
    "backup_locked",
    "restore_not_empty",
    "server_unreachable",
    "server_busy",
    "timed_out",
    "outcome_unknown",
    "protocol_error",
    "request_invalid",
    "not_over_network",
    "unauthenticated",
    "forbidden",
];

/// The code that is written so; `protocol_error` if this release does not know it.
///
/// ```
/// assert_eq!(leftfold_store::code("wrong_version"), "wrong_version");
/// assert_eq!(leftfold_store::code("from_the_future"), "protocol_error");
/// ```
pub fn code(text: &str) -> &'static str {
    CODES.iter().find(|code| **code == text).copied().unwrap_or("protocol_error")
}
