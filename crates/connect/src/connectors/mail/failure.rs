//! What the answers of a mail server mean.

use std::error::Error as _;

use lettre::transport::smtp::Error;

use super::super::ConnectorError;
use super::super::outlet::Undelivered;

/// The codes of a server that wants another account or TLS: no event is at fault.
const OF_ACCOUNT: [u16; 4] = [530, 534, 535, 538];

/// What a failed command means for its event.
pub(super) fn of_command(error: &Error) -> Undelivered {
    let text = describe(error);
    match code(error) {
        Some(code) if OF_ACCOUNT.contains(&code) => Undelivered::Stop(of_account(&text)),
        _ if error.is_permanent() || error.is_client() => Undelivered::Refused(text),
        // The server says itself that it has not taken the mail.
        _ if error.is_transient() => Undelivered::NotTaken(text),
        _ => Undelivered::Retry(text, None),
    }
}

/// Returns why there is no connection.
pub(super) fn of_connect(error: &Error) -> ConnectorError {
    match error.is_permanent() || error.is_client() {
        true => of_account(&describe(error)),
        false => ConnectorError::unavailable(describe(error)),
    }
}

fn of_account(text: &str) -> ConnectorError {
    ConnectorError::unusable(format!(
        "{text}. Look at server, tls, username and password, then resume the connector"
    ))
}

fn code(error: &Error) -> Option<u16> {
    error.status().map(u16::from)
}

/// Returns what a server has answered, or why it has not.
fn describe(error: &Error) -> String {
    let mut text = match code(error) {
        Some(code) => format!("the mail server answers {code}"),
        None if error.is_timeout() => "the mail server has not answered in time".to_owned(),
        None => "the mail server can't be talked to".to_owned(),
    };
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string().replace(|letter: char| letter.is_control(), " ");
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        source = cause.source();
    }
    text
}
