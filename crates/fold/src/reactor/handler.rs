use std::future::Future;

use super::{Cause, Results, Setback};

/// Handles the events of a reactor.
///
/// A closure implements it if it returns a future of `Result<R, E>`, where `R` is [`Results`] or
/// `()`, and `E` is [`Setback`] or any error:
///
/// ```
/// use leftfold::reactor::{Cause, Handler, Results, Setback};
/// use leftfold::NewEvent;
///
/// fn is_a_handler(_: impl Handler) {}
///
/// is_a_handler(|cause: Cause| async move {
///     let stream = format!("seen-{}", cause.event.stream());
///     Ok::<_, Setback>(Results::none().event(stream, NewEvent::json("Seen", "{}")))
/// });
/// ```
pub trait Handler: Send + Sync + 'static {
    /// Handles an event.
    ///
    /// The future runs inside that of the reactor, so move long computations to other threads. A
    /// panic counts as a failed attempt.
    fn handle(&self, cause: Cause) -> impl Future<Output = Result<Results, Setback>> + Send;
}

impl<F, Fut, R, E> Handler for F
where
    F: Fn(Cause) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R, E>> + Send,
    R: Into<Results>,
    E: Into<Setback>,
{
    async fn handle(&self, cause: Cause) -> Result<Results, Setback> {
        match self(cause).await {
            Ok(results) => Ok(results.into()),
            Err(setback) => Err(setback.into()),
        }
    }
}
