//! A Redis that has TLS.

use leftfold_connect::connectors::ConnectorPhase;

use super::cache::{Cache, ORDERS, agree, definition, replace};
use crate::support::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_with_tls_verifies_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("cert"), made.cert.pem()).unwrap();
    std::fs::write(path("key"), made.signing_key.serialize_pem()).unwrap();
    let port = leftfold_ports::reserve().unwrap();
    let cache = Cache::start(&[
        "--tls-port",
        &port.number.to_string(),
        "--tls-cert-file",
        &path("cert"),
        "--tls-key-file",
        &path("key"),
        "--tls-auth-clients",
        "no",
    ]);
    let world = World::new().await;
    let url = format!("rediss://localhost:{}", port.number);
    world.add(&definition(&url, "", ORDERS)).await;
    let status = world.until("cache", |it| it.phase == ConnectorPhase::Retrying).await;
    assert!(status.failure.unwrap().contains("certificate"));
    let trusting = format!("ca = \"{}\"\n{ORDERS}", path("cert"));
    replace(&world, &definition(&url, "", &trusting)).await;
    world.append("order-1", "OrderChanged", "{}").await;
    agree(&world, &cache).await;
    // The certificate is of another name.
    let other = definition(&url.replace("localhost", "127.0.0.1"), "", &trusting);
    replace(&world, &other).await;
    let status = world.until("cache", |it| it.phase == ConnectorPhase::Retrying).await;
    assert!(status.failure.unwrap().contains("certificate"));
}
