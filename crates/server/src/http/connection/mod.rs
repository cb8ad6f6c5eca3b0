//! Connections of HTTP/1.1 or HTTP/2, as the client chooses: their requests, within the limits.

mod activity;
mod heads;
mod host;
mod progress;
mod request_id;
mod response_body;
mod unread;

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use leftfold_api::BoxFuture;
use leftfold_wire::Gather;
use tokio::time::Instant;
use tower::ServiceExt;
use tracing::Instrument;

use self::activity::{Activity, RequestInFlight};
use self::heads::HeadWatch;
use self::progress::{StreamExecutor, StreamProgress};
use self::request_id::RequestId;
use self::response_body::ResponseBody;
use self::unread::WatchedBody;
use super::Problem;
use crate::access::Origin;
use crate::net::{Connection, Protocol, WorkItem};
use crate::state::{LongLived, State};

/// Bytes of an answer that a stream of HTTP/2 holds until its client takes them. They hold the answer's memory.
const SEND_BUFFER: usize = 256 << 10;
/// Bytes of bodies that an HTTP/2 connection receives before a handler takes them.
const RECEIVE_BUFFER: u32 = 256 << 10;
/// The interval of pings to an HTTP/2 client.
const PING: Duration = Duration::from_secs(20);

/// HTTP, with the routes of all that is served over it.
pub(crate) struct HttpProtocol {
    router: Router,
    state: Arc<State>,
    builder: auto::Builder<StreamExecutor>,
}

impl Protocol for HttpProtocol {
    fn alpn(&self) -> Vec<Vec<u8>> {
        vec![b"h2".to_vec(), b"http/1.1".to_vec()]
    }

    fn serve(self: Arc<Self>, connection: Connection) -> BoxFuture<'static, ()> {
        Box::pin(self.serve_requests(connection))
    }
}

impl HttpProtocol {
    pub(crate) fn new(router: Router, state: Arc<State>) -> Self {
        let builder = builder(&state);
        HttpProtocol { router, state, builder }
    }

    async fn serve_requests(self: Arc<Self>, connection: Connection) {
        let Connection { stream, peer, shutdown, slot: _slot, .. } = connection;
        let activity = Arc::new(Activity::new());
        let (this, active) = (self.clone(), activity.clone());
        let service = service_fn(move |request| this.clone().answer(request, active.clone(), peer));
        let stream = HeadWatch::new(Gather::new(stream), activity.clone());
        let connection = self.builder.serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        let mut closing = pin!(shutdown.begun());
        let mut is_leaving = false;
        let config = &self.state.config;
        loop {
            let due = activity.deadline(config);
            let until = due.unwrap_or_else(|| Instant::now() + config.idle_time);
            let until = if is_leaving { until + config.header_time } else { until };
            tokio::select! {
                done = connection.as_mut() => {
                    if let Err(error) = done {
                        tracing::debug!(%peer, %error, "a connection ended");
                    }
                    return;
                }
                () = closing.as_mut(), if !is_leaving => {
                    is_leaving = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = activity.head_began.notified() => {}
                () = tokio::time::sleep_until(until) => {
                    if activity.deadline(config).is_none_or(|due| due > Instant::now()) {
                        continue;
                    }
                    if is_leaving {
                        return;
                    }
                    // The client is told, since it may have sent a request meanwhile.
                    is_leaving = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }

    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        activity: Arc<Activity>,
        peer: SocketAddr,
    ) -> Result<Response<ResponseBody>, Infallible> {
        let id = RequestId::of(&request);
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let span = tracing::info_span!("request", %id, %peer, %method, path);
        let mut request = request;
        let origin = Origin { peer: peer.to_string(), request: id.to_string() };
        request.extensions_mut().insert(origin);
        let mut response = self.admit(request, &activity).instrument(span).await;
        response.headers_mut().insert(RequestId::HEADER, id.into_value());
        Ok(response)
    }

    /// Serves a request if it is within the limits.
    async fn admit(
        &self,
        request: Request<Incoming>,
        activity: &Arc<Activity>,
    ) -> Response<ResponseBody> {
        let started = Instant::now();
        let admitted = self.check_host(&request).and_then(|()| self.places(activity));
        let is_http1 = request.version() < Version::HTTP_2;
        let (head, body) = request.into_parts();
        let (body, is_received) = WatchedBody::new(body);
        let request = Request::from_parts(head, body);
        let (mut response, places) = match admitted {
            Ok(places) => (self.route(request).await, Some(places)),
            Err(problem) => (problem.into_response(), None),
        };
        if is_http1 && !is_received.load(Ordering::Relaxed) {
            activity.leaves_body();
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let status = response.status().as_u16();
        self.state.metrics.answered(status);
        tracing::debug!(status, micros = started.elapsed().as_micros() as u64, "answered");
        let lasts = response.extensions().get::<LongLived>().is_some();
        let (in_flight, work) = places.unzip();
        let work = work.filter(|_| !lasts);
        let progress = StreamProgress::of_stream();
        response.map(|body| ResponseBody::new(body, progress, (in_flight, work)))
    }

    /// Refuses a request that names another host, if the server has no users to authenticate.
    fn check_host(&self, request: &Request<Incoming>) -> Result<(), Problem> {
        let State { config, access, .. } = &*self.state;
        if config.insecure || access.has_users() || host::is_local(request) {
            return Ok(());
        }
        let message = "a server without users answers to localhost and to addresses only: a web page \
                       could make any other name point at it";
        Err(Problem::new("host_refused", message))
    }

    fn places(&self, activity: &Arc<Activity>) -> Result<(RequestInFlight, WorkItem), Problem> {
        let config = &self.state.config;
        if !activity.may_begin(config.connection_rate) {
            let rate = config.connection_rate;
            let message = format!(
                "this connection began more than {rate} requests in a second (limits.connection_rate)"
            );
            return Err(Problem::new("rate_limited", message));
        }
        let most = config.connection_requests;
        let in_flight = activity.begin(most, &self.state.metrics.in_flight).ok_or_else(|| {
            let message =
                format!("{most} requests of this connection are in flight, which is the limit");
            Problem::new("server_overloaded", message)
        })?;
        Ok((in_flight, WorkItem::begin()))
    }

    /// Serves a request. A panic fails this request alone.
    async fn route(&self, request: Request<WatchedBody>) -> Response<Body> {
        let mut answer = pin!(self.router.clone().oneshot(request.map(Body::new)));
        let answer = poll_fn(|context| {
            let poll = AssertUnwindSafe(|| answer.as_mut().poll(context));
            match catch_unwind(poll) {
                Ok(Poll::Pending) => Poll::Pending,
                Ok(Poll::Ready(Ok(response))) => Poll::Ready(response),
                Ok(Poll::Ready(Err(never))) => match never {},
                Err(_) => Poll::Ready(
                    Problem::new(
                        "internal_error",
                        "the server failed with a panic; its log tells more",
                    )
                    .into_response(),
                ),
            }
        });
        answer.await
    }
}

fn builder(state: &State) -> auto::Builder<StreamExecutor> {
    let config = &state.config;
    let header_bytes = u32::try_from(config.header_bytes.0).unwrap_or(u32::MAX);
    let mut builder = auto::Builder::new(StreamExecutor { within: config.write_time });
    builder
        .http1()
        // Its limit of a head's time would count idle time as well; `Activity` tells them apart.
        .header_read_timeout(None)
        .max_buf_size(config.header_bytes.get())
        .half_close(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(header_bytes)
        .max_concurrent_streams(u32::try_from(config.connection_requests).unwrap_or(u32::MAX))
        .max_send_buf_size(SEND_BUFFER)
        .initial_connection_window_size(RECEIVE_BUFFER)
        .initial_stream_window_size(RECEIVE_BUFFER)
        .keep_alive_interval(PING)
        .keep_alive_timeout(config.write_time);
    builder
}
