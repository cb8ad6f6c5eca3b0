use leftfold_api::Invalid;

/// Makes the error of a message without a meaning.
pub(crate) fn request(what: impl Into<String>) -> Invalid {
    Invalid::new("request_invalid", what)
}

/// Makes the error of a message without a required field.
pub(crate) fn missing(what: &str) -> Invalid {
    request(format!("the request names no {what}; it is required"))
}

/// Makes the error of an answer that breaks the protocol.
pub(crate) fn answer(what: &str) -> leftfold_api::Failure {
    leftfold_api::Failure::Remote {
        code: "protocol_error",
        message: format!("the server's answer can't be understood: {what}"),
        can_retry: false,
    }
}
