use std::future::Future;

use super::{Cause, HandlerError, Reaction};

/// Handles the events of a reactor.
///
/// A closure implements it if it returns a future of `Result<R, E>`, where `R` is [`Reaction`] or
/// `()`, and `E` is [`HandlerError`] or any error:
///
/// ```
/// use leftfold::react::{Cause, Handler, Reaction, HandlerError};
/// use leftfold::NewEvent;
///
/// fn is_a_handler(_: impl Handler) {}
///
/// is_a_handler(|cause: Cause| async move {
///     let stream = format!("seen-{}", cause.event.stream());
///     Ok::<_, HandlerError>(Reaction::none().event(stream, NewEvent::json("Seen", "{}")))
/// });
/// ```
pub trait Handler: Send + Sync + 'static {
    /// Handles an event.
    ///
    /// The future runs inside that of the reactor, so move long computations to other threads. A
    /// panic counts as a failed attempt.
    fn handle(&self, cause: Cause) -> impl Future<Output = Result<Reaction, HandlerError>> + Send;
}

impl<F, Fut, R, E> Handler for F
where
    F: Fn(Cause) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R, E>> + Send,
    R: Into<Reaction>,
    E: Into<HandlerError>,
{
    async fn handle(&self, cause: Cause) -> Result<Reaction, HandlerError> {
        match self(cause).await {
            Ok(results) => Ok(results.into()),
            Err(setback) => Err(setback.into()),
        }
    }
}
