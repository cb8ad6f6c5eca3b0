use std::time::Duration;

use leftfold_wire::MAX_MESSAGE;
use leftfold_wire::v1::admin_client::AdminClient;
use leftfold_wire::v1::store_client::StoreClient;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use crate::backoff::Backoff;
use crate::fault::Fault;

/// Calls to a server, on the client's runtime.
#[derive(Clone)]
pub(crate) struct Calls {
    pub(crate) handle: Handle,
    pub(crate) channel: Service,
    /// How long a call may take, with all its attempts.
    pub(crate) timeout: Duration,
    /// How long a subscription goes on without a server.
    pub(crate) patience: Duration,
}

/// A connection that says who asks.
pub(crate) type Service = InterceptedService<Channel, Credentials>;

/// The value of the header that says who asks; none is nobody.
#[derive(Clone)]
pub(crate) struct Credentials(pub(crate) Option<MetadataValue<Ascii>>);

impl Interceptor for Credentials {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

/// Whether a call may be done twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// It only asks.
    Safe,
    /// It changes something: it is sent again only if it never arrived.
    Unsafe,
}

/// How long a call may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// As long as calls do.
    Usual,
    /// As long as it takes, while there is a server: it may read the whole store.
    Endless,
}

impl Calls {
    pub(crate) fn store(&self) -> StoreClient<Service> {
        StoreClient::new(self.channel.clone())
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE)
    }

    pub(crate) fn admin(&self) -> AdminClient<Service> {
        AdminClient::new(self.channel.clone())
    }

    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    /// Asks the server until it answers, or the deadline has come.
    pub(crate) async fn ask<Q, A, F>(
        &self,
        repeat: Repeat,
        patience: Patience,
        request: Q,
        call: impl Fn(Calls, Q) -> F + Send + 'static,
    ) -> Result<A, Fault>
    where
        Q: Clone + Send + 'static,
        A: Send + 'static,
        F: Future<Output = Result<Response<A>, Status>> + Send + 'static,
    {
        self.attempt(repeat, patience, move |calls| {
            let answer = call(calls, request.clone());
            async move { Ok(answer.await?.into_inner()) }
        })
        .await
    }

    /// Makes attempts until one succeeds, or the deadline has come.
    pub(crate) async fn attempt<A, F>(
        &self,
        repeat: Repeat,
        patience: Patience,
        call: impl Fn(Calls) -> F + Send + 'static,
    ) -> Result<A, Fault>
    where
        A: Send + 'static,
        F: Future<Output = Result<A, Status>> + Send + 'static,
    {
        let calls = self.clone();
        let task = self.handle.spawn(async move {
            let mut backoff = Backoff::new();
            let deadline = calls.deadline();
            loop {
                let answer = call(calls.clone());
                let answer = match patience {
                    Patience::Endless => Ok(answer.await),
                    Patience::Usual => timeout_at(deadline, answer).await,
                };
                let fault = match answer {
                    Ok(Ok(answer)) => return Ok(answer),
                    Ok(Err(status)) => Fault::from(status),
                    Err(_) => return Err(Fault::Late(calls.timeout)),
                };
                let again = fault.may_pass(repeat == Repeat::Safe);
                if !again || !backoff.pause(deadline).await {
                    return Err(fault);
                }
            }
        });
        Abandoned(task).done().await
    }

    /// Pauses on the client's runtime, whatever the caller's is; false if the deadline forbids it.
    pub(crate) async fn pause(&self, mut backoff: Backoff, deadline: Instant) -> Option<Backoff> {
        let paused =
            self.handle.spawn(async move { backoff.pause(deadline).await.then_some(backoff) });
        paused.await.ok().flatten()
    }
}

/// A task that ends when nobody waits for it any more.
struct Abandoned<A>(tokio::task::JoinHandle<Result<A, Fault>>);

impl<A> Abandoned<A> {
    async fn done(mut self) -> Result<A, Fault> {
        let ended = (&mut self.0).await;
        ended.unwrap_or_else(|error| Err(Fault::Lost(format!("the call was cut off: {error}"))))
    }
}

impl<A> Drop for Abandoned<A> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
