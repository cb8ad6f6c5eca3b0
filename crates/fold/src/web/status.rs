use axum::http::StatusCode;

/// Returns the HTTP status for an error code of Leftfold, where `can_retry` says whether the same
/// request may succeed later.
pub fn status_of(code: &str, can_retry: bool) -> StatusCode {
    match code {
        "name_invalid"
        | "name_reserved"
        | "tag_invalid"
        | "too_many_tags"
        | "json_too_deep"
        | "condition_too_broad"
        | "append_empty"
        | "append_contradictory"
        | "cursor_invalid"
        | "cursor_foreign"
        | "query_syntax"
        | "time_invalid"
        | "limit_invalid"
        | "version_needs_stream"
        | "ordinal_needs_index"
        | "index_of_index"
        | "index_query_invalid"
        | "index_partitions_invalid"
        | "crosses_partitions"
        | "retention_invalid"
        | "parameter_invalid" => StatusCode::BAD_REQUEST,
        "index_unknown" | "partition_unknown" | "rule_unknown" | "store_missing" => {
            StatusCode::NOT_FOUND
        }
        "event_too_large"
        | "append_too_large"
        | "too_many_events"
        | "too_many_conditions"
        | "query_too_large" => StatusCode::PAYLOAD_TOO_LARGE,
        "wrong_version"
        | "query_matched"
        | "checkpoint_moved"
        | "stream_tombstoned"
        | "partial_repeat"
        | "event_id_reused"
        | "cursor_ahead"
        | "cursor_of_lost_history"
        | "start_ahead"
        | "index_changed"
        | "index_exists"
        | "too_many_checkpoints"
        | "too_many_rules"
        | "too_many_indexes"
        | "command_waits"
        | "store_foreign"
        | "stash_full" => StatusCode::CONFLICT,
        "command_refused" | "command_id_reused" => StatusCode::UNPROCESSABLE_ENTITY,
        "index_building"
        | "store_busy"
        | "not_owner"
        | "store_closed"
        | "store_locked"
        | "store_read_only"
        | "descriptors_exhausted" => StatusCode::SERVICE_UNAVAILABLE,
        "protocol_error" => StatusCode::BAD_GATEWAY,
        "timed_out" => StatusCode::GATEWAY_TIMEOUT,
        "disk_full" => StatusCode::INSUFFICIENT_STORAGE,
        _ if can_retry => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
