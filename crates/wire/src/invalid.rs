use leftfold_api::Invalid;

/// A message that says what none can mean.
pub(crate) fn request(what: impl Into<String>) -> Invalid {
    Invalid::new("request_invalid", what)
}

/// What a message must have is missing.
pub(crate) fn missing(what: &str) -> Invalid {
    request(format!("the request names no {what}; it is required"))
}

/// The other side says what it should not.
pub(crate) fn answer(what: &str) -> leftfold_api::Failure {
    leftfold_api::Failure::Remote {
        code: "protocol_error",
        message: format!("the server's answer can't be understood: {what}"),
        can_retry: false,
    }
}
