/// All error codes, in the order of `docs/errors.md`. Errors from a network are mapped to these.
pub const CODES: &[&str] = &[
    "name_invalid",
    "name_reserved",
    "tag_invalid",
    "too_many_tags",
    "event_too_large",
    "json_too_deep",
    "append_too_large",
    "too_many_events",
    "too_many_conditions",
    "condition_too_broad",
    "append_empty",
    "append_contradictory",
    "too_many_checkpoints",
    "cursor_invalid",
    "cursor_foreign",
    "cursor_ahead",
    "cursor_of_lost_history",
    "query_syntax",
    "query_too_large",
    "time_invalid",
    "limit_invalid",
    "start_ahead",
    "version_needs_stream",
    "ordinal_needs_index",
    "index_unknown",
    "index_exists",
    "index_building",
    "index_of_index",
    "index_query_invalid",
    "index_partitions_invalid",
    "partition_unknown",
    "crosses_partitions",
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
    "import_invalid",
    "import_conflict",
    "import_needs_files",
    "unauthenticated",
    "forbidden",
    "host_refused",
    "user_unknown",
    "user_exists",
    "group_unknown",
    "group_exists",
    "token_unknown",
    "token_exists",
    "grant_unknown",
    "grant_invalid",
    "password_invalid",
    "last_manager",
    "too_many_accounts",
    "body_invalid",
    "body_too_large",
    "body_late",
    "head_invalid",
    "head_too_large",
    "target_too_long",
    "encoding_unsupported",
    "media_type_unsupported",
    "not_acceptable",
    "parameter_invalid",
    "path_unknown",
    "method_unknown",
    "stream_unknown",
    "event_unknown",
    "checkpoint_unknown",
    "backups_off",
    "rate_limited",
    "server_overloaded",
    "server_closing",
    "request_invalid",
    "internal_error",
    "url_invalid",
    "server_unreachable",
    "timed_out",
    "outcome_unknown",
    "protocol_error",
    "not_over_network",
    "data_invalid",
    "listen_insecure",
    "listen_failed",
    "tls_invalid",
    "certificate_exists",
    "setting_unknown",
    "setting_invalid",
    "config_unreadable",
    "config_syntax",
];

/// Returns the code with this text, or `protocol_error` if this release does not know it.
///
/// ```
/// assert_eq!(leftfold_api::code("wrong_version"), "wrong_version");
/// assert_eq!(leftfold_api::code("from_the_future"), "protocol_error");
/// ```
pub fn code(text: &str) -> &'static str {
    CODES.iter().find(|code| **code == text).copied().unwrap_or("protocol_error")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_code_is_known_and_no_other() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors.md");
        let page = std::fs::read_to_string(page).unwrap();
        // The codes of folds never come from a store.
        let (page, _) = page.split_once("## A command leads to nothing").unwrap();
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        assert_eq!(rows.collect::<Vec<_>>(), CODES);
    }
}
