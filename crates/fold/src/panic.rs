//! Panics of a program's own code (`decide`, `apply`, decoding) become errors where others would
//! suffer from them.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};

use futures_util::FutureExt;

use crate::execute::FoldError;

/// Returns the text of a panic.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

fn error(panic: Box<dyn Any + Send>) -> FoldError {
    FoldError::Panicked { message: panic_text(&*panic) }
}

/// Calls a function; a panic becomes an error. What the function was changing must not be used
/// after an error.
pub(crate) fn catch<T>(call: impl FnOnce() -> T) -> Result<T, FoldError> {
    catch_unwind(AssertUnwindSafe(call)).map_err(error)
}

/// Awaits a future; a panic becomes an error. What the future was changing must not be used after
/// an error.
pub(crate) async fn catch_async<T>(future: impl Future<Output = T>) -> Result<T, FoldError> {
    AssertUnwindSafe(future).catch_unwind().await.map_err(error)
}
