//! SASL: how a connection of a Kafka client proves who it is.
//!
//! A client names a mechanism in a handshake, then sends one message (PLAIN) or two (SCRAM). It may do both
//! again on the same connection (KIP-368), but stays the same user. A server without users needs none of
//! this.

use std::mem;

use bytes::Bytes;
use leftfold_kafka::{ResponseError, SaslMechanism};

use crate::access::{Access, Caller, Credentials, Denial, Origin, ScramLogin};

/// Bytes of a message of a mechanism.
const MESSAGE_BYTES: usize = 16 * 1024;
/// The user name of PLAIN with which a token is sent as the password. No user has it: names do not begin
/// with `$`.
const TOKEN: &str = "$token";
/// What a client learns of wrong credentials of any kind.
const REFUSED: &str = "SASL authentication failed";

/// The authentication of one connection.
#[derive(Debug, Default)]
pub(crate) struct SaslSession {
    state: State,
    /// The user, after the first authentication.
    user: Option<String>,
}

#[derive(Debug, Default)]
enum State {
    /// A handshake may come.
    #[default]
    Idle,
    /// The first message of this mechanism is expected.
    Chosen(SaslMechanism),
    /// The last message of SCRAM is expected.
    Challenged(Box<ScramLogin>),
    /// The connection is to be closed.
    Failed,
}

/// The outcome of a message.
#[derive(Debug)]
pub(crate) enum Step {
    /// The client is to answer this.
    Continue(Bytes),
    /// The client is authenticated; this is the last message to it.
    Done(Bytes, Caller),
}

/// Why an authentication failed. The connection is closed after the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SaslFailure {
    /// The server does not have the mechanism.
    UnsupportedMechanism,
    /// The request is out of order.
    IllegalState,
    /// The credentials were refused, with this text for the client.
    Refused(&'static str),
    /// Too many wait for the check of their credentials. The connection is closed without an answer: clients
    /// of Kafka give up for good at an error, and try again after a lost connection.
    Busy,
}

impl SaslFailure {
    /// Returns the error of the answer, or `None` if there is no answer.
    pub(crate) fn error(&self) -> Option<ResponseError> {
        match self {
            SaslFailure::UnsupportedMechanism => Some(ResponseError::UnsupportedSaslMechanism),
            SaslFailure::IllegalState => Some(ResponseError::IllegalSaslState),
            SaslFailure::Refused(_) => Some(ResponseError::SaslAuthenticationFailed),
            SaslFailure::Busy => None,
        }
    }

    /// Returns the text of the answer.
    pub(crate) fn message(&self) -> &'static str {
        match self {
            SaslFailure::UnsupportedMechanism => "the server does not have this SASL mechanism",
            SaslFailure::IllegalState => "the SASL request is out of order",
            SaslFailure::Refused(text) => text,
            SaslFailure::Busy => "too many wait for authentication; try again later",
        }
    }
}

impl From<Denial> for SaslFailure {
    fn from(denial: Denial) -> Self {
        if denial.can_retry() { SaslFailure::Busy } else { SaslFailure::Refused(REFUSED) }
    }
}

impl SaslSession {
    /// Returns the names of all mechanisms, which each answer to a handshake lists.
    pub(crate) fn mechanisms() -> impl Iterator<Item = &'static str> {
        SaslMechanism::ALL.into_iter().map(SaslMechanism::name)
    }

    /// Returns whether the connection is authenticated. It stays so while it authenticates again.
    #[cfg(test)]
    pub(crate) fn is_authenticated(&self) -> bool {
        self.user.is_some() && !matches!(self.state, State::Failed)
    }

    /// Returns whether an authentication has begun: then only its next message is expected.
    pub(crate) fn is_underway(&self) -> bool {
        !matches!(self.state, State::Idle)
    }

    /// Chooses the mechanism.
    ///
    /// # Errors
    /// [`SaslFailure::UnsupportedMechanism`], [`SaslFailure::IllegalState`].
    pub(crate) fn handshake(&mut self, mechanism: &str) -> Result<(), SaslFailure> {
        // Each failure is final, so a client can't go on asking.
        let State::Idle = mem::replace(&mut self.state, State::Failed) else {
            return Err(SaslFailure::IllegalState);
        };
        let chosen = mechanism.parse().map_err(|_| SaslFailure::UnsupportedMechanism)?;
        self.state = State::Chosen(chosen);
        Ok(())
    }

    /// Takes the next message of the mechanism. If the future is dropped, the authentication has failed.
    ///
    /// # Errors
    /// The authentication failed.
    pub(crate) async fn authenticate(
        &mut self,
        message: &[u8],
        access: &Access,
        origin: Origin,
    ) -> Result<Step, SaslFailure> {
        let state = mem::replace(&mut self.state, State::Failed);
        if matches!(state, State::Idle | State::Failed) {
            return Err(SaslFailure::IllegalState);
        }
        if !access.has_users() {
            return Err(SaslFailure::Refused("this server has no users: connect without SASL"));
        }
        if message.len() > MESSAGE_BYTES {
            return Err(SaslFailure::Refused(REFUSED));
        }
        let (answer, caller) = match state {
            State::Idle | State::Failed => return Err(SaslFailure::IllegalState),
            State::Chosen(mechanism) => match mechanism.scram_hash() {
                Some(hash) => {
                    let login = access.begin_scram(hash, message, &origin)?;
                    let first = Bytes::copy_from_slice(login.first().as_bytes());
                    self.state = State::Challenged(Box::new(login));
                    return Ok(Step::Continue(first));
                }
                None => {
                    let credentials = plain(message).ok_or(SaslFailure::Refused(REFUSED))?;
                    (Bytes::new(), access.authenticate(Some(&credentials), origin).await?)
                }
            },
            State::Challenged(login) => {
                let (caller, last) = access.finish_scram(*login, message, origin).await?;
                (Bytes::from(last), caller)
            }
        };
        self.accept(&caller)?;
        Ok(Step::Done(answer, caller))
    }

    /// Takes the caller, who must be the user that the connection had before.
    fn accept(&mut self, caller: &Caller) -> Result<(), SaslFailure> {
        let user = caller.account().ok_or(SaslFailure::Refused(REFUSED))?;
        match &self.user {
            Some(before) if before != user => {
                return Err(SaslFailure::Refused("a connection can't change its user"));
            }
            Some(_) => {}
            None => self.user = Some(user.to_owned()),
        }
        self.state = State::Idle;
        Ok(())
    }
}

/// Parses the message of PLAIN (RFC 4616): whom to act as, who it is, and the password, separated by NUL.
fn plain(message: &[u8]) -> Option<Credentials> {
    let mut parts = std::str::from_utf8(message).ok()?.split('\0');
    let (act_as, user, password) = (parts.next()?, parts.next()?, parts.next()?);
    let is_wrong = user.is_empty() || password.is_empty() || parts.next().is_some();
    if is_wrong || !(act_as.is_empty() || act_as == user) {
        return None;
    }
    let password = password.to_owned().into();
    Some(match user {
        TOKEN => Credentials::Bearer(password),
        _ => Credentials::Basic { user: user.to_owned(), password },
    })
}

#[cfg(test)]
#[path = "sasl_tests.rs"]
mod tests;
