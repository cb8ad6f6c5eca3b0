//! Requests to a server over HTTP, for what its gRPC service does not have.

use std::io::{BufRead, IsTerminal};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use leftfold::{Failure, ReadError};
use leftfold_server::access::Secret;
use reqwest::{Certificate, Client, Method, RequestBuilder, Response, StatusCode, Url};
use serde_json::Value;

use crate::args::Location;

/// The default server.
const DEFAULT_SERVER: &str = "http://127.0.0.1:2113";
/// The time for an answer.
pub(crate) const ANSWER_TIME: Duration = Duration::from_secs(30);
/// How often an idle connection is tested: an endless answer may have no bytes for a long time.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A request to a server.
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    /// What stands behind `/v1` in the path.
    pub(crate) path: &'a [&'a str],
    /// The parameters behind the path.
    pub(crate) parameters: Vec<(&'static str, String)>,
    /// What it sends.
    pub(crate) body: Body,
    /// How long the server may work on it, beside the time for an answer.
    pub(crate) patience: Duration,
}

/// The body of a request.
pub(crate) enum Body {
    None,
    Json(Value),
    Text(String),
}

impl<'a> Request<'a> {
    pub(crate) fn new(method: Method, path: &'a [&'a str]) -> Self {
        let (parameters, patience) = (Vec::new(), Duration::ZERO);
        Request { method, path, parameters, body: Body::None, patience }
    }

    pub(crate) fn get(path: &'a [&'a str]) -> Self {
        Request::new(Method::GET, path)
    }
}

/// Sends a request to the server and returns its answer, or its problem as an error.
pub(crate) fn ask(location: &Location, asked: Request<'_>) -> anyhow::Result<Value> {
    let time = ANSWER_TIME.saturating_add(asked.patience);
    let request = builder(location, &asked)?.timeout(time);
    runtime()?.block_on(answer(request))
}

/// Returns a runtime for requests on this thread.
pub(crate) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Returns a request to the server, with credentials.
pub(crate) fn builder(location: &Location, asked: &Request<'_>) -> anyhow::Result<RequestBuilder> {
    let server = match socket(location) {
        // The host of a request over a socket; where it is named, it must be this machine.
        Some(_) => "http://localhost",
        None => location.server.as_deref().unwrap_or(DEFAULT_SERVER),
    };
    let mut url =
        Url::parse(server).context("expected --server with a URL such as http://HOST:PORT")?;
    let Ok(mut segments) = url.path_segments_mut() else {
        bail!("expected --server with http://HOST:PORT or https://HOST:PORT");
    };
    segments.clear().push("v1").extend(asked.path);
    drop(segments);
    let request = client(location)?.request(asked.method.clone(), url);
    let request = with_user(location, request.query(&asked.parameters))?;
    Ok(match &asked.body {
        Body::None => request,
        Body::Json(body) => {
            request.header("content-type", "application/json").body(body.to_string())
        }
        Body::Text(body) => {
            request.header("content-type", "text/plain; charset=utf-8").body(body.clone())
        }
    })
}

async fn answer(request: RequestBuilder) -> anyhow::Result<Value> {
    let response = request.send().await.context("asking the server")?;
    match response.status().is_success() {
        true => body(response).await,
        false => Err(refusal(response).await?),
    }
}

async fn body(response: Response) -> anyhow::Result<Value> {
    let bytes = response.bytes().await.context("the server's answer")?;
    Ok(serde_json::from_slice(&bytes).unwrap_or_default())
}

/// Returns the error of an answer that is no success.
pub(crate) async fn refusal(response: Response) -> anyhow::Result<anyhow::Error> {
    let status = response.status();
    let answer = body(response).await?;
    let said = |field: &str| answer[field].as_str().unwrap_or_default();
    if said("code").is_empty()
        && matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED)
    {
        let message = "the server does not know this request";
        return Ok(anyhow!("{message} ({status}); run a server of this release"));
    }
    Ok(problem(&answer).into())
}

/// Returns the error that a problem document describes.
pub(crate) fn problem(answer: &Value) -> ReadError {
    let said = |field: &str| answer[field].as_str().unwrap_or_default();
    let (code, message) = (leftfold::code(said("code")), said("detail").to_owned());
    let can_retry = answer["can_retry"].as_bool().unwrap_or_default();
    Failure::Remote { code, message, can_retry }.into()
}

/// Returns the location with the password of its user, which is asked for if it is not given.
pub(crate) fn with_password(location: &Location) -> anyhow::Result<Location> {
    let mut location = location.clone();
    if let (None, Some(user), None) = (&location.token, &location.asking, &location.password) {
        location.password = Some(secret(&format!("password of {user}: "))?.reveal().to_owned());
    }
    Ok(location)
}

fn with_user(location: &Location, request: RequestBuilder) -> anyhow::Result<RequestBuilder> {
    if let Some(token) = &location.token {
        return Ok(request.bearer_auth(token));
    }
    let location = with_password(location)?;
    Ok(match &location.asking {
        Some(user) => request.basic_auth(user, location.password),
        None => request,
    })
}

fn client(location: &Location) -> anyhow::Result<Client> {
    // A provider that was installed before is as good.
    _ = rustls::crypto::ring::default_provider().install_default();
    let mut client = Client::builder().connect_timeout(ANSWER_TIME).tcp_keepalive(KEEP_ALIVE);
    if let Some(path) = &location.ca {
        let pem = std::fs::read(path).with_context(|| path.display().to_string())?;
        client = client.tls_certs_merge(Certificate::from_pem_bundle(&pem)?);
    }
    if let Some(path) = socket(location) {
        client = client.unix_socket(path);
    }
    Ok(client.build()?)
}

/// Returns the path of the server's Unix socket, if its URL names one.
fn socket(location: &Location) -> Option<&Path> {
    location.server.as_deref()?.strip_prefix("unix:").map(Path::new)
}

/// Reads a secret from the terminal without echo, or one line of standard input.
pub(crate) fn secret(prompt: &str) -> anyhow::Result<Secret> {
    let text = if std::io::stdin().is_terminal() {
        rpassword::prompt_password(prompt).context("reading a password")?
    } else {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).context("reading a password")?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    };
    Ok(text.into())
}
