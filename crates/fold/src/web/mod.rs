//! Answers of an HTTP service with axum (feature `axum`).
//!
//! A handler takes a [`CommandContext`](crate::CommandContext) as an argument, returns a
//! [`Problem`] as its error, and uses `?` on everything of this crate:
//!
//! ```
//! # use std::sync::Arc;
//! # use axum::{Json, extract::{Path, State}};
//! # use leftfold::{Command, CommandContext, Embedded, Event, Execute, StreamState};
//! # use leftfold::web::{Problem, Refusal};
//! # #[derive(Debug, PartialEq, leftfold::Event)]
//! # enum Booking { Cancelled }
//! # #[derive(Default)]
//! # struct State_(bool);
//! # impl leftfold::State for State_ {
//! #     type Event = Booking;
//! #     fn apply(&mut self, _: &Booking) { self.0 = true }
//! # }
//! #[derive(Debug, thiserror::Error)]
//! enum Refused {
//!     #[error("the booking is cancelled already")]
//!     Cancelled,
//! }
//!
//! impl Refusal for Refused {} // 422; a method chooses another status
//!
//! # #[derive(serde::Serialize)]
//! # struct Cancel(String);
//! # impl Command for Cancel {
//! #     type Event = Booking;
//! #     type Error = Refused;
//! #     type Reads = StreamState<State_>;
//! #     fn reads(&self) -> StreamState<State_> { StreamState::of(&self.0) }
//! #     fn decide(&self, state: &State_) -> Result<Vec<Booking>, Refused> {
//! #         if state.0 { Err(Refused::Cancelled) } else { Ok(vec![Booking::Cancelled]) }
//! #     }
//! # }
//! async fn cancel(
//!     State(store): State<Arc<Embedded>>,
//!     context: CommandContext, // from the headers of the request
//!     Path(booking): Path<String>,
//! ) -> Result<Json<u64>, Problem> {
//!     let executed = store.execute_as(context, Cancel(booking)).await?;
//!     Ok(Json(executed.events.len() as u64))
//! }
//! # let _: axum::Router = axum::Router::new()
//! #     .route("/", axum::routing::post(cancel))
//! #     .with_state(Arc::new(Embedded::open(tempfile::tempdir()?.path(), Default::default())?));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Statuses
//!
//! | what | status |
//! |---|---|
//! | the domain has refused the command | 422, or what the [`Refusal`] chooses |
//! | a command id that another command has used | 422 |
//! | other writers overtook the command at every attempt | 503 with `retry-after`: the same request may succeed |
//! | a condition of an append does not hold | 409: read again and decide again |
//! | the state does not allow the command yet | 409 with `retry-after` |
//! | invalid input, such as the name of a stream | 400, 404, 409 or 413, as the server answers it |
//! | the store can't answer now, or a view is late | 503 with `retry-after` |
//! | another failure | 500; 502, 504 and 507 where HTTP has a status for it |
//!
//! Bodies are problem documents (RFC 9457) with the members of the server's: `type`, `title`,
//! `status`, `detail`, `code` and `can_retry`. Answers about the store's own credentials are
//! 500, because they are not about the caller's.

mod context;
mod problem;
mod status;

pub use context::context_of;
pub use problem::{Problem, Refusal};
pub use status::status_of;
