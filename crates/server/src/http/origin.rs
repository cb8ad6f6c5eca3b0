//! The web page that a request comes from. A browser sends requests of any page to any server that it
//! reaches, and some of them without asking the server first. So what changes something is refused to
//! pages of another origin, by what the browser says of them and a page can't forge.
//!
//! It holds with users as well. No page has their credentials, since there are no cookies; but a browser
//! remembers a password that was typed into its own dialog, and one rule is simpler than two.

use axum::extract::Request;
use axum::http::header::{CONTENT_TYPE, HOST, ORIGIN};
use axum::http::uri::{Authority, Scheme};
use axum::http::{HeaderName, HeaderValue, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;
use crate::grpc;

const CODE: &str = "origin_refused";
const MESSAGE: &str = "a web page of another origin may not change anything: send the request from no web \
                       page, or from one that this server's own address serves";
/// How a request's page relates to the server, as browsers say on HTTPS and on this machine.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses a request that may change something and comes from a web page of another origin.
pub(crate) async fn refuse_foreign(request: Request, next: Next) -> Response {
    if request.method().is_safe() || !is_foreign(&request) {
        return next.run(request).await;
    }
    let content_type = request.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    match content_type.is_some_and(|value| value.starts_with(b"application/grpc")) {
        true => grpc::refusal(CODE, MESSAGE),
        false => Problem::new(CODE, MESSAGE).into_response(),
    }
}

/// Returns whether a browser says that another origin's page sends the request.
fn is_foreign<B>(request: &axum::http::Request<B>) -> bool {
    let headers = request.headers();
    if let Some(site) = headers.get(FETCH_SITE) {
        // `same-site` is another origin: another port of this machine, or another name of the domain.
        return !matches!(site.as_bytes(), b"same-origin" | b"none");
    }
    let Some(origin) = headers.get(ORIGIN) else { return false };
    let host = request.uri().authority().cloned();
    let host = host.or_else(|| headers.get(HOST)?.to_str().ok()?.parse().ok());
    let origin = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
    !host.zip(origin).is_some_and(|(host, origin)| is_same(&host, &origin))
}

fn is_same(host: &Authority, origin: &Uri) -> bool {
    let Some(of_page) = origin.authority() else { return false };
    let default = if origin.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
    let port = |authority: &Authority| authority.port_u16().unwrap_or(default);
    of_page.host().eq_ignore_ascii_case(host.host()) && port(of_page) == port(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_the_same_host_and_port_are_not_foreign() {
        let foreign = |host: &str, origin: Option<&str>, site: Option<&str>| {
            let mut request = axum::http::Request::builder().uri("/").header(HOST, host);
            for (name, value) in [(ORIGIN, origin), (FETCH_SITE, site)] {
                request = value.into_iter().fold(request, |request, v| request.header(&name, v));
            }
            is_foreign(&request.body(()).unwrap())
        };
        for (host, origin) in [
            ("127.0.0.1:2113", "http://127.0.0.1:2113"),
            ("localhost:2113", "http://LOCALHOST:2113"),
            ("[::1]:2113", "http://[::1]:2113"),
            ("db.example", "https://db.example"),
            ("db.example:443", "https://db.example"),
            ("db.example:80", "http://db.example"),
        ] {
            assert!(!foreign(host, Some(origin), None), "{origin}");
            assert!(foreign(host, Some(origin), Some("cross-site")), "{origin}");
        }
        for origin in [
            "http://evil.example",
            "http://127.0.0.1:3000",
            "http://localhost:2113",
            "null",
            "",
            "127.0.0.1",
            "file://",
            "http://127.0.0.1:2113@evil.example",
        ] {
            assert!(foreign("127.0.0.1:2113", Some(origin), None), "{origin}");
        }
        assert!(!foreign("127.0.0.1:2113", None, None), "it comes from no page");
        for (site, is) in
            [("same-origin", false), ("none", false), ("same-site", true), ("cross-site", true)]
        {
            assert_eq!(foreign("inside:1", None, Some(site)), is, "{site}");
        }
        // A proxy may have replaced the host; the browser has compared the addresses itself.
        assert!(!foreign("inside:1", Some("https://db.example"), Some("same-origin")));
    }
}
