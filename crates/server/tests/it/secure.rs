//! TLS, and what may be listened on.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use leftfold_server::{Config, Server, make_certificate};
use tokio::time::Instant;

use crate::support::{DEADLINE, config, store};

fn with_certificate(dir: &Path) -> Config {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = make_certificate(dir, &names).unwrap();
    assert_eq!(made.key.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let mut config = config();
    (config.tls_certificate, config.tls_key) = (Some(made.certificate), Some(made.key));
    config
}

/// What curl gets, trusting this CA alone.
async fn curl(ca: &Path, how: &str, url: &str) -> Option<String> {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--fail", how, "--max-time", "60"]);
    command.args(["--write-out", " %{http_version}", "--cacert"]).arg(ca).arg(url);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

#[tokio::test]
async fn speaks_tls_with_both_versions_of_http() {
    let dir = tempfile::tempdir().unwrap();
    let running = Server::start(with_certificate(dir.path()), store()).await.unwrap();
    let url = format!("https://localhost:{}/health/live", running.local_addr().port());
    let ca = dir.path().join("ca.pem");
    for (how, version) in [("--http2", " 2"), ("--http1.1", " 1.1")] {
        let said = curl(&ca, how, &url).await.unwrap();
        assert_eq!(said, format!("{{\"status\":\"live\"}}{version}"));
    }
    let plain = format!("http://localhost:{}/health/live", running.local_addr().port());
    assert_eq!(curl(&ca, "--http1.1", &plain).await, None);
    running.shutdown().await;
}

#[tokio::test]
async fn a_new_certificate_is_taken_up_and_a_bad_one_is_not() {
    let [old, new] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let running = Server::start(with_certificate(old.path()), store()).await.unwrap();
    with_certificate(new.path());
    let url = format!("https://localhost:{}/health/live", running.local_addr().port());
    let [old_ca, new_ca] = [&old, &new].map(|dir| dir.path().join("ca.pem"));
    assert!(curl(&new_ca, "--http2", &url).await.is_none());

    std::fs::write(old.path().join("server.pem"), "nothing").unwrap();
    let error = running.reload_certificate().unwrap_err();
    assert!(error.to_string().contains("server.pem"), "{error}");
    assert!(curl(&old_ca, "--http2", &url).await.is_some(), "the old one stays");

    for file in ["server-key.pem", "server.pem"] {
        std::fs::copy(new.path().join(file), old.path().join(file)).unwrap();
    }
    let started = Instant::now();
    while curl(&new_ca, "--http2", &url).await.is_none() {
        assert!(started.elapsed() < DEADLINE, "the files are looked at by themselves");
    }
    running.shutdown().await;
}

#[tokio::test]
async fn a_server_that_can_not_start_reports_a_code() {
    let dir = tempfile::tempdir().unwrap();
    let refused = async |config: Config, code: &str| {
        let error = Server::start(config, store()).await.err().unwrap();
        assert_eq!(error.code(), code, "{error}");
    };
    let mut open = config();
    open.listen = "0.0.0.0:0".parse().unwrap();
    refused(open.clone(), "listen_insecure").await;
    let mut encrypted = with_certificate(&dir.path().join("certificates"));
    encrypted.listen = open.listen;
    let mut running = Server::start(encrypted, store()).await.unwrap();
    assert!(running.made_password().is_some(), "a server that other machines can reach has users");
    running.shutdown().await;
    open.insecure = true;
    let running = Server::start(open, store()).await.unwrap();
    let mut taken = config();
    taken.listen = ([127, 0, 0, 1], running.local_addr().port()).into();
    refused(taken, "listen_failed").await;

    let mut wrong = config();
    let key = dir.path().join("certificates/server-key.pem");
    (wrong.tls_certificate, wrong.tls_key) = (Some(key.clone()), Some(key));
    refused(wrong, "tls_invalid").await;
    let again = make_certificate(&dir.path().join("certificates"), &[]).unwrap_err();
    assert_eq!(again.code(), "certificate_exists");
    running.shutdown().await;
}
