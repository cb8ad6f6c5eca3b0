//! The status of each stable error code in HTTP and in gRPC.
//!
//! `docs/errors.md` describes the codes; a test compares the two lists.

use Grpc::{
    Aborted, AlreadyExists, DataLoss, DeadlineExceeded, FailedPrecondition, Internal,
    InvalidArgument, NotFound, OutOfRange, PermissionDenied, ResourceExhausted, Unauthenticated,
    Unavailable, Unimplemented,
};

/// A status of gRPC, with its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
#[expect(missing_docs, reason = "gRPC's own names")]
pub enum Grpc {
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Aborted = 10,
    OutOfRange = 11,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    DataLoss = 15,
    Unauthenticated = 16,
}

/// A stable code, and its status in each protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// The code, such as `wrong_version`.
    pub code: &'static str,
    /// The status of HTTP.
    pub http: u16,
    /// The status of gRPC.
    pub grpc: Grpc,
    /// A short title, the same for every error of this code.
    pub title: &'static str,
}

const fn code(code: &'static str, http: u16, grpc: Grpc, title: &'static str) -> Code {
    Code { code, http, grpc, title }
}

/// Every code of a server's answers, and those that only the binary reports.
pub const CODES: &[Code] = &[
    code("name_invalid", 400, InvalidArgument, "Invalid name"),
    code("name_reserved", 400, InvalidArgument, "Reserved name"),
    code("tag_invalid", 400, InvalidArgument, "Invalid tag"),
    code("too_many_tags", 400, InvalidArgument, "Too many tags"),
    code("event_too_large", 413, InvalidArgument, "Event too large"),
    code("json_too_deep", 400, InvalidArgument, "JSON nested too deep"),
    code("append_too_large", 413, InvalidArgument, "Append too large"),
    code("too_many_events", 413, InvalidArgument, "Too many events"),
    code("too_many_conditions", 413, InvalidArgument, "Too many conditions"),
    code("condition_too_broad", 400, InvalidArgument, "Condition too broad"),
    code("append_empty", 400, InvalidArgument, "Empty append"),
    code("append_contradictory", 400, InvalidArgument, "Contradictory append"),
    code("too_many_checkpoints", 409, ResourceExhausted, "Too many checkpoints"),
    code("cursor_invalid", 400, InvalidArgument, "Invalid cursor"),
    code("cursor_foreign", 400, InvalidArgument, "Cursor of another store"),
    code("cursor_ahead", 409, OutOfRange, "Cursor ahead of the store"),
    code("cursor_of_lost_history", 409, OutOfRange, "Cursor of a history that was lost"),
    code("query_syntax", 400, InvalidArgument, "Invalid query"),
    code("query_too_large", 413, InvalidArgument, "Query too large"),
    code("time_invalid", 400, InvalidArgument, "Invalid time"),
    code("limit_invalid", 400, InvalidArgument, "Invalid limit"),
    code("start_ahead", 409, OutOfRange, "Start ahead of the store"),
    code("version_needs_stream", 400, InvalidArgument, "A version needs exactly one stream"),
    code(
        "ordinal_needs_index",
        400,
        InvalidArgument,
        "An ordinal needs exactly one stream or index",
    ),
    code("index_unknown", 404, NotFound, "Unknown index"),
    code("index_exists", 409, AlreadyExists, "Index exists"),
    code("index_building", 503, Unavailable, "Index not ready"),
    code("index_changed", 409, Aborted, "Index changed"),
    code("index_of_index", 400, InvalidArgument, "Index of an index"),
    code("index_query_invalid", 400, InvalidArgument, "Query without text form"),
    code("index_partitions_invalid", 400, InvalidArgument, "Invalid partitions of an index"),
    code("partition_unknown", 404, NotFound, "Unknown partition"),
    code("crosses_partitions", 400, InvalidArgument, "The request spans partitions"),
    code("retention_invalid", 400, InvalidArgument, "Invalid retention"),
    code("rule_unknown", 404, NotFound, "Unknown rule"),
    code("too_many_rules", 409, ResourceExhausted, "Too many rules"),
    code("too_many_indexes", 409, ResourceExhausted, "Too many indexes"),
    code("wrong_version", 409, FailedPrecondition, "Unexpected stream version"),
    code("query_matched", 409, FailedPrecondition, "An event matches the condition"),
    code("checkpoint_moved", 409, FailedPrecondition, "Unexpected checkpoint"),
    code("stream_tombstoned", 409, FailedPrecondition, "Stream closed by a tombstone"),
    code("partial_repeat", 409, FailedPrecondition, "Repeats only a part of an append"),
    code("event_id_reused", 409, AlreadyExists, "Event id used for other content"),
    code("store_busy", 503, Aborted, "Store busy"),
    code("not_owner", 503, Unavailable, "Not the owner"),
    code("replica_diverged", 500, DataLoss, "Replica diverged"),
    code("store_closed", 503, Unavailable, "Store closed"),
    code("store_locked", 503, Unavailable, "Store locked by another process"),
    code("store_missing", 404, NotFound, "Unknown store"),
    code("store_unusable", 500, DataLoss, "Store unusable"),
    code("store_foreign", 409, FailedPrecondition, "Copy of another store"),
    code("data_damaged", 500, DataLoss, "Data damaged"),
    code("repair_interrupted", 500, FailedPrecondition, "Interrupted repair"),
    code("repair_ambiguous", 500, DataLoss, "Ambiguous repair"),
    code("repair_not_undone", 500, FailedPrecondition, "Repair not undone"),
    code("index_damaged", 500, DataLoss, "Index damaged"),
    code("disk_full", 507, ResourceExhausted, "Disk full"),
    code("descriptors_exhausted", 503, ResourceExhausted, "Too many open files"),
    code("write_failed", 500, Internal, "Write failed"),
    code("store_replaced", 500, FailedPrecondition, "Store replaced"),
    code("store_read_only", 503, FailedPrecondition, "Store read-only"),
    code("disk_failed", 500, Internal, "Disk failed"),
    code("backup_foreign", 409, FailedPrecondition, "Backup of another store"),
    code("backup_missing", 404, NotFound, "Unknown backup"),
    code("backup_damaged", 500, DataLoss, "Backup damaged"),
    code("backup_locked", 409, Unavailable, "Backup in use"),
    code("restore_not_empty", 409, FailedPrecondition, "Directory not empty"),
    code("import_invalid", 400, InvalidArgument, "Event out of order"),
    code("import_conflict", 409, AlreadyExists, "Another event at this version"),
    code("import_needs_files", 400, FailedPrecondition, "Missing versions need a directory"),
    code("import_differs", 409, DataLoss, "Imported events differ"),
    code("view_invalid", 400, InvalidArgument, "Invalid view"),
    code("view_sql_invalid", 400, InvalidArgument, "Invalid SQL of a view"),
    code("view_sql_forbidden", 400, InvalidArgument, "Forbidden SQL of a view"),
    code("view_unknown", 404, NotFound, "Unknown view"),
    code("view_exists", 409, AlreadyExists, "View exists"),
    code("view_changed", 409, Aborted, "View changed meanwhile"),
    code("views_too_many", 409, ResourceExhausted, "Too many views"),
    code("view_query_invalid", 400, InvalidArgument, "Invalid query of a view"),
    code("view_query_refused", 400, InvalidArgument, "A query of a view only reads"),
    code("view_query_timed_out", 504, DeadlineExceeded, "The query of a view took too long"),
    code("view_answer_too_large", 413, ResourceExhausted, "Answer of a view too large"),
    code(
        "view_query_reads_too_much",
        413,
        ResourceExhausted,
        "The query reads too much of the log",
    ),
    code("view_removed", 404, NotFound, "View removed"),
    code("view_opening", 503, Unavailable, "View not open yet"),
    code("view_elsewhere", 409, FailedPrecondition, "View in another database"),
    code("view_target_unusable", 409, FailedPrecondition, "Database of a view unusable"),
    code("view_schema_taken", 409, FailedPrecondition, "Schema of a view taken"),
    code("view_late", 503, Unavailable, "View behind the cursor"),
    code("view_stopped", 503, Unavailable, "View not running"),
    code("view_rows_failed", 500, Internal, "Tables of a view unusable"),
    code("view_event_unusable", 409, FailedPrecondition, "Event unusable for a view"),
    code("view_parked_too_many", 409, FailedPrecondition, "Too many parked events of a view"),
    code("event_not_parked", 409, FailedPrecondition, "Event not parked"),
    code("view_of_other_history", 409, FailedPrecondition, "View of another history"),
    code("view_of_other_logic", 409, FailedPrecondition, "View of another definition"),
    code("view_code_missing", 409, FailedPrecondition, "Code of a view missing"),
    code("view_overtaken", 409, FailedPrecondition, "View written by another process"),
    code("connector_invalid", 400, InvalidArgument, "Invalid connector"),
    code("connector_unknown", 404, NotFound, "Unknown connector"),
    code("connector_exists", 409, AlreadyExists, "Connector exists"),
    code("connector_changed", 409, Aborted, "Connector changed meanwhile"),
    code("connectors_too_many", 409, ResourceExhausted, "Too many connectors"),
    code("connectors_stopped", 503, Unavailable, "Connectors not running"),
    code("connector_secret_missing", 409, FailedPrecondition, "Secret of a connector missing"),
    code("connector_unavailable", 503, Unavailable, "Other side of a connector unavailable"),
    code("connector_unusable", 409, FailedPrecondition, "Other side of a connector unusable"),
    code("connector_event_refused", 409, FailedPrecondition, "Event refused by a connector"),
    code("unauthenticated", 401, Unauthenticated, "Unauthenticated"),
    code("forbidden", 403, PermissionDenied, "Forbidden"),
    code("origin_refused", 403, PermissionDenied, "Origin refused"),
    code("host_refused", 421, PermissionDenied, "Host refused"),
    code("user_unknown", 404, NotFound, "Unknown user"),
    code("user_exists", 409, AlreadyExists, "User exists"),
    code("group_unknown", 404, NotFound, "Unknown group"),
    code("group_exists", 409, AlreadyExists, "Group exists"),
    code("token_unknown", 404, NotFound, "Unknown token"),
    code("token_exists", 409, AlreadyExists, "Token exists"),
    code("grant_unknown", 404, NotFound, "Unknown grant"),
    code("grant_invalid", 400, InvalidArgument, "Invalid scope of a grant"),
    code("password_invalid", 400, InvalidArgument, "Invalid password"),
    code("last_manager", 409, FailedPrecondition, "Last manager"),
    code("too_many_accounts", 409, ResourceExhausted, "Too many accounts"),
    code("body_invalid", 400, InvalidArgument, "Invalid body"),
    code("body_too_large", 413, ResourceExhausted, "Body too large"),
    code("body_late", 408, DeadlineExceeded, "Body too late"),
    code("head_invalid", 400, InvalidArgument, "Invalid head of a request"),
    code("head_too_large", 431, ResourceExhausted, "Head of a request too large"),
    code("target_too_long", 414, ResourceExhausted, "Target of a request too long"),
    code("encoding_unsupported", 415, InvalidArgument, "Unsupported content encoding"),
    code("media_type_unsupported", 415, InvalidArgument, "Unsupported media type"),
    code("not_acceptable", 406, InvalidArgument, "Not acceptable"),
    code("parameter_invalid", 400, InvalidArgument, "Invalid parameter"),
    code("path_unknown", 404, Unimplemented, "Unknown path"),
    code("method_unknown", 405, Unimplemented, "Unknown method"),
    code("stream_unknown", 404, NotFound, "Unknown stream"),
    code("event_unknown", 404, NotFound, "Unknown event"),
    code("checkpoint_unknown", 404, NotFound, "Unknown checkpoint"),
    code("backups_off", 403, FailedPrecondition, "Backups not configured"),
    code("cluster_none", 404, NotFound, "Not a node of a cluster"),
    code("rate_limited", 429, ResourceExhausted, "Too many requests"),
    code("server_overloaded", 503, ResourceExhausted, "Server overloaded"),
    code("server_closing", 503, Unavailable, "Server shutting down"),
    code("request_invalid", 400, InvalidArgument, "Invalid request"),
    code("url_invalid", 400, InvalidArgument, "Invalid URL"),
    code("server_unreachable", 503, Unavailable, "Server unreachable"),
    code("timed_out", 504, DeadlineExceeded, "Timed out"),
    code("outcome_unknown", 503, Unavailable, "Outcome unknown"),
    code("protocol_error", 502, Internal, "Protocol error"),
    code("not_over_network", 400, FailedPrecondition, "Not possible over a network"),
    code("data_invalid", 400, InvalidArgument, "Data that look like broken JSON"),
    code("internal_error", 500, Internal, "Internal error"),
    code("listen_insecure", 500, FailedPrecondition, "Listening without TLS and users"),
    code("listen_failed", 500, Unavailable, "Listening failed"),
    code("tls_invalid", 500, FailedPrecondition, "Invalid certificate or key"),
    code("setting_unknown", 500, InvalidArgument, "Unknown setting"),
    code("setting_invalid", 500, InvalidArgument, "Invalid value of a setting"),
    code("config_unreadable", 500, NotFound, "Configuration unreadable"),
    code("config_syntax", 500, InvalidArgument, "Configuration is not TOML"),
    code("certificate_exists", 500, AlreadyExists, "Certificate exists"),
    code("kafka_unavailable", 503, Unavailable, "Kafka unavailable"),
    code("kafka_refused", 500, FailedPrecondition, "Refused by Kafka"),
    code("topic_settings_wrong", 500, FailedPrecondition, "Wrong settings of a topic"),
    code("topic_partitions_differ", 500, FailedPrecondition, "Other number of partitions"),
    code("topic_not_ready", 503, Unavailable, "Topic not ready"),
    code("node_invalid", 500, InvalidArgument, "Invalid node"),
    code("record_unreadable", 500, DataLoss, "Unreadable record"),
];

/// Returns a code's row; an unknown code is an internal error.
pub fn find(code: &str) -> Code {
    let known = CODES.iter().find(|known| known.code == code).copied();
    known.unwrap_or(Code {
        code: "internal_error",
        http: 500,
        grpc: Internal,
        title: "Internal error",
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn an_unknown_code_is_an_internal_error() {
        assert_eq!(find("from_the_future").code, "internal_error");
        assert_eq!(find("wrong_version").http, 409);
    }

    #[test]
    fn every_documented_code_has_its_statuses_and_no_other() {
        let page =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors.md"));
        let page = page.unwrap();
        // Those of the folds never come from a server.
        let (page, _) = page.split_once("## A command leads to nothing").unwrap();
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        let documented: BTreeSet<_> = rows.collect();
        let known: BTreeSet<_> = CODES.iter().map(|code| code.code).collect();
        assert_eq!(known.difference(&documented).collect::<Vec<_>>(), Vec::<&&str>::new());
        assert_eq!(documented.difference(&known).collect::<Vec<_>>(), Vec::<&&str>::new());
        assert_eq!(known.len(), CODES.len(), "no code twice");
    }
}
