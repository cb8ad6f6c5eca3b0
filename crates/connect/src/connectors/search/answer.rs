//! What the answers to a request of `_bulk` mean.

use std::collections::BTreeMap;

use reqwest::StatusCode;
use serde::Deserialize;

use crate::connectors::ConnectorError;
use crate::connectors::batch::Delivered;
use crate::connectors::http::client::shown;
use crate::connectors::outlet::Undelivered;

/// What a request asks for: enough to know what became of each action, in small answers.
pub(super) const FILTER: &str =
    "items.*.status,items.*.error.type,items.*.error.reason,items.*.error.caused_by.reason";

/// Errors of an action that pass once the cluster or its operator has done something, whatever their status.
const PASSING: [&str; 3] =
    ["cluster_block_exception", "index_closed_exception", "index_not_found_exception"];

/// An answer with the outcome of each action.
#[derive(Debug, Deserialize)]
struct BulkAnswer {
    items: Vec<BTreeMap<String, ItemAnswer>>,
}

#[derive(Debug, Deserialize)]
struct ItemAnswer {
    status: u16,
    error: Option<EngineError>,
}

#[derive(Debug, Deserialize)]
struct EngineError {
    r#type: Option<String>,
    reason: Option<String>,
    caused_by: Option<Cause>,
}

#[derive(Debug, Deserialize)]
struct Cause {
    reason: Option<String>,
}

/// An answer that refuses a whole request.
#[derive(Debug, Deserialize)]
struct Refusal {
    error: EngineError,
}

/// Reads what became of each action of a request.
pub(super) fn read_items(
    body: &[u8],
    count: usize,
    has_one_index: bool,
) -> Result<Vec<Delivered>, String> {
    let answer: BulkAnswer = serde_json::from_slice(body)
        .map_err(|error| format!("the answer is not that of a search engine: {error}"))?;
    if answer.items.len() != count {
        return Err(format!("the answer is for {} actions, not {count}", answer.items.len()));
    }
    let item = |item: BTreeMap<String, ItemAnswer>| match item.into_values().next() {
        Some(item) => item.judge(has_one_index),
        None => Err(Undelivered::Retry("the answer lacks an action".to_owned(), None)),
    };
    Ok(answer.items.into_iter().map(item).collect())
}

/// Reads why the engine refuses a whole request; `None` if the answer is not one of an engine.
pub(super) fn read_refusal(body: &[u8]) -> Option<String> {
    let refusal: Refusal = serde_json::from_slice(body).ok()?;
    Some(refusal.error.describe())
}

impl ItemAnswer {
    fn judge(self, has_one_index: bool) -> Delivered {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_GATEWAY);
        let Some(error) = self.error else {
            // A document that is to be deleted may be missing.
            return match status.is_success() || status == StatusCode::NOT_FOUND {
                true => Ok(()),
                false => {
                    Err(Undelivered::Retry(format!("the action has the status {status}"), None))
                }
            };
        };
        let error_type = error.r#type.as_deref().unwrap_or_default();
        let reason = format!("{status}: {}", error.describe());
        match status {
            // The document is of this event or a later one.
            StatusCode::CONFLICT if error_type == "version_conflict_engine_exception" => Ok(()),
            _ if PASSING.contains(&error_type) => Err(Undelivered::Retry(reason, None)),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if has_one_index => {
                Err(Undelivered::Stop(ConnectorError::unusable(reason)))
            }
            StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS => {
                Err(Undelivered::Retry(reason, None))
            }
            status if status.is_client_error() => Err(Undelivered::Refused(reason)),
            _ => Err(Undelivered::Retry(reason, None)),
        }
    }
}

impl EngineError {
    fn describe(&self) -> String {
        let cause = self.caused_by.as_ref().and_then(|cause| cause.reason.as_ref());
        let parts = [self.r#type.as_ref(), self.reason.as_ref(), cause];
        let parts: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
        shown(&parts.join(": "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(item: &str, has_one_index: bool) -> Delivered {
        let body = format!(r#"{{"items":[{{"index":{item}}}]}}"#);
        read_items(body.as_bytes(), 1, has_one_index).unwrap().remove(0)
    }

    fn error(status: u16, name: &str) -> String {
        format!(r#"{{"status":{status},"error":{{"type":"{name}","reason":"why\nnot"}}}}"#)
    }

    #[test]
    fn an_action_is_done_or_says_what_to_do() {
        for done in [
            r#"{"status":200}"#,
            r#"{"status":201}"#,
            r#"{"status":404}"#,
            &error(409, "version_conflict_engine_exception"),
        ] {
            assert!(judge(done, true).is_ok(), "{done}");
        }
        for (status, name) in [
            (409, "other"),
            (429, "es_rejected_execution_exception"),
            (503, "unavailable_shards_exception"),
            (403, "cluster_block_exception"),
            (404, "index_not_found_exception"),
            (400, "index_closed_exception"),
            (7, "no_status"),
        ] {
            let found = judge(&error(status, name), true);
            assert!(matches!(found, Err(Undelivered::Retry(..))), "{status} {name} {found:?}");
        }
        let refused = judge(&error(400, "mapper_parsing_exception"), true);
        assert!(
            matches!(&refused, Err(Undelivered::Refused(why)) if why == "400 Bad Request: mapper_parsing_exception: why not"),
            "{refused:?}"
        );
        let forbidden = error(403, "security_exception");
        assert!(matches!(judge(&forbidden, true), Err(Undelivered::Stop(_))));
        // The event names the index, and must not stop the events for others.
        assert!(matches!(judge(&forbidden, false), Err(Undelivered::Refused(_))));
    }

    #[test]
    fn an_answer_of_something_else_is_none() {
        for (body, part) in [
            ("", "not that of a search engine"),
            ("<html>", "not that of a search engine"),
            ("{}", "not that of a search engine"),
            (r#"{"items":[]}"#, "for 0 actions, not 1"),
            (r#"{"items":[{"index":{"status":200}},{"index":{"status":200}}]}"#, "for 2 actions"),
        ] {
            let wrong = read_items(body.as_bytes(), 1, true).unwrap_err();
            assert!(wrong.contains(part), "{body}: {wrong}");
        }
        assert!(judge("{\"status\":200}", true).is_ok());
        let none = read_items(br#"{"items":[{}]}"#, 1, true).unwrap();
        assert!(matches!(none[0], Err(Undelivered::Retry(..))));
        assert_eq!(read_refusal(b"<html>"), None);
        assert_eq!(
            read_refusal(br#"{"error":{"type":"a","reason":"b"},"status":400}"#).as_deref(),
            Some("a: b")
        );
    }
}
