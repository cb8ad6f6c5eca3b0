//! The host that a request names. A web page can make a name of its own point at this machine (DNS
//! rebinding) and then send requests to a server without users; but its requests carry that name. So
//! such a server answers to addresses and to `localhost` only.

use std::net::IpAddr;

use hyper::Request;
use hyper::header::HOST;
use hyper::http::uri::Authority;

/// Returns whether a request names this machine by address or as `localhost`. A request without a
/// host comes from no browser.
pub(super) fn is_local<B>(request: &Request<B>) -> bool {
    if let Some(host) = request.uri().host() {
        return names_itself(host);
    }
    let Some(host) = request.headers().get(HOST) else { return true };
    let authority = host.to_str().ok().and_then(|text| text.parse::<Authority>().ok());
    authority.is_some_and(|authority| names_itself(authority.host()))
}

fn names_itself(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&host);
    host == "localhost" || host.ends_with(".localhost") || bare.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_localhost_are_local_and_other_names_are_not() {
        let asked = |uri: &str, host: Option<&str>| {
            let mut request = Request::builder().uri(uri);
            if let Some(host) = host {
                request = request.header(HOST, host);
            }
            is_local(&request.body(()).unwrap())
        };
        for host in [
            "127.0.0.1:2113",
            "127.0.0.1",
            "[::1]:2113",
            "localhost",
            "LOCALHOST:1",
            "a.localhost.",
        ] {
            assert!(asked("/", Some(host)), "{host}");
            assert!(asked(&format!("http://{host}/"), None), "{host}");
        }
        for host in
            ["evil.example", "localhost.evil.example:2113", "127.0.0.1.evil.example", "a b", ""]
        {
            assert!(!asked("/", Some(host)), "{host}");
        }
        assert!(
            !asked("http://evil.example:2113/", Some("localhost")),
            "the request line counts, not the header"
        );
        assert!(asked("/", None));
    }
}
