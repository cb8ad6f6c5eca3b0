//! What each stable code of an error is in HTTP and in gRPC.
//!
//! `docs/errors.md` describes the codes; a test holds the two lists to be the same.

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

/// A stable code, and how each protocol says it.
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

/// Every code that a server may answer with, and those that only the binary says.
pub const CODES: &[Code] = &[
    code("name_invalid", 400, InvalidArgument, "Not a name"),
    code("name_reserved", 400, InvalidArgument, "A reserved name"),
    code("tag_invalid", 400, InvalidArgument, "Not a tag"),
    code("too_many_tags", 400, InvalidArgument, "Too many tags"),
    code("event_too_large", 413, InvalidArgument, "An event is too large"),
    code("append_too_large", 413, InvalidArgument, "The append is too large"),
    code("too_many_events", 413, InvalidArgument, "Too many events"),
    code("too_many_conditions", 413, InvalidArgument, "Too many conditions"),
    code("append_empty", 400, InvalidArgument, "Nothing to append"),
    code("append_contradictory", 400, InvalidArgument, "Something is given twice"),
    code("too_many_checkpoints", 409, ResourceExhausted, "Too many checkpoints"),
    code("cursor_invalid", 400, InvalidArgument, "Not a cursor"),
    code("cursor_foreign", 400, InvalidArgument, "A cursor of another store"),
    code("cursor_ahead", 409, OutOfRange, "A cursor ahead of the store"),
    code("query_syntax", 400, InvalidArgument, "Not a query"),
    code("query_too_large", 413, InvalidArgument, "The query is too large"),
    code("time_invalid", 400, InvalidArgument, "Not a time"),
    code("limit_invalid", 400, InvalidArgument, "A read of nothing"),
    code("version_needs_stream", 400, InvalidArgument, "A version of no single stream"),
    code("ordinal_needs_index", 400, InvalidArgument, "An ordinal of no single list"),
    code("index_unknown", 404, NotFound, "No such index"),
    code("index_exists", 409, AlreadyExists, "The index exists"),
    code("index_building", 503, Unavailable, "The index is not ready yet"),
    code("index_of_index", 400, InvalidArgument, "An index of an index"),
    code("index_query_invalid", 400, InvalidArgument, "A query without text form"),
    code("index_partitions_invalid", 400, InvalidArgument, "Invalid partitions of an index"),
    code("partition_unknown", 404, NotFound, "No such partition"),
    code("crosses_partitions", 400, InvalidArgument, "More than one partition is needed"),
    code("retention_invalid", 400, InvalidArgument, "Not a retention"),
    code("rule_unknown", 404, NotFound, "No such rule"),
    code("too_many_rules", 409, ResourceExhausted, "Too many rules"),
    code("too_many_indexes", 409, ResourceExhausted, "Too many indexes"),
    code("wrong_version", 409, FailedPrecondition, "The stream is elsewhere"),
    code("query_matched", 409, FailedPrecondition, "An event matches the condition"),
    code("checkpoint_moved", 409, FailedPrecondition, "The checkpoint is elsewhere"),
    code("stream_tombstoned", 409, FailedPrecondition, "The stream is closed"),
    code("partial_repeat", 409, FailedPrecondition, "A part of the append is known"),
    code("event_id_reused", 409, AlreadyExists, "The event id is known"),
    code("store_busy", 503, Aborted, "Overtaken by others"),
    code("store_closed", 503, Unavailable, "The store is closed"),
    code("store_locked", 503, Unavailable, "The store is open elsewhere"),
    code("store_missing", 404, NotFound, "No such store"),
    code("store_unusable", 500, DataLoss, "The store can't be used"),
    code("data_damaged", 500, DataLoss, "Data is damaged"),
    code("index_damaged", 500, DataLoss, "An index is damaged"),
    code("disk_full", 507, ResourceExhausted, "The disk is full"),
    code("write_failed", 500, Internal, "A write failed"),
    code("disk_failed", 500, Internal, "The disk failed"),
    code("backup_foreign", 409, FailedPrecondition, "Not a directory of these backups"),
    code("backup_missing", 404, NotFound, "No such backup"),
    code("backup_damaged", 500, DataLoss, "The backup is damaged"),
    code("backup_locked", 409, Unavailable, "The backup is in use"),
    code("restore_not_empty", 409, FailedPrecondition, "The directory is not empty"),
    code("unauthenticated", 401, Unauthenticated, "Who asks is not known"),
    code("forbidden", 403, PermissionDenied, "Not allowed"),
    code("host_refused", 421, PermissionDenied, "Meant for another host"),
    code("user_unknown", 404, NotFound, "No such user"),
    code("user_exists", 409, AlreadyExists, "The user exists"),
    code("group_unknown", 404, NotFound, "No such group"),
    code("group_exists", 409, AlreadyExists, "The group exists"),
    code("token_unknown", 404, NotFound, "No such token"),
    code("token_exists", 409, AlreadyExists, "The token exists"),
    code("grant_unknown", 404, NotFound, "No such grant"),
    code("grant_invalid", 400, InvalidArgument, "Not the scope of a grant"),
    code("password_invalid", 400, InvalidArgument, "Not a password"),
    code("last_manager", 409, FailedPrecondition, "Nobody would be left to manage"),
    code("too_many_accounts", 409, ResourceExhausted, "Too many accounts"),
    code("body_invalid", 400, InvalidArgument, "The body can't be read"),
    code("body_too_large", 413, ResourceExhausted, "The body is too large"),
    code("body_late", 408, DeadlineExceeded, "The body took too long"),
    code("media_type_unsupported", 415, InvalidArgument, "Not this media type"),
    code("not_acceptable", 406, InvalidArgument, "No answer of this media type"),
    code("parameter_invalid", 400, InvalidArgument, "A parameter can't be read"),
    code("path_unknown", 404, Unimplemented, "No such path"),
    code("method_unknown", 405, Unimplemented, "Not this method"),
    code("stream_unknown", 404, NotFound, "No such stream"),
    code("event_unknown", 404, NotFound, "No such event"),
    code("checkpoint_unknown", 404, NotFound, "No such checkpoint"),
    code("backups_off", 403, FailedPrecondition, "No backups here"),
    code("rate_limited", 429, ResourceExhausted, "Too many requests"),
    code("server_overloaded", 503, ResourceExhausted, "Too much at once"),
    code("server_closing", 503, Unavailable, "The server is closing"),
    code("request_invalid", 400, InvalidArgument, "The request means nothing"),
    code("url_invalid", 400, InvalidArgument, "Not a server's URL"),
    code("server_unreachable", 503, Unavailable, "The server can't be reached"),
    code("timed_out", 504, DeadlineExceeded, "No answer in time"),
    code("outcome_unknown", 503, Unavailable, "Done or not"),
    code("protocol_error", 502, Internal, "The answer can't be understood"),
    code("not_over_network", 400, FailedPrecondition, "Not over a network"),
    code("internal_error", 500, Internal, "A mistake of the server"),
    code("listen_insecure", 500, FailedPrecondition, "Open to everybody"),
    code("listen_failed", 500, Unavailable, "The address can't be listened on"),
    code("tls_invalid", 500, FailedPrecondition, "Not a certificate and its key"),
    code("setting_unknown", 500, InvalidArgument, "No such setting"),
    code("setting_invalid", 500, InvalidArgument, "Not a value of the setting"),
    code("config_unreadable", 500, NotFound, "The configuration can't be read"),
    code("config_syntax", 500, InvalidArgument, "The configuration is not TOML"),
    code("certificate_exists", 500, AlreadyExists, "There is a certificate already"),
];

/// What a code is; an unknown one is the server's mistake.
pub fn find(code: &str) -> Code {
    let known = CODES.iter().find(|known| known.code == code).copied();
    known.unwrap_or(Code {
        code: "internal_error",
        http: 500,
        grpc: Internal,
        title: "A mistake of the server",
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_code_that_nobody_knows_is_the_servers_mistake() {
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
