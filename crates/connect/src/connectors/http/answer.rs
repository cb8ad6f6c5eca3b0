//! What the answers of a receiver mean.

use reqwest::{Response, StatusCode};

use super::client::{first_bytes, retry_after};
use crate::connectors::ConnectorError;
use crate::connectors::outlet::Undelivered;

/// Decides what an answer means.
pub(super) async fn judge(answer: Response) -> Result<(), Undelivered> {
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    if status == StatusCode::GONE {
        let message = "the receiver answers 410 Gone: it wants no more events. Remove the connector, or resume it to try again";
        return Err(Undelivered::Stop(ConnectorError::unusable(message)));
    }
    if status.is_redirection() {
        let message =
            format!("the receiver answers {status}: redirects are not followed; change the url");
        return Err(Undelivered::Retry(message, None));
    }
    let after = retry_after(&answer);
    let shown = first_bytes(answer).await;
    Err(Undelivered::Retry(format!("the receiver answers {status}{shown}"), after))
}
