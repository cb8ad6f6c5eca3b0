use std::sync::Arc;
use std::time::Duration;

use leftfold_api::ReadError;
use leftfold_wire::v1::admin_client::AdminClient;
use leftfold_wire::v1::store_client::StoreClient;
use leftfold_wire::{MAX_MESSAGE, Traffic};
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};
use tonic::codec::CompressionEncoding;
use tonic::metadata::{Ascii, MetadataKey, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};
use tracing::{Instrument, debug, debug_span};

use crate::backoff::Backoff;
use crate::call_error::CallError;
use crate::counts::{Counters, count};

/// Calls to a server, on the client's runtime.
#[derive(Clone)]
pub(crate) struct Calls {
    pub(crate) handle: Handle,
    pub(crate) channel: Channel,
    pub(crate) headers: Headers,
    /// The time of a call, with all its attempts.
    pub(crate) timeout: Duration,
    /// The time within which a subscription must find its server again.
    pub(crate) reconnect_time: Duration,
    /// Whether a call is sent once only.
    pub(crate) sends_once: bool,
    pub(crate) on_retry: Option<OnRetry>,
    /// Whether messages are compressed both ways.
    pub(crate) is_compressed: bool,
    /// Shared by all clones of a client.
    pub(crate) counters: Arc<Counters>,
    pub(crate) traffic: Arc<Traffic>,
}

/// Receives the reason of each retry.
#[derive(Clone)]
pub(crate) struct OnRetry(pub(crate) Arc<dyn Fn(&ReadError) + Send + Sync>);

/// A connection that sends headers.
pub(crate) type Service = InterceptedService<Channel, Headers>;

/// The headers of each call: the credentials, if there are any, and those of the client's user.
#[derive(Clone, Default)]
pub(crate) struct Headers(pub(crate) Vec<(MetadataKey<Ascii>, MetadataValue<Ascii>)>);

impl Interceptor for Headers {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        for (name, value) in &self.0 {
            request.metadata_mut().insert(name.clone(), value.clone());
        }
        Ok(request)
    }
}

/// When a call is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    /// After any error that may pass: the call only reads.
    Always,
    /// Only if it never arrived: the call changes the store.
    IfNotSent,
}

/// The time that a call may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeLimit {
    /// The time of the client.
    Usual,
    /// No limit while the connection lives: the call may read the whole store.
    None,
}

impl Calls {
    /// Returns the connection, for calls with the headers.
    pub(crate) fn service(&self) -> Service {
        InterceptedService::new(self.channel.clone(), self.headers.clone())
    }

    pub(crate) fn store(&self) -> StoreClient<Service> {
        let client = StoreClient::new(self.service())
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE);
        match self.is_compressed {
            true => client
                .send_compressed(CompressionEncoding::Gzip)
                .accept_compressed(CompressionEncoding::Gzip),
            false => client,
        }
    }

    pub(crate) fn admin(&self) -> AdminClient<Service> {
        AdminClient::new(self.service())
    }

    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    /// Reports that an error is followed by another attempt.
    pub(crate) fn report_retry(&self, error: &CallError) {
        count(&self.counters.retries);
        debug!(error = %ReadError::from(error.clone()), "retry");
        if let Some(OnRetry(report)) = &self.on_retry {
            report(&error.clone().into());
        }
    }

    /// Sends a request until the server answers it or the deadline has come.
    pub(crate) async fn send<Q, A, F>(
        &self,
        retry: Retry,
        limit: TimeLimit,
        request: Q,
        call: impl Fn(Calls, Q) -> F + Send + 'static,
    ) -> Result<A, CallError>
    where
        Q: Clone + Send + 'static,
        A: Send + 'static,
        F: Future<Output = Result<Response<A>, Status>> + Send + 'static,
    {
        self.attempt(retry, limit, move |calls| {
            let answer = call(calls, request.clone());
            async move { Ok(answer.await?.into_inner()) }
        })
        .await
    }

    /// Makes attempts until one succeeds or the deadline has come.
    pub(crate) async fn attempt<A, F>(
        &self,
        retry: Retry,
        limit: TimeLimit,
        call: impl Fn(Calls) -> F + Send + 'static,
    ) -> Result<A, CallError>
    where
        A: Send + 'static,
        F: Future<Output = Result<A, Status>> + Send + 'static,
    {
        let calls = self.clone();
        count(&self.counters.requests);
        let task = async move {
            let _request = RequestInProgress::begin(&calls.traffic);
            let (mut backoff, mut last_error) = (Backoff::new(), None);
            let deadline = calls.deadline();
            loop {
                let answer = call(calls.clone());
                let answer = match limit {
                    TimeLimit::None => Ok(answer.await),
                    TimeLimit::Usual => timeout_at(deadline, answer).await,
                };
                let error = match answer {
                    Ok(Ok(answer)) => return Ok(answer),
                    Ok(Err(status)) => CallError::from(status),
                    Err(_) => {
                        // What the attempts before have met says more, unless this one may have changed something.
                        let known = last_error.take().filter(|_| retry == Retry::Always);
                        return Err(known.unwrap_or(CallError::TimedOut(calls.timeout)));
                    }
                };
                let again = error.can_retry_call(retry == Retry::Always);
                if !again || calls.sends_once {
                    return Err(error);
                }
                calls.report_retry(&error);
                if !backoff.pause(deadline).await {
                    return Err(error);
                }
                last_error = Some(error);
            }
        };
        self.on_runtime(task.instrument(debug_span!("request", answer = name_of::<A>())))
            .await
            .unwrap_or_else(|aborted| Err(aborted))
    }

    /// Pauses on the client's runtime and returns the next back-off; `None` if the pause would end
    /// after the deadline.
    pub(crate) async fn pause(&self, mut backoff: Backoff, deadline: Instant) -> Option<Backoff> {
        let pause = async move { backoff.pause(deadline).await.then_some(backoff) };
        self.on_runtime(pause).await.ok().flatten()
    }

    /// Runs a task on the client's runtime: on this thread, if the caller is there. The error is that of a runtime that has
    /// ended.
    async fn on_runtime<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, CallError> {
        if self.is_here() {
            return Ok(task.await);
        }
        AbortOnDrop(self.handle.spawn(task)).wait().await
    }

    /// Returns whether the caller is on the client's runtime.
    fn is_here(&self) -> bool {
        Handle::try_current().is_ok_and(|current| current.id() == self.handle.id())
    }
}

/// A request, or an append of many, that waits for its answer.
pub(crate) struct RequestInProgress(Arc<Traffic>);

impl RequestInProgress {
    pub(crate) fn begin(traffic: &Arc<Traffic>) -> Self {
        traffic.begin();
        RequestInProgress(traffic.clone())
    }
}

impl Drop for RequestInProgress {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Returns the name of a type without its path, for spans.
fn name_of<A>() -> &'static str {
    let name = std::any::type_name::<A>();
    let name = name.split('<').next().unwrap_or(name);
    name.rsplit("::").next().unwrap_or(name)
}

/// A task that is aborted when its handle is dropped.
struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> AbortOnDrop<T> {
    async fn wait(mut self) -> Result<T, CallError> {
        let ended = (&mut self.0).await;
        ended.map_err(|error| CallError::ConnectionLost(format!("the call was aborted: {error}")))
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
