//! What the errors of Redis mean.

use redis::{ErrorKind, RedisError};

use super::super::ConnectorError;
use super::super::outlet::Undelivered;

/// What a failed command means for its event.
pub(super) fn of_command(error: &RedisError) -> Undelivered {
    let Some(code) = error.code() else { return of_connection(error) };
    let text = describe(code, error);
    match code {
        // No event is at fault, and the command has had no effect.
        code if is_of_server(code) => Undelivered::Stop(ConnectorError::Unavailable(text)),
        "NOAUTH" | "WRONGPASS" => Undelivered::Stop(ConnectorError::Unusable(format!(
            "{text}. Look at username and password, then resume the connector"
        ))),
        "MOVED" | "ASK" => Undelivered::Stop(ConnectorError::Unusable(format!(
            "{text}. This is a node of a Redis Cluster; name a server or a proxy that has all keys"
        ))),
        _ if is_missing_right(error) => Undelivered::Stop(ConnectorError::Unusable(format!(
            "{text}. Let the account run it (ACL SETUSER), then resume the connector"
        ))),
        _ => Undelivered::Refused(text),
    }
}

/// Whether an error tells of a state of the server that passes.
fn is_of_server(code: &str) -> bool {
    const PASSING: [&str; 9] = [
        "LOADING",
        "READONLY",
        "MASTERDOWN",
        "CLUSTERDOWN",
        "TRYAGAIN",
        "BUSY",
        "OOM",
        "MISCONF",
        "NOREPLICAS",
    ];
    PASSING.contains(&code)
}

/// Whether the account may not run a command at all. A key or a channel that it may not use is of one event.
fn is_missing_right(error: &RedisError) -> bool {
    let detail = error.detail().unwrap_or_default();
    match error.code() {
        Some("NOPERM") => detail.contains("command"),
        _ => {
            detail.contains("can't run this command")
                || (detail.contains("ACL failure in script") && detail.contains("command"))
        }
    }
}

fn of_connection(error: &RedisError) -> Undelivered {
    Undelivered::Retry(lost(error), None)
}

fn lost(error: &RedisError) -> String {
    match error.kind() {
        ErrorKind::Io if error.is_timeout() => "Redis has not answered in time".to_owned(),
        ErrorKind::Io => format!("the connection to Redis was lost ({error})"),
        _ => format!("Redis answers what can't be understood ({error})"),
    }
}

/// Returns why there is no connection.
pub(super) fn of_connect(error: &RedisError) -> ConnectorError {
    let text = match error.code() {
        Some(code) => describe(code, error),
        None if error.kind() == ErrorKind::AuthenticationFailed => {
            format!("Redis refuses the account: {}", error.detail().unwrap_or("it is unknown"))
        }
        None => return ConnectorError::Unavailable(lost(error)),
    };
    let is_passing = error.code().is_some_and(is_of_server);
    match is_passing || text.contains("max number of clients") {
        true => ConnectorError::Unavailable(text),
        false => ConnectorError::Unusable(format!(
            "{text}. Look at url, username and password, then resume the connector"
        )),
    }
}

fn describe(code: &str, error: &RedisError) -> String {
    let detail = error.detail().unwrap_or_default().trim();
    format!("Redis answers {code} {detail}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use leftfold_api::Coded;
    use redis::make_extension_error;

    use super::*;

    /// Redis refuses a PING too while it can't save its data.
    #[test]
    fn what_passes_by_itself_is_waited_for_also_when_connecting() {
        for (code, wanted) in [
            ("MISCONF", "connector_unavailable"),
            ("LOADING", "connector_unavailable"),
            ("WRONGPASS", "connector_unusable"),
        ] {
            let error = make_extension_error(code.to_owned(), Some("why".to_owned()));
            assert_eq!(of_connect(&error).code(), wanted, "{code}");
            let Undelivered::Stop(stop) = of_command(&error) else { panic!("{code}") };
            assert_eq!(stop.code(), wanted, "{code}");
        }
    }
}
