//! Requests of `_bulk`.

use std::time::Duration;

use reqwest::{Method, Response, StatusCode};

use super::action::Action;
use super::answer::{FILTER, read_items, read_refusal};
use super::cluster::{BodyError, CLUSTER, Cluster, MOST_ANSWER_BYTES, read_body};
use crate::connectors::ConnectorError;
use crate::connectors::batch::Delivered;
use crate::connectors::http::client::{describe, first_bytes, retry_after, shown};
use crate::connectors::outlet::Undelivered;

/// The most requests for one batch. A batch of a thousand actions with one that makes the whole fail needs 21.
const MOST_REQUESTS: usize = 64;
/// The longest that the cluster can ask for by `Retry-After`.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Sends batches of actions.
pub(super) struct Bulk {
    cluster: Cluster,
    /// Whether all actions are for the same index.
    has_one_index: bool,
}

/// Why a request has no outcome for each of its actions.
enum Failure {
    /// Something in it: parts of it may go well.
    Content(String),
    /// All actions have this outcome.
    Whole(Undelivered),
}

impl Bulk {
    pub(super) fn new(cluster: Cluster, has_one_index: bool) -> Self {
        Bulk { cluster, has_one_index }
    }

    /// Sends a batch, and returns what became of each action. A request that is refused as a whole is sent again in
    /// halves, so that the actions which are to blame are found.
    pub(super) async fn send(&self, actions: Vec<Action>) -> Vec<Delivered> {
        let mut outcomes = Vec::with_capacity(actions.len());
        // The first one is the last.
        let mut parts = vec![actions.as_slice()];
        let mut requests = 0;
        while let Some(part) = parts.pop() {
            requests += 1;
            if requests > MOST_REQUESTS {
                let reason = "too many actions make requests fail; it is sent again with others";
                outcomes.resize(actions.len(), Err(Undelivered::Retry(reason.to_owned(), None)));
                break;
            }
            match self.request(part).await {
                Ok(found) => outcomes.extend(found),
                Err(Failure::Content(reason)) if part.len() == 1 => {
                    outcomes.push(Err(Undelivered::Refused(reason)));
                }
                Err(Failure::Content(_)) => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
                Err(Failure::Whole(undelivered)) => {
                    outcomes.resize(actions.len(), Err(undelivered));
                    break;
                }
            }
        }
        outcomes
    }

    async fn request(&self, actions: &[Action]) -> Result<Vec<Delivered>, Failure> {
        let body: String = actions.iter().map(|action| action.lines.as_str()).collect();
        let request = self.cluster.request(Method::POST, &["_bulk"]);
        let request = request
            .query(&[("filter_path", FILTER)])
            .header("content-type", "application/x-ndjson")
            .body(body);
        let answer = request.send().await.map_err(|error| {
            let reason = describe(&error, CLUSTER);
            match error.is_connect() {
                // The events are not to blame, so the connector waits, and no event uses up its attempts.
                true => stop(ConnectorError::unavailable(reason)),
                false => retry(reason),
            }
        })?;
        if !answer.status().is_success() {
            return Err(judge(answer).await);
        }
        match read_body(answer).await {
            Ok(body) => read_items(&body, actions.len(), self.has_one_index).map_err(retry),
            Err(BodyError::Cut(reason)) => Err(retry(reason)),
            Err(BodyError::TooLarge) => {
                Err(Failure::Content(format!("the answer has more than {MOST_ANSWER_BYTES} bytes")))
            }
        }
    }
}

/// Decides what the answer to a whole request means.
async fn judge(answer: Response) -> Failure {
    let status = answer.status();
    let after = retry_after(&answer);
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => Failure::Content(format!(
            "{CLUSTER} answers {status}: the document is larger than it accepts"
        )),
        StatusCode::BAD_REQUEST => {
            let body = read_body(answer).await.unwrap_or_default();
            match read_refusal(&body) {
                Some(reason) => Failure::Content(format!("{status}: {reason}")),
                None => {
                    let text = String::from_utf8_lossy(&body);
                    stop(ConnectorError::unusable(format!(
                        "the url is not that of a search engine, which does not answer {status}: {}",
                        shown(text.trim())
                    )))
                }
            }
        }
        status if is_of_cluster(status) => {
            let reason = format!("{CLUSTER} answers {status}{}", first_bytes(answer).await);
            // Meanwhile the others wait for their turn.
            tokio::time::sleep(after.unwrap_or_default().min(LONGEST_WAIT)).await;
            stop(ConnectorError::unavailable(reason))
        }
        status if is_passing(status) => {
            let reason = format!("{CLUSTER} answers {status}{}", first_bytes(answer).await);
            Failure::Whole(Undelivered::Retry(reason, after))
        }
        status if status.is_redirection() => stop(ConnectorError::unusable(format!(
            "{CLUSTER} answers {status}: redirects are not followed; change the url"
        ))),
        status => stop(ConnectorError::unusable(format!(
            "{CLUSTER} answers {status}{}; mend the url, the password or the rights, then resume the connector",
            first_bytes(answer).await
        ))),
    }
}

/// Whether no action is at fault: the cluster has too much to do, or is not there. No attempt is used up.
fn is_of_cluster(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

/// Whether another request may go well without a change.
fn is_passing(status: StatusCode) -> bool {
    status == StatusCode::REQUEST_TIMEOUT || status.is_server_error()
}

fn retry(reason: String) -> Failure {
    Failure::Whole(Undelivered::Retry(reason, None))
}

fn stop(error: ConnectorError) -> Failure {
    Failure::Whole(Undelivered::Stop(error))
}
