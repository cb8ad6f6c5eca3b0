use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State as SharedState};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::call_body::{CallBody, Messages};
use super::held::{HeldBody, PageMemory};
use super::{Client, Lease, Pool};
use crate::access::{Caller, Credentials, Denial, Origin};
use crate::grpc;
use crate::http::Problem;
use crate::state::{LongLived, State};

/// Bytes of an answer up to which its memory is not counted: the number of requests bounds it.
pub(crate) const SMALL_ANSWER: usize = 32 << 10;
/// What a compressor of an answer takes at its fastest level.
const ZSTD: usize = 2 << 20;
const GZIP: usize = 512 << 10;

const ANSWERS_FULL: &str = "the answers in flight take all of limits.answers_bytes, or of this client's share of it \
                            (limits.share)";

const REQUESTS_FULL: &str =
    "as many requests as limits.requests or this client's share of it (limits.share) are in flight";
const RESERVED_FULL: &str = "as many requests of this kind as limits.reserved_requests or this client's share of it \
                             (limits.share) are in flight";

/// What a request is admitted to, by its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Area {
    /// Events and all that is made of them.
    Store,
    /// Metrics, administration and users, which must work when all other places are taken.
    Administration,
    /// What gRPC serves without credentials: health and reflection.
    Open,
    /// What is answered at once, without credentials and a body: health, documents, unknown paths.
    Free,
}

impl Area {
    fn of(path: &str) -> Self {
        let is_below = |parents: &[&str]| {
            parents.iter().any(|parent| {
                path.strip_prefix(parent)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
        };
        let administration = [
            "/metrics",
            "/v1/stat",
            "/v1/scavenge",
            "/v1/verify",
            "/v1/backups",
            "/v1/cluster",
            "/v1/users",
            "/v1/groups",
            "/v1/tokens",
            "/v1/grants",
            "/leftfold.v1.Admin",
        ];
        if is_below(&administration) {
            Area::Administration
        } else if is_below(&["/v1", "/leftfold.v1.Store"]) {
            Area::Store
        } else if path.starts_with("/grpc.") {
            Area::Open
        } else {
            Area::Free
        }
    }
}

/// Why a request is not admitted.
enum Refusal {
    Denial(Denial),
    Overloaded(&'static str),
}

impl Refusal {
    fn into_answer(self, is_grpc: bool) -> Response {
        match self {
            Refusal::Denial(denied) if is_grpc => grpc::denied(denied),
            Refusal::Denial(denied) => Problem::from(denied).into_response(),
            Refusal::Overloaded(what) if is_grpc => grpc::overloaded(what),
            Refusal::Overloaded(what) => {
                let message = format!("{what}; try again later");
                Problem::new("server_overloaded", message).into_response()
            }
        }
    }
}

/// Returns whether a request is a call of gRPC.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// Authenticates a request by its head, then gives it a place, and only then lets its body be received. The caller is
/// an extension of the request from then on.
pub(crate) async fn admit(
    SharedState(state): SharedState<Arc<State>>,
    mut request: Request,
    next: Next,
) -> Response {
    let area = Area::of(request.uri().path());
    if area == Area::Free {
        return next.run(request).await;
    }
    let is_grpc = is_grpc(request.headers());
    let (client, place) = match place(&state, area, &mut request).await {
        Ok(admitted) => admitted,
        Err(refusal) => return refusal.into_answer(is_grpc),
    };
    if is_grpc {
        let messages = Messages::of(request.uri().path());
        let counted = client.clone();
        request = request.map(|body| Body::new(CallBody::new(body, &state, counted, messages)));
    }
    let reads = is_read(&request);
    let response = next.run(request).await;
    let compressor = match compressor_bytes(&response) {
        0 => None,
        bytes => match state.limits.answers.take(&client, bytes) {
            // What has changed something is done: its client must not be told to send it again.
            None if reads => return Refusal::Overloaded(ANSWERS_FULL).into_answer(is_grpc),
            memory => memory,
        },
    };
    // A long-lived answer counts as a subscription instead.
    let lasts = response.extensions().get::<LongLived>().is_some();
    let held = compressor.into_iter().chain((!lasts).then_some(place));
    let page = response.extensions().get::<PageMemory>().cloned();
    response.map(|body| Body::new(HeldBody::new(body, held, page)))
}

/// Reserves memory for an answer that is there as a whole. What is made while it is sent reserves its own, and what is
/// compressed is asked for its size before.
pub(crate) async fn hold_answer(
    SharedState(state): SharedState<Arc<State>>,
    request: Request,
    next: Next,
) -> Response {
    let client = request.extensions().get::<Caller>().map(Caller::client);
    let reads = is_read(&request);
    let response = next.run(request).await;
    let bytes = http_body::Body::size_hint(response.body()).exact().unwrap_or(0);
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    let Some(client) = client.filter(|_| bytes > SMALL_ANSWER) else { return response };
    match state.limits.answers.take(&client, bytes) {
        Some(memory) => response.map(|body| Body::new(HeldBody::new(body, [memory], None))),
        // What has changed something is done: its client must not be told to send it again.
        None if !reads => response,
        None => Refusal::Overloaded(ANSWERS_FULL).into_answer(false),
    }
}

/// Returns whether a request changes nothing. Long queries come with `POST`.
fn is_read(request: &Request) -> bool {
    let path = request.uri().path();
    request.method().is_safe() || path == "/v1/events/read" || path.ends_with("/query")
}

/// Returns what the compressor of an answer takes.
fn compressor_bytes(response: &Response) -> usize {
    match response.headers().get(header::CONTENT_ENCODING).map(|name| name.as_bytes()) {
        Some(b"zstd") => ZSTD,
        Some(b"gzip") => GZIP,
        _ => 0,
    }
}

async fn place(
    state: &State,
    area: Area,
    request: &mut Request,
) -> Result<(Client, Lease), Refusal> {
    let origin = request.extensions().get::<Origin>().cloned().unwrap_or_default();
    let limits = &state.limits;
    let (client, pool, full): (_, &Arc<Pool>, _) = match area {
        Area::Open | Area::Free => (Client::new(&origin, None), &limits.open, RESERVED_FULL),
        Area::Store | Area::Administration => {
            let header = request.headers().get(header::AUTHORIZATION);
            let credentials = header.map(|value| Credentials::from_header(value.as_bytes()));
            let credentials = credentials.transpose().map_err(Refusal::Denial)?;
            let caller = state.access.authenticate(credentials.as_ref(), origin).await;
            let caller = caller.map_err(Refusal::Denial)?;
            let client = caller.client();
            request.extensions_mut().insert::<Caller>(caller);
            match area {
                Area::Store => (client, &limits.requests, REQUESTS_FULL),
                _ => (client, &limits.administration, RESERVED_FULL),
            }
        }
    };
    let place = pool.take(&client, 1).ok_or(Refusal::Overloaded(full))?;
    Ok((client, place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_their_area() {
        for (path, area) in [
            ("/v1/events", Area::Store),
            ("/v1/users-of-mine", Area::Store),
            ("/v1/users/ann", Area::Administration),
            ("/metrics", Area::Administration),
            ("/leftfold.v1.Admin/Stat", Area::Administration),
            ("/leftfold.v1.Store/Append", Area::Store),
            ("/grpc.health.v1.Health/Check", Area::Open),
            ("/health/live", Area::Free),
            ("/", Area::Free),
        ] {
            assert_eq!(Area::of(path), area, "{path}");
        }
    }

    #[test]
    fn queries_that_come_with_post_are_reads() {
        for (method, path, reads) in [
            ("GET", "/v1/streams", true),
            ("POST", "/v1/events", false),
            ("POST", "/v1/events/read", true),
            ("POST", "/v1/views/orders/query", true),
            ("DELETE", "/v1/streams/a", false),
        ] {
            let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
            assert_eq!(is_read(&request), reads, "{method} {path}");
        }
    }
}
