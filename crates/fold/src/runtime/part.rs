//! What a runtime runs: reactors, command streams and views behind one trait.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use leftfold_api::{AppendError, Coded, EventStore, Failure, ReadError};

use super::Environment;
use super::status::{PartFailure, PartKind};
use crate::commands::{Commands, Handle, Recordable, RunError};
use crate::execute::FoldError;
use crate::react::{Handler, Reactor, ReactorError};
use crate::view::{Lag, View, ViewError, ViewRunner};

/// A part of a runtime.
pub(super) trait Part: Send + Sync + 'static {
    fn kind(&self) -> PartKind;

    fn name(&self) -> String;

    /// Runs until `stop` is ready. It can be run again after an error.
    fn run<'a>(
        &'a self,
        environment: &'a Environment,
        stop: BoxFuture<'static, ()>,
    ) -> BoxFuture<'a, Result<(), PartError>>;

    /// Returns how far it is behind the store, if that is known.
    fn lag(&self) -> BoxFuture<'_, Option<Duration>> {
        std::future::ready(None).boxed()
    }
}

/// Why a part has ended.
#[derive(Debug)]
pub(super) struct PartError {
    failure: PartFailure,
    /// Whether a restart can't help.
    pub(super) is_final: bool,
}

impl PartError {
    pub(super) fn of(error: &impl Coded, is_final: bool) -> Self {
        let (code, message) = (error.code().to_owned(), error.to_string());
        PartError { failure: PartFailure { code, message }, is_final }
    }

    pub(super) fn of_panic(panic: &(dyn std::any::Any + Send)) -> Self {
        let words = panic.downcast_ref::<&str>().map(|words| (*words).to_owned());
        let words = words.or_else(|| panic.downcast_ref::<String>().cloned());
        let message = format!("it panicked: {}", words.unwrap_or_default());
        PartError {
            failure: PartFailure { code: "internal_error".to_owned(), message },
            is_final: false,
        }
    }

    pub(super) fn failure(&self) -> PartFailure {
        self.failure.clone()
    }
}

/// Whether a failure of the store stays: the store is closed, or its bytes are damaged.
fn stays(failure: &Failure) -> bool {
    matches!(
        failure,
        Failure::Closed
            | Failure::Damaged { .. }
            | Failure::IndexDamaged { .. }
            | Failure::Record { .. }
    )
}

fn read_stays(error: &ReadError) -> bool {
    match error {
        ReadError::Invalid(invalid) => invalid.code != "index_building",
        ReadError::Failure(failure) => stays(failure),
        _ => false,
    }
}

fn append_stays(error: &AppendError) -> bool {
    match error {
        AppendError::Invalid(_) => true,
        AppendError::Failure(failure) => stays(failure),
        _ => false,
    }
}

impl From<ReadError> for PartError {
    fn from(error: ReadError) -> Self {
        PartError::of(&error, read_stays(&error))
    }
}

impl From<AppendError> for PartError {
    fn from(error: AppendError) -> Self {
        PartError::of(&error, append_stays(&error))
    }
}

impl From<ReactorError> for PartError {
    fn from(error: ReactorError) -> Self {
        let is_final = match &error {
            ReactorError::Journal { .. } | ReactorError::Invalid(_) => true,
            ReactorError::Read(error) => read_stays(error),
            ReactorError::Append(error) => append_stays(error),
            ReactorError::Overtaken { .. } => false,
        };
        PartError::of(&error, is_final)
    }
}

impl From<ViewError> for PartError {
    fn from(error: ViewError) -> Self {
        let is_final = match &error {
            ViewError::OtherHistory { .. }
            | ViewError::OtherLogic { .. }
            | ViewError::Event { .. }
            | ViewError::StoppedBefore { .. } => true,
            ViewError::Read(error) => read_stays(error),
            _ => false,
        };
        PartError::of(&error, is_final)
    }
}

impl From<RunError> for PartError {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Store(error) => {
                let is_final = match &error {
                    FoldError::Read(error) => read_stays(error),
                    FoldError::Append(error) => append_stays(error),
                    _ => !error.can_retry(),
                };
                PartError::of(&error, is_final)
            }
            RunError::Replaced { .. } => PartError {
                failure: PartFailure {
                    code: "checkpoint_moved".to_owned(),
                    message: error.to_string(),
                },
                is_final: false,
            },
        }
    }
}

pub(super) struct ReactorPart<S, H>(pub(super) Reactor<S, H>);

impl<S: EventStore + 'static, H: Handler> Part for ReactorPart<S, H> {
    fn kind(&self) -> PartKind {
        PartKind::Reactor
    }

    fn name(&self) -> String {
        self.0.name().to_owned()
    }

    fn run<'a>(
        &'a self,
        environment: &'a Environment,
        stop: BoxFuture<'static, ()>,
    ) -> BoxFuture<'a, Result<(), PartError>> {
        let mut reactor = self.0.clone();
        if let Some(time) = &environment.given_time {
            reactor = reactor.time(time.clone());
        }
        if let Some(random) = &environment.given_random {
            reactor = reactor.random(random.clone());
        }
        if let Some(ownership) = &environment.ownership {
            reactor = reactor.ownership(ownership.clone());
        }
        async move { Ok(reactor.run_until(stop).await.map(drop)?) }.boxed()
    }

    fn lag(&self) -> BoxFuture<'_, Option<Duration>> {
        let status = self.0.status().now();
        std::future::ready(status.caught_up.then_some(status.lag)).boxed()
    }
}

pub(super) struct ViewPart<V, S>(pub(super) Arc<ViewRunner<V, S>>);

impl<V: View, S: EventStore + 'static> Part for ViewPart<V, S> {
    fn kind(&self) -> PartKind {
        PartKind::View
    }

    fn name(&self) -> String {
        self.0.view().name().to_owned()
    }

    fn run<'a>(
        &'a self,
        _: &'a Environment,
        stop: BoxFuture<'static, ()>,
    ) -> BoxFuture<'a, Result<(), PartError>> {
        async move { Ok(self.0.run_until(stop).await?) }.boxed()
    }

    fn lag(&self) -> BoxFuture<'_, Option<Duration>> {
        let lag = async {
            match self.0.lag().await {
                Ok(Lag::None) => Some(Duration::ZERO),
                Ok(Lag::Since(time)) => Some(time),
                Err(_) => None,
            }
        };
        lag.boxed()
    }
}

pub(super) struct CommandsPart<C, T, H> {
    pub(super) commands: Commands<C, T>,
    pub(super) handler: H,
}

impl<C, T, H> Part for CommandsPart<C, T, H>
where
    C: Recordable,
    T: EventStore + Clone + 'static,
    H: Handle<C> + Clone + 'static,
{
    fn kind(&self) -> PartKind {
        PartKind::Commands
    }

    fn name(&self) -> String {
        self.commands.name().to_owned()
    }

    fn run<'a>(
        &'a self,
        environment: &'a Environment,
        stop: BoxFuture<'static, ()>,
    ) -> BoxFuture<'a, Result<(), PartError>> {
        let (handler, time) = (self.handler.clone(), environment.time());
        async move { Ok(self.commands.run_until(handler, time, stop).await?) }.boxed()
    }
}
