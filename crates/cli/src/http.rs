//! Requests to a server over HTTP, for what its gRPC service does not have.

use std::io::{BufRead, IsTerminal};
use std::time::Duration;

use anyhow::{Context, bail};
use leftfold::{Failure, ReadError};
use leftfold_server::access::Secret;
use reqwest::{Certificate, Client, Method, RequestBuilder, StatusCode, Url};
use serde_json::Value;

use crate::args::Location;

/// The default server.
const DEFAULT_SERVER: &str = "http://127.0.0.1:2113";
/// The time for an answer.
const ANSWER_TIME: Duration = Duration::from_secs(30);

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
}

/// Sends a request to the server and returns its answer, or its problem as an error.
pub(crate) fn ask(location: &Location, asked: Request<'_>) -> anyhow::Result<Value> {
    let mut url = Url::parse(location.server.as_deref().unwrap_or(DEFAULT_SERVER))
        .context("expected --server with a URL such as http://HOST:PORT")?;
    let Ok(mut segments) = url.path_segments_mut() else {
        bail!("expected --server with http://HOST:PORT or https://HOST:PORT");
    };
    segments.clear().push("v1").extend(asked.path);
    drop(segments);
    let time = ANSWER_TIME.saturating_add(asked.patience);
    let request = client(location)?.request(asked.method, url).timeout(time);
    let request = with_user(location, request.query(&asked.parameters))?;
    let request = match asked.body {
        Body::None => request,
        Body::Json(body) => {
            request.header("content-type", "application/json").body(body.to_string())
        }
        Body::Text(body) => request.header("content-type", "text/plain; charset=utf-8").body(body),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(answer(request))
}

async fn answer(request: RequestBuilder) -> anyhow::Result<Value> {
    let response = request.send().await.context("asking the server")?;
    let status = response.status();
    let bytes = response.bytes().await.context("the server's answer")?;
    let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    if status.is_success() {
        return Ok(answer);
    }
    let said = |field: &str| answer[field].as_str().unwrap_or_default();
    if said("code").is_empty()
        && matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED)
    {
        bail!("the server does not know this request ({status}); run a server of this release");
    }
    let (code, message) = (leftfold::code(said("code")), said("detail").to_owned());
    Err(ReadError::from(Failure::Remote { code, message, can_retry: false }).into())
}

fn with_user(location: &Location, request: RequestBuilder) -> anyhow::Result<RequestBuilder> {
    if let Some(token) = &location.token {
        return Ok(request.bearer_auth(token));
    }
    let Some(user) = &location.asking else { return Ok(request) };
    let password = match &location.password {
        Some(password) => password.clone().into(),
        None => secret(&format!("password of {user}: "))?,
    };
    Ok(request.basic_auth(user, Some(password.reveal())))
}

fn client(location: &Location) -> anyhow::Result<Client> {
    // A provider that was installed before is as good.
    _ = rustls::crypto::ring::default_provider().install_default();
    let mut client = Client::builder();
    if let Some(path) = &location.ca {
        let pem = std::fs::read(path).with_context(|| path.display().to_string())?;
        client = client.tls_certs_merge(Certificate::from_pem_bundle(&pem)?);
    }
    Ok(client.build()?)
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
